#!/usr/bin/env bash
# torchvision 0.29.1: batched_nms on boxes that reach beyond the image's left or upper border.
#
# Expected: boxes of different classes never suppress each other, as its documentation says.
# Seen: with up to 1000 boxes on the CPU classes are kept apart by moving each by (largest coordinate + 1); a box with negative
#   coordinates moves into the place of another class's box and is suppressed by it. From 1001 boxes on, or class by class, it is
#   kept. Detectors that do not clip boxes before suppression lose objects at borders, depending on how many others there are.
# Last line: as described: of two classes one box is lost among 2 boxes, none among 1002
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torchvision.ops import batched_nms


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


# A car at the lower right; a person of whom the upper left border cuts all but a corner.
boxes = torch.tensor([[90.0, 90, 100, 100], [-11, -11, -1, -1]])
scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
expect("kept of two", batched_nms(boxes, scores, classes, 0.5).tolist(), [0])

far = torch.arange(1000.0)[:, None] * torch.tensor([0.0, 1, 0, 1]) / 20 + torch.tensor([0.0, 0, 1, 1])
among = batched_nms(
    torch.cat([boxes, far]), torch.cat([scores, torch.zeros(1000)]), torch.cat([classes, torch.full((1000,), 2)]), 0.5
)
expect("the same two among 1002, kept", sorted(i for i in among.tolist() if i < 2), [0, 1])
inside = boxes.clamp(min=0)
expect("kept of two, clipped", batched_nms(inside, scores, classes, 0.5).tolist(), [0, 1])
print("as described: of two classes one box is lost among 2 boxes, none among 1002")
PYTHON
