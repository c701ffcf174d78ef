#!/usr/bin/env bash
# kornia 0.9.0 with torch 2.14.1: AugmentationSequential with data_keys "input" and "bbox_xyxy", a picture of 100 x 100 pixels.
#
# Expected: boxes stay around what they were around: the whole picture's, 0, 0, 100, 100, is the whole picture's afterwards.
# Seen: corners are moved as if they were the middles of pixels. A flip moves every box one pixel too far to the left, the whole
#   picture's to -1 and 99; at half size its corner is 49.49, at double size 201.01. A flipped person of 3 pixels overlaps his box by
#   half: intersection over union 0.5, at the threshold at which detectors are judged.
# Last line: as described: the picture's own box is [-1, 0, 99, 100] after a flip, and ends at 49.49 of 50 and 201.01 of 200 pixels
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kornia==0.9.0 torch==2.14.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip, Resize

WHOLE, PERSON = [0.0, 0, 100, 100], [20.0, 20, 23, 23]


def moved(change):
    """The boxes after a change, and where the picture's person is then: first and last column of his, the latter exclusive."""
    picture = torch.zeros(1, 1, 100, 100)
    picture[..., 20:23, 20:23] = 1
    changed, boxes = AugmentationSequential(change, data_keys=["input", "bbox_xyxy"])(picture, torch.tensor([[WHOLE, PERSON]]))
    columns = changed[0, 0].sum(0).nonzero()
    person = [int(columns.min()), int(columns.max()) + 1]
    return [[round(value, 2) for value in box] for box in boxes[0].tolist()], person


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


(whole, person), columns = moved(RandomHorizontalFlip(p=1.0))
expect("the picture's box after a flip", whole, [-1, 0, 99, 100])
expect("a person's box after a flip", person, [76, 20, 79, 23])
expect("the columns where he is", columns, [77, 80])
expect("the picture's box at half size", moved(Resize((50, 50)))[0][0], [0, 0, 49.49, 49.49])
expect("the picture's box at double size", moved(Resize((200, 200)))[0][0], [0, 0, 201.01, 201.01])
print("as described: the picture's own box is [-1, 0, 99, 100] after a flip, and ends at 49.49 of 50 and 201.01 of 200 pixels")
PYTHON
