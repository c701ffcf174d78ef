#!/usr/bin/env bash
# timm 1.0.31 and torchvision 0.29.1: MobileNetV3-Large of both, 5,483,032 parameters of the same shapes in the same order.
#
# Expected: one architecture: weights that are carried over give the same logits.
# Seen: weights fit without an error and logits differ (by far with random weights, whose variances are small). torchvision's BN
#   adds 0.001 to the variance and keeps 0.99 of its statistics, timm's adds 0.00001 and keeps 0.9: neither is in the state dict.
#   With eps set alike, logits are the same to the last digits.
# Last line: as described: carried weights give other logits until BN's eps is set from 1e-5 to 1e-3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 timm==1.0.31 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import timm
import torch
import torchvision
from torch import nn


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def norms(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def largest_difference(one, other, images):
    with torch.no_grad():
        expected = one(images)
        return float((other(images) - expected).abs().max() / expected.abs().max())


torch.manual_seed(0)
first = torchvision.models.mobilenet_v3_large()
for layer in norms(first):
    layer.momentum = None
images = torch.randn(8, 3, 64, 64)
with torch.no_grad():
    first(images)
first.eval()
second = timm.create_model("mobilenetv3_large_100").eval()
expect("parameters", {sum(p.numel() for p in model.parameters()) for model in (first, second)}, {5483032})
values = zip(second.state_dict().items(), first.state_dict().values())
second.load_state_dict({name: value.reshape(own.shape) for (name, own), value in values}, strict=True)
expect("eps by torchvision and timm", [{layer.eps for layer in norms(model)} for model in (first, second)], [{1e-3}, {1e-5}])

before = largest_difference(first, second, images)
expect("more than one per cent", before > 0.01, True)
for layer in norms(second):
    layer.eps = 1e-3
expect("less than a millionth with the same eps", largest_difference(first, second, images) < 1e-6, True)
print("as described: carried weights give other logits until BN's eps is set from 1e-5 to 1e-3")
PYTHON
