#!/usr/bin/env bash
# pnnx 20261020 with torch 2.13.0: a network that is an nn.Sequential at its top, exported to ncnn.
#
# Expected: files for ncnn, as for a class of one's own; nn.Sequential is torch's simplest network.
# Seen: SyntaxError. pnnx writes a Python file beside ncnn's, names its attributes after the layers - `self.2 = nn.Hardswish()` - and
#   imports it. ncnn's files have been written by then and work. The same layers inside a class with names export without an error.
# Last line: as described: an nn.Sequential ends in SyntaxError, a class with the same layers is exported
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 pnnx==20261020 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' | grep -E "^(an |ncnn|as described|changed)"
from pathlib import Path

import pnnx
import torch
from torch import nn


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish())

    def forward(self, x):
        return self.body(x)


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        print(f"changed: {what} was {stated}", flush=True)
        raise SystemExit(1)


def exported(model, name):
    try:
        pnnx.export(model.eval(), f"{name}.pt", torch.rand(1, 3, 16, 16))
    except SyntaxError:
        return "SyntaxError"
    return "exported"


expect("an nn.Sequential", exported(Named().body, "plain"), "SyntaxError")
expect("ncnn's file is there", Path("plain.ncnn.param").is_file(), True)
expect("an nn.Module around it", exported(Named(), "named"), "exported")
print("as described: an nn.Sequential ends in SyntaxError, a class with the same layers is exported")
PYTHON
