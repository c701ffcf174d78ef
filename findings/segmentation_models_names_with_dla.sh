#!/usr/bin/env bash
# segmentation-models-pytorch 0.6.0: a `tu-` encoder that is a folder of timm's (`local-dir:`), whose path holds the letters "dla".
#
# Expected: `tu-NAME` takes whatever timm loads under NAME; a folder's path says nothing of the architecture in it.
# Seen: the whole name is searched for "dla" (and "tresnet"). A ResNet-18 in a folder called `lantern` works; the same folder called
#   `landlab` is taken for a DLA network, whose maps are counted from another one on: IndexError, which speaks of no folder.
# Last line: as described: the path of a timm folder decides which maps an encoder gives
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 timm==1.0.31 numpy==2.4.6 \
    segmentation-models-pytorch==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import shutil

import segmentation_models_pytorch as smp
import timm
import torch


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def masks(folder):
    try:
        net = smp.Unet(f"tu-local-dir:{folder}", encoder_weights=None, classes=2)
        return tuple(net.eval()(torch.zeros(1, 3, 64, 64)).shape)
    except IndexError:
        return "IndexError"


timm.models.save_for_hf(timm.create_model("resnet18"), "lantern")
shutil.copytree("lantern", "landlab")
for name in ("lantern", "landlab"):
    expect(f"timm loads {name}", timm.create_model(f"local-dir:{name}", pretrained=True).num_features, 512)
expect("masks over lantern", masks("lantern"), (1, 2, 64, 64))
expect("masks over landlab", masks("landlab"), "IndexError")
print("as described: the path of a timm folder decides which maps an encoder gives")
PYTHON
