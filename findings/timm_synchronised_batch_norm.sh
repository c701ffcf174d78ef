#!/usr/bin/env bash
# torch 2.14.1's SyncBatchNorm.convert_sync_batchnorm on networks of timm 1.0.31.
#
# Expected: the same network, whose batch normalisation looks at all processes' images once it trains: in evaluation mode, the same
#   outputs.
# Seen: timm's BatchNormAct2d normalises and activates in one layer. The converter puts a plain SyncBatchNorm into its place,
#   copies the activation into it as a part that nothing calls, and says nothing: every such activation is gone. Of MobileNetV3 no
#   output stays near its value, of ResNet, whose activations are layers of their own, all stay. Keys and parameters are the same,
#   so weights load either way, and what was trained on several GPUs is a different network on one. timm has a converter of its own.
# Last line: as described: torch's converter takes the activations out of MobileNetV3, timm's keeps them; ResNet stays as it is
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 timm==1.0.31 numpy==2.4.6
cd "$folder"
venv/bin/python -W error::UserWarning - <<'PYTHON'
import timm
import timm.layers
import torch
from torch import nn


def network(name):
    torch.manual_seed(0)
    made = timm.create_model(name).train()
    with torch.no_grad():
        for seed in range(3):
            made(torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))
    return made.eval()


@torch.no_grad()
def change(name, convert):
    """Of the largest output, how far the outputs of the converted network are from those before."""
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    before, converted = network(name), convert(network(name)).eval()
    if converted.state_dict().keys() != before.state_dict().keys():
        raise SystemExit("changed: other keys")
    expected = before(images)
    return float((converted(images) - expected).abs().max() / expected.abs().max())


TORCH, TIMM = nn.SyncBatchNorm.convert_sync_batchnorm, timm.layers.convert_sync_batchnorm
for name, whose, convert, same in (
    ("mobilenetv3_small_050", "torch", TORCH, False),
    ("mobilenetv3_small_050", "timm", TIMM, True),
    ("densenet121", "torch", TORCH, False),
    ("resnet18", "torch", TORCH, True),
):
    seen = change(name, convert)
    print(f"{name} by {whose}'s converter: outputs change by {seen:.3g} of the largest")
    if (seen < 1e-5) != same or (not same and seen < 0.5):
        raise SystemExit("changed")
print("as described: torch's converter takes the activations out of MobileNetV3, timm's keeps them; ResNet stays as it is")
PYTHON
