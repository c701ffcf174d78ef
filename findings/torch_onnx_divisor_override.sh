#!/usr/bin/env bash
# torch.onnx of torch 2.14.1, both exporters, and OpenVINO 2026.4.1: average pooling with a divisor of its own.
#
# Expected: the file divides by the divisor, or the export is refused: ONNX's AveragePool has no such attribute.
# Seen: both exporters leave the divisor out without a warning. AvgPool2d(2, divisor_override=1), which is how torch sums over
#   windows, becomes an average: a quarter of each sum. OpenVINO's own converter refuses the layer and names the divisor.
# Last line: as described: both ONNX files average where torch sums; OpenVINO refuses
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON' 2>error.txt || { tail -n 5 error.txt; exit 1; }
import warnings

import onnxruntime
import openvino
import torch
from torch import nn


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        print(f"changed: {what} was {stated}", flush=True)
        raise SystemExit(1)


def by_file(layer, maps, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.onnx.export(layer, (maps,), "layer.onnx", **options)
    about_it = [warning for warning in said if "divisor" in str(warning.message)]
    session = onnxruntime.InferenceSession("layer.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: maps.numpy()})[0].flatten().tolist(), len(about_it)


maps = torch.arange(16.0).reshape(1, 1, 4, 4)
layer = nn.AvgPool2d(2, divisor_override=1).eval()
expect("torch", layer(maps).flatten().tolist(), [10, 18, 42, 50])
expect("file, dynamo=True; warnings", by_file(layer, maps, dynamo=True, verbose=False), ([2.5, 4.5, 10.5, 12.5], 0))
expect("file, dynamo=False; warnings", by_file(layer, maps, dynamo=False), ([2.5, 4.5, 10.5, 12.5], 0))
try:
    openvino.convert_model(layer, example_input=maps)
    said = ""
except openvino.frontend.OpConversionFailure as error:
    said = str(error)
expect("OpenVINO refuses a divisor", "divisor" in said, True)
print("as described: both ONNX files average where torch sums; OpenVINO refuses")
PYTHON
