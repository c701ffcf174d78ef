#!/usr/bin/env bash
# OpenVINO 2026.4.1 (save_model) and pnnx 20261020, torch 2.13.0: a network exported with their defaults, nothing said of precision.
#
# Expected: weights of 32 bits in, weights of 32 bits in the file: converting is no compression.
# Seen: both write them with 16 bits. A weight of 1e-8, of which a BN folded into its convolution has many, becomes 0 and one of
#   0.1 is off by 0.02 %: enough to fail a comparison at 1e-4 that ONNX passes. `compress_to_fp16=False` and `fp16=False` keep them.
# Last line: as described: both files hold 16-bit weights by default, and 1e-8 is 0 in OpenVINO's
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 openvino==2026.4.1 pnnx==20261020 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON' | grep -E "^(bytes|the smallest|as described|changed)"
from pathlib import Path

import openvino
import pnnx
import torch
from torch import nn

WEIGHTS = 16 * 16 * 3 * 3


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(16, 16, 3, bias=False)

    def forward(self, x):
        return self.convolution(x).relu()


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        print(f"changed: {what} was {stated}", flush=True)
        raise SystemExit(1)


def bytes_a_weight(file):
    return round(Path(file).stat().st_size / WEIGHTS)


torch.manual_seed(0)
network = Network().eval()
network.convolution.weight.data[0] = 1e-8
image = torch.rand(1, 16, 8, 8)
for name, options in (("default", {}), ("kept", {"compress_to_fp16": False})):
    openvino.save_model(openvino.convert_model(network, example_input=image), f"{name}.xml", **options)
expect("bytes a weight, OpenVINO", (bytes_a_weight("default.bin"), bytes_a_weight("kept.bin")), (2, 4))
for name, options in (("default", {}), ("kept", {"fp16": False})):
    pnnx.export(network, f"{name}.pt", image, **options)
expect("bytes a weight, pnnx for ncnn", (bytes_a_weight("default.ncnn.bin"), bytes_a_weight("kept.ncnn.bin")), (2, 4))

core = openvino.Core()
for name, stated in (("default", 0.0), ("kept", 1e-8)):
    constants = (op.data for op in core.read_model(f"{name}.xml").get_ops() if op.get_type_name() == "Constant")
    smallest = min(float(abs(data).min()) for data in constants if data.size == WEIGHTS)
    expect(f"the smallest weight, {name}", round(smallest, 10), stated)
print("as described: both files hold 16-bit weights by default, and 1e-8 is 0 in OpenVINO's")
PYTHON
