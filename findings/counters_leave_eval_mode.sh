#!/usr/bin/env bash
# ptflops 0.7.5, calflops 0.3.2 and torchinfo 1.8.0 with torch 2.13.0: the mode of a model after it was counted.
#
# Expected: a model in training mode is in training mode afterwards, as torchinfo leaves it.
# Seen: ptflops (both back ends) and calflops leave it in evaluation mode. A script that prints the costs between building the
#   model and training it trains with dropout off and with BN on statistics that never move, without a word.
# Last line: as described: ptflops and calflops leave a model in evaluation mode, torchinfo does not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 ptflops==0.7.5 calflops==0.3.2 transformers==5.24.0 torchinfo==1.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torchinfo
from calflops import calculate_flops
from ptflops import get_model_complexity_info
from torch import nn

SHAPE = (3, 16, 16)
QUIET = {"print_per_layer_stat": False, "as_strings": False}
COUNTERS = {
    "ptflops": lambda model: get_model_complexity_info(model, SHAPE, backend="pytorch", **QUIET),
    "ptflops, aten": lambda model: get_model_complexity_info(model, SHAPE, backend="aten", **QUIET),
    "calflops": lambda model: calculate_flops(model, input_shape=(1, *SHAPE), print_results=False),
    "torchinfo": lambda model: torchinfo.summary(model, input_size=(1, *SHAPE), verbose=0),
}


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


for name, count in COUNTERS.items():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout()).train()
    count(model)
    expect(f"training mode after {name}", model.training, name == "torchinfo")
print("as described: ptflops and calflops leave a model in evaluation mode, torchinfo does not")
PYTHON
