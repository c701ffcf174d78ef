#!/usr/bin/env bash
# torchinfo 1.8.0 with torch 2.13.0: "total mult-adds" of layers that are no plain convolutions.
#
# Expected: a linear layer over 196 tokens counts 196 times its weights; a convolution counts the same under any class name.
# Seen: the linear layer counts once, as if for one token - a vision transformer comes out about thirty times too cheap - and a
#   layer is taken for a convolution if its class's name holds "Conv": the same convolution in a subclass called `Stem` counts its
#   weights once instead of once a position.
# Last line: as described: 196 tokens count as one, and a convolution named Stem as 81 instead of 20736 multiply-accumulates
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchinfo==1.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary


class Stem(nn.Conv2d):
    """A convolution by another name."""


class StemConv(nn.Conv2d):
    """The same by a third one."""


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def counts(layer, shape):
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(shape))
    return summary(layer, input_size=shape, verbose=0).total_mult_adds, counter.get_total_flops() // 2


tokens = nn.Sequential(nn.Linear(64, 64, bias=False))
expect("one token, by torchinfo and by torch", counts(tokens, (1, 64)), (4096, 4096))
expect("196 tokens, by torchinfo and by torch", counts(tokens, (1, 196, 64)), (4096, 196 * 4096))
image, arguments = (1, 3, 16, 16), {"kernel_size": 3, "padding": 1, "bias": False}
expect("a convolution of class StemConv", counts(nn.Sequential(StemConv(3, 3, **arguments)), image), (20736, 20736))
expect("a convolution of class Stem", counts(nn.Sequential(Stem(3, 3, **arguments)), image), (81, 20736))
print("as described: 196 tokens count as one, and a convolution named Stem as 81 instead of 20736 multiply-accumulates")
PYTHON
