#!/usr/bin/env bash
# timm 1.0.31 with Pillow 12.0.0 and with Pillow 13.0.0: RandAugment as timm's own recipes name it, rand-m9-mstd0.5-inc1.
#
# Expected: a policy changes every picture, or is refused when it is made.
# Seen: one of its changes keeps 4 bits of a channel at magnitude 0 and none at magnitude 10, which one draw in forty reaches by its
#   spread of 0.5. Pillow 12 makes such a picture black; Pillow 13 raises ValueError, so that a training ends after some hundred to
#   some thousand pictures. Weak policies without -inc1 count the other way round: rand-m2 keeps no bits in every such change.
# Last line: as described: rand-m9-mstd0.5-inc1 and rand-m2 change every picture by Pillow 12 and end in a ValueError by Pillow 13
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check timm==1.0.31 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6 \
    pillow==12.0.0
cd "$folder"
cat > policies.py <<'PYTHON'
import random
import sys

import numpy
import PIL
from PIL import Image
from timm.data.auto_augment import rand_augment_transform

PICTURE = Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=numpy.uint8))
PICTURES = 5000


def first_failure(policy):
    """How many pictures were changed before the first error, and the error."""
    random.seed(0)
    numpy.random.seed(0)
    change = rand_augment_transform(policy, {"translate_const": 5, "img_mean": (128, 128, 128)})
    for number in range(PICTURES):
        try:
            change(PICTURE)
        except ValueError as error:
            return number, str(error)
    return PICTURES, "no error"


for policy in ("rand-m9-mstd0.5-inc1", "rand-m2"):
    changed, error = first_failure(policy)
    print(f"Pillow {PIL.__version__}, {policy}: {changed} pictures, then {error}")
    if ("bits must be" in error) != (sys.argv[1] == "raises") or (sys.argv[1] == "works" and changed < PICTURES):
        raise SystemExit("changed")
PYTHON
venv/bin/python policies.py works
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0
venv/bin/python policies.py raises
echo "as described: rand-m9-mstd0.5-inc1 and rand-m2 change every picture by Pillow 12 and end in a ValueError by Pillow 13"
