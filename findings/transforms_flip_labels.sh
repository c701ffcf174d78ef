#!/usr/bin/env bash
# torchvision 0.29.1: transforms.v2 on a sample that names its labels before its image.
#
# Expected: the image and its boxes are flipped, labels stay, whatever the order of the dictionary.
# Seen: where no image is marked by `tv_tensors.Image`, the first plain tensor of the sample is taken for it. Labels that come first
#   are reversed in order, the image is passed on unflipped, its boxes are flipped: nothing fits and nothing is said. With the image
#   first, or marked, all is well.
# Last line: as described: labels [0, 1, 2] became [2, 1, 0], boxes moved, the image did not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


image = torch.arange(3 * 4 * 8).reshape(3, 4, 8)
labels = torch.tensor([0, 1, 2])
boxes = tv_tensors.BoundingBoxes([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2]], format="XYXY", canvas_size=(4, 8))
flip = v2.RandomHorizontalFlip(p=1)


def outcome(**sample):
    flipped = flip(sample)
    moved = [not torch.equal(flipped[name], sample[name]) for name in ("image", "boxes")]
    return flipped["labels"].tolist(), *moved


expect("image first: labels, image moved, boxes moved", outcome(image=image, labels=labels, boxes=boxes), ([0, 1, 2], True, True))
marked = tv_tensors.Image(image)
expect("image marked", outcome(labels=labels, image=marked, boxes=boxes), ([0, 1, 2], True, True))
expect("labels first", outcome(labels=labels, image=image, boxes=boxes), ([2, 1, 0], False, True))
print("as described: labels [0, 1, 2] became [2, 1, 0], boxes moved, the image did not")
PYTHON
