#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93: decoding at half size, cv2.IMREAD_REDUCED_COLOR_2.
#
# Expected: one image of odd sides has the same size at half size whatever file it comes from, and its boxes are divided by 2.
# Seen: JPEG rounds up, PNG, BMP and WebP down: a pixel of the one stands for exactly 2 x 2, of the others for a little more, as
#   they are decoded whole and then resized.
# Last line: as described: half of 101 x 67 pixels is 51 x 34 of a JPEG and 50 x 33 of every other format
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy

image = numpy.random.default_rng(0).integers(0, 256, (67, 101, 3), numpy.uint8)
sizes = {}
for suffix in (".jpg", ".png", ".bmp", ".webp"):
    half = cv2.imdecode(cv2.imencode(suffix, image)[1], cv2.IMREAD_REDUCED_COLOR_2)
    sizes[suffix] = half.shape[1::-1]
    print(f"{suffix}: {sizes[suffix][0]} x {sizes[suffix][1]}")
if sizes.pop(".jpg") != (51, 34) or set(sizes.values()) != {(50, 33)}:
    raise SystemExit("changed")
print("as described: half of 101 x 67 pixels is 51 x 34 of a JPEG and 50 x 33 of every other format")
PYTHON
