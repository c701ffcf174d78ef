#!/usr/bin/env bash
# torch 2.13.0: its own FlopCounterMode on layers that torch computes in one fused call.
#
# Expected: the same figure with and without gradients, in training and in evaluation mode.
# Seen: a transformer's encoder layer in evaluation mode under `no_grad` - as one counts for a table - takes the fast path and
#   counts 0; with gradients on, the same layer counts its linear parts, and on a processor none of attention's two products, which
#   it counts where `sdpa_kernel(SDPBackend.MATH)` spells them out. An LSTM counts 0 in every mode. None of it is warned of: a
#   network with such layers comes out cheaper by exactly those.
# Last line: as described: an encoder layer counts 107520 spelt out, 81920 with gradients and 0 without, an LSTM 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def flops(layer, tokens, gradients):
    with torch.set_grad_enabled(gradients), FlopCounterMode(display=False) as counter:
        layer(tokens)
    return counter.get_total_flops()


tokens = torch.zeros(1, 20, 16)
encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
linear, products = 4 * 2 * 20 * 16 * 16 + 2 * 2 * 20 * 16 * 32, 2 * 2 * 20 * 20 * 16
with sdpa_kernel(SDPBackend.MATH):
    expect("encoder layer spelt out", flops(encoder, tokens, True), linear + products)
expect("encoder layer with gradients", flops(encoder, tokens, True), linear)
expect("encoder layer without", flops(encoder, tokens, False), 0)
expect("its linear layer without", flops(encoder.linear1, tokens, False), 2 * 20 * 16 * 32)
recurrent = nn.LSTM(16, 16, batch_first=True)
expect("LSTM with gradients", flops(recurrent.train(), tokens, True), 0)
expect("LSTM without", flops(recurrent.eval(), tokens, False), 0)
print("as described: an encoder layer counts 107520 spelt out, 81920 with gradients and 0 without, an LSTM 0")
PYTHON
