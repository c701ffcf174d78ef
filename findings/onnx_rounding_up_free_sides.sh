#!/usr/bin/env bash
# torch.onnx.export of torch 2.14.1 with a free side, onnxruntime 1.32.0.
#
# Expected: a side rounded up in Python's way, -(-side // 64), is the same number in the file as in torch.
# Seen: the file divides a negative number, which ONNX rounds towards zero: one too small for all sides but multiples of 64, and
#   nothing says so while the export is checked at a size where both agree. (side + 63) // 64 is right.
# Last line: as described: a grid of a free side rounded up has one row too few, and none too few when rounded by an addition
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 \
    onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import numpy
import onnxruntime
import torch
from torch import nn
from torch.export import Dim


class Grid(nn.Module):
    """The rows of a detector's coarsest map."""

    def forward(self, images):
        return torch.arange(-(-images.shape[2] // 64))


class GridByAddition(nn.Module):
    def forward(self, images):
        return torch.arange((images.shape[2] + 63) // 64)


def rows(module, side):
    free = ({2: 32 * Dim("half", min=1, max=100)},)
    name = f"{type(module).__name__}.onnx"
    torch.onnx.export(module, (torch.zeros(1, 3, 128, 64),), name, input_names=["images"], dynamo=True, dynamic_shapes=free)
    session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    image = numpy.zeros((1, 3, side, 64), numpy.float32)
    return len(session.run(None, {"images": image})[0]), len(module(torch.from_numpy(image)))


seen = {(type(module).__name__, side): rows(module, side) for module in (Grid(), GridByAddition()) for side in (128, 96)}
for (name, side), (found, wanted) in seen.items():
    print(f"{name} at {side} rows of pixels: {found} in the file, {wanted} in torch")
if list(seen.values()) != [(2, 2), (1, 2), (2, 2), (2, 2)]:
    raise SystemExit("changed")
print("as described: a grid of a free side rounded up has one row too few, and none too few when rounded by an addition")
PYTHON
