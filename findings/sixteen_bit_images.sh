#!/usr/bin/env bash
# Pillow 13.0.0 and opencv-python-headless 5.0.0.93: one 16-bit PNG file, as thermal cameras of drones write, read as 8-bit RGB.
#
# Expected: both give the picture with 8 bits a channel, a 257th of each value.
# Seen: Pillow's `convert("RGB")` cuts every value above 255 to 255, which makes nearly all of such an image white; OpenCV's
#   `imread` keeps the high byte. Networks that learn through one loader and run through the other see other pictures.
# Last line: as described: Pillow gives 255 for every grey above 255 of 65535, OpenCV scales
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
from PIL import Image


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


greys = np.array([[0, 200, 256, 5140, 25700, 65535]], dtype=np.uint16)
cv2.imwrite("thermal.png", greys)
expect("Pillow, 8 bits", np.asarray(Image.open("thermal.png").convert("RGB"))[0, :, 0].tolist(), [0, 200, 255, 255, 255, 255])
expect("OpenCV, 8 bits", cv2.imread("thermal.png")[0, :, 0].tolist(), [0, 0, 1, 20, 100, 255])
unchanged = np.asarray(Image.open("thermal.png"))
expect("both read 16 bits where asked", (unchanged == cv2.imread("thermal.png", cv2.IMREAD_UNCHANGED)).all().item(), True)
print("as described: Pillow gives 255 for every grey above 255 of 65535, OpenCV scales")
PYTHON
