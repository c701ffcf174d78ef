#!/usr/bin/env bash
# torch.onnx of torch 2.13.0 with onnxruntime 1.32.0: a network of a few hundred weights, exported, then given its final name.
#
# Expected: one file for a network far below the 2 GB that ONNX's format can hold; a renamed file works.
# Seen: `torch.onnx.export` writes the weights to a second file, NAME.onnx.data, and the first holds that name as text. A model
#   written under a temporary name and then moved into place - the usual way not to leave half a file - looks for weights that
#   are gone; copied alone to a device, it does not load. `external_data=False` writes one file.
# Last line: as described: the export is two files, and the renamed one does not load; with external_data=False it does
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import os
from pathlib import Path

import onnxruntime
import torch
from torch import nn


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def files_and_loads(name, **options):
    folder = Path(name)
    folder.mkdir()
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 1)).eval()
    torch.onnx.export(network, (torch.rand(1, 3, 16, 16),), folder / "part.onnx", dynamo=True, verbose=False, **options)
    files = len(list(folder.iterdir()))
    for file in list(folder.iterdir()):
        os.replace(file, folder / file.name.replace("part", "model"))
    try:
        onnxruntime.InferenceSession(folder / "model.onnx")
    except Exception as error:  # onnxruntime has classes of its own for each kind
        print(f"onnxruntime raises {type(error).__name__}")
        return files, False
    return files, True


expect("files, and whether it loads renamed", files_and_loads("default"), (2, False))
expect("the same with external_data=False", files_and_loads("whole", external_data=False), (1, True))
print("as described: the export is two files, and the renamed one does not load; with external_data=False it does")
PYTHON
