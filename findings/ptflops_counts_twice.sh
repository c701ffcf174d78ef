#!/usr/bin/env bash
# ptflops 0.7.5 (its default back end) with torch 2.13.0: one ReLU, as a module and as a function.
#
# Expected: one operation an element, however it is written; 256 elements count 256.
# Seen: nn.ReLU counts 512, torch.relu's sibling functional.relu 256: the module is counted by its hook and once more by the patched
#   function that it calls. The same holds for pools. A network's figure depends on how its author wrote activations: in light
#   networks that is several per cent. nn.SiLU counts once, nn.Hardswish not at all.
# Last line: as described: of 256 elements nn.ReLU counts 512, functional.relu 256, nn.SiLU 256, nn.Hardswish 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 ptflops==0.7.5 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from ptflops import get_model_complexity_info
from torch import nn
from torch.nn import functional


class Rectify(nn.Module):
    def forward(self, x):
        return functional.relu(x)


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def count(layer):
    flags = {"as_strings": False, "print_per_layer_stat": False}
    return int(get_model_complexity_info(nn.Sequential(nn.Identity(), layer), (1, 16, 16), **flags)[0])


expect("nn.ReLU", count(nn.ReLU()), 512)
expect("functional.relu", count(Rectify()), 256)
expect("nn.MaxPool2d", count(nn.MaxPool2d(2)), 512)
expect("nn.SiLU", count(nn.SiLU()), 256)
expect("nn.Hardswish", count(nn.Hardswish()), 0)
print("as described: of 256 elements nn.ReLU counts 512, functional.relu 256, nn.SiLU 256, nn.Hardswish 0")
PYTHON
