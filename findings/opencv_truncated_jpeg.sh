#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 and Pillow 13.0.0: half of a JPEG file, as an interrupted download leaves it.
#
# Expected: neither library gives an image, as OpenCV gives none for half of a PNG file.
# Seen: OpenCV returns an image of full size whose missing part is grey, (128, 128, 128), and says so only in a line on standard
#   error; Pillow raises OSError. A detector is trained on boxes around grey.
# Last line: as described: OpenCV fills the missing part of a JPEG with grey, Pillow refuses the file
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


coarse = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
image = Image.fromarray(coarse).resize((320, 240))
for suffix in ("jpg", "png"):
    image.save(f"whole.{suffix}", quality=95)
    whole = Path(f"whole.{suffix}").read_bytes()
    Path(f"half.{suffix}").write_bytes(whole[: len(whole) // 2])

read = cv2.imread("half.jpg")
expect("OpenCV's size of half a JPEG", None if read is None else read.shape, (240, 320, 3))
expect("its last row is grey", bool((read[-1] == 128).all()), True)
expect("OpenCV's image of half a PNG", cv2.imread("half.png"), None)
try:
    Image.open("half.jpg").load()
    refused = False
except OSError:
    refused = True
expect("Pillow refuses half a JPEG", refused, True)
print("as described: OpenCV fills the missing part of a JPEG with grey, Pillow refuses the file")
PYTHON
