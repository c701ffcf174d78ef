#!/usr/bin/env bash
# ExecuTorch 1.5.1 with torch 2.13.0: an image in memory format channels_last given to an exported program.
#
# Expected: torch's own meaning: a memory format is no other tensor, the answer is the same; or a refusal, as for a wrong type or size.
# Seen: the program reads the memory as if it were in its own order and answers without an error on an image whose pixels are
#   shuffled. Tensors made from OpenCV's or Pillow's arrays by `permute` have this format.
# Last line: as described: a channels_last image is read as its memory lies
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 executorch==1.5.1 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import torch
from executorch.exir import to_edge
from executorch.runtime import Runtime
from torch import nn


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
image = torch.rand(1, 3, 16, 16)
program = to_edge(torch.export.export(network, (image,))).to_executorch()
method = Runtime.get().load_program(program.buffer).load_method("forward")


def error(given, meant):
    with torch.no_grad():
        return float((method.execute([given])[0] - network(meant)).abs().max())


last = image.to(memory_format=torch.channels_last)
shuffled = image.permute(0, 2, 3, 1).contiguous().reshape(image.shape)
expect("the same tensor to torch", torch.equal(last, image), True)
expect("contiguous image, error below 1e-6", error(image, image) < 1e-6, True)
expect("channels_last image, error below 1e-3", error(last, image) < 1e-3, False)
expect("channels_last image taken for its memory, error below 1e-6", error(last, shuffled) < 1e-6, True)
print("as described: a channels_last image is read as its memory lies")
PYTHON
