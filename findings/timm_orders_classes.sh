#!/usr/bin/env bash
# timm 1.0.31 and torchvision 0.29.1: one folder with a folder of pictures a class, read by either library.
#
# Expected: a class has the same number in both, as one layout is meant for both.
# Seen: torchvision's `ImageFolder` sorts names by their characters: 10 before 2, capitals before small letters. timm's reader
#   compares whole numbers and looks at no capitals. Weights that were trained by the one count other classes in the other.
# Last line: as described: torchvision counts 1, 10, 2 and Car, bus, van; timm 1, 2, 10 and bus, Car, van
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    timm==1.0.31 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from pathlib import Path

from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder


def order(labels):
    return ", ".join(sorted(labels, key=labels.get))


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


stated = {("1", "2", "10"): ("1, 10, 2", "1, 2, 10"), ("Car", "bus", "van"): ("Car, bus, van", "bus, Car, van")}
for names, (theirs, timms) in stated.items():
    folder = Path("-".join(names))
    for name in names:
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / name / "0.png")
    expect("torchvision counts", order(ImageFolder(folder).class_to_idx), theirs)
    expect("timm counts", order(create_dataset("", root=str(folder)).reader.class_to_idx), timms)
print("as described: torchvision counts 1, 10, 2 and Car, bus, van; timm 1, 2, 10 and bus, Car, van")
PYTHON
