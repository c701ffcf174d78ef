#!/usr/bin/env bash
# timm 1.0.31 counted by ptflops 0.7.5 (its default back end) and thop 0.1.1.post2209072238, torch 2.14.1.
#
# Expected: mobilenetv3_large_100 and tf_mobilenetv3_large_100 have the same layers at 224 pixels and count the same.
# Seen: in the latter, convolutions of stride 2 are of timm's class Conv2dSame. Both counters look a layer up by its exact class and
#   count a subclass of Conv2d as nothing: the stem and every stride-2 layer are missing, 9.9 million multiply-accumulates. torch's
#   counter has the same figure for both. The same holds for weight-standardised or any other derived convolution.
# Last line: as described: ptflops and thop leave 9.88 M of 216.59 M out where layers are Conv2dSame, torch does not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6 \
    timm==1.0.31 ptflops==0.7.5 thop==0.1.1.post2209072238 setuptools==78.1.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import ptflops  # noqa: E402
import thop  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def counts(name):
    model = timm.create_model(name).eval()
    image = torch.zeros(1, 3, 224, 224)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    flags = {"as_strings": False, "print_per_layer_stat": False}
    by_ptflops = ptflops.get_model_complexity_info(model, (3, 224, 224), **flags)[0]
    return counter.get_total_flops() // 2, int(by_ptflops), int(thop.profile(model, (image,), verbose=False)[0])


plain, same = counts("mobilenetv3_large_100"), counts("tf_mobilenetv3_large_100")
print("torch, ptflops, thop:", plain, same)
expect("torch, both", (plain[0], same[0]), (216589760, 216589760))
expect("missing by ptflops and thop", (plain[1] - same[1], plain[2] - same[2]), (9883104, 9883104))
print("as described: ptflops and thop leave 9.88 M of 216.59 M out where layers are Conv2dSame, torch does not")
PYTHON
