#!/usr/bin/env bash
# thop 0.1.1.post2209072238 with torch 2.13.0: what a count leaves behind in the model that was counted.
#
# Expected: a count reads a model and leaves it as it was.
# Seen: layers for which thop has no rule (Hardswish, Flatten, any class of one's own) keep two buffers, `total_ops` and
#   `total_params`: they enter the state dict, so that a checkpoint saved afterwards no longer loads strictly. And a BN layer that
#   was frozen by `.eval()` inside a model in training mode is in training mode again: its statistics move from the next step on.
# Last line: as described: 4 foreign keys in the state dict, a frozen BN thawed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 thop==0.1.1.post2209072238 numpy==2.4.6 setuptools==78.1.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")
import thop  # noqa: E402


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def network():
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Hardswish(), *pooled)


model = network().train()
model[1].eval()
thop.profile(model, (torch.zeros(1, 3, 16, 16),), verbose=False)
foreign = sorted(set(model.state_dict()) - set(network().state_dict()))
expect("foreign keys", foreign, ["2.total_ops", "2.total_params", "4.total_ops", "4.total_params"])
try:
    network().load_state_dict(model.state_dict())
    loads = True
except RuntimeError:
    loads = False
expect("the state dict loads strictly", loads, False)
expect("the frozen BN is in training mode", model[1].training, True)
print(f"as described: {len(foreign)} foreign keys in the state dict, a frozen BN thawed")
PYTHON
