#!/usr/bin/env bash
# Six operation counters with torch 2.13.0 on one transposed convolution of stride 2, as necks and decoders use to enlarge maps.
#
# Expected: every input position meets every weight once: 8 * 8 * (4 * 4 * 4 * 4) = 16,384 multiply-accumulates, by all of them.
# Seen: torch, ptflops and fvcore say so. thop, torchinfo and torchprofile multiply the weights by the positions of the output, four
#   times as many: a decoder's cost depends fourfold on the counter, far more than what they disagree by on other layers.
# Last line: as described: 16384 by torch, ptflops, fvcore; 65536 by thop, torchinfo, torchprofile
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 ptflops==0.7.5 \
    fvcore==0.1.5.post20221221 thop==0.1.1.post2209072238 torchinfo==1.8.0 torchprofile==0.1.0 numpy==2.4.6 setuptools==78.1.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import logging
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import fvcore.nn  # noqa: E402
import ptflops  # noqa: E402
import thop  # noqa: E402
import torch  # noqa: E402
import torchinfo  # noqa: E402
import torchprofile  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


layer = nn.Sequential(nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, bias=False)).eval()
image = torch.zeros(1, 4, 8, 8)
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    layer(image)
flags = {"as_strings": False, "print_per_layer_stat": False}
expect("torch", counter.get_total_flops() // 2, 16384)
expect("ptflops", int(ptflops.get_model_complexity_info(layer, (4, 8, 8), **flags)[0]), 16384)
expect("fvcore", int(fvcore.nn.FlopCountAnalysis(layer, image).total()), 16384)
expect("torchinfo", torchinfo.summary(layer, input_data=image, verbose=0).total_mult_adds, 65536)
expect("torchprofile", torchprofile.profile_macs(layer, image), 65536)
expect("thop", int(thop.profile(layer, (image,), verbose=False)[0]), 65536)
print("as described: 16384 by torch, ptflops, fvcore; 65536 by thop, torchinfo, torchprofile")
PYTHON
