#!/usr/bin/env bash
# Ultralytics 8.4.190: reading a data set whose JPEG files have bytes behind their end.
#
# Expected: reading labels and pictures, for a training or only for a validation, changes no picture. Viewers and every decoder take
#   such files: cameras and phones append previews, depth or the video of a moving picture.
# Seen: what does not end in the two bytes FF D9 is called a corrupt JPEG and written over in its place: decoded, compressed anew at
#   quality 100 to more than four times the bytes, without EXIF (camera, time, place) and without the bytes behind its end. The
#   data set's checksums are others, and where a drone took the picture is lost. One line of the log says "restored". A file
#   without appended bytes is left alone, and so is one that is cut off in the middle, which is passed over.
# Last line: as described: a whole JPEG with bytes behind its end is written over, larger and without EXIF; the others stay
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    ultralytics==8.4.190 torch==2.14.1 torchvision==0.29.1 opencv-python==5.0.0.93 pillow==13.0.0 numpy==2.4.6
cd "$folder"
YOLO_CONFIG_DIR="$folder/settings" YOLO_OFFLINE=1 venv/bin/python - <<'PYTHON'
import io
from pathlib import Path

import numpy
from PIL import Image
from ultralytics.data.dataset import YOLODataset

PLACE, MODEL = 0x8825, 0x0110


def picture():
    """A JPEG of 128 x 128 pixels by a camera that notes its name and its place."""
    exif = Image.Exif()
    exif[MODEL] = "a camera"
    exif.get_ifd(PLACE).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 20.0, 0.0)})
    tiles = numpy.random.default_rng(0).integers(0, 256, (8, 8, 3), numpy.uint8)
    written = io.BytesIO()
    Image.fromarray(tiles.repeat(16, 0).repeat(16, 1)).save(written, "JPEG", quality=80, exif=exif)
    return written.getvalue()


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def named(file):
    with Image.open(file) as image:
        return image.getexif().get(MODEL)


for name in ("images", "labels"):
    Path("data", name).mkdir(parents=True)
files = {"whole.jpg": picture(), "appended.jpg": picture() + bytes(16), "cut.jpg": picture()[:-200]}
for name, content in files.items():
    Path("data/images", name).write_bytes(content)
    Path("data/labels", name).with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2\n")
data = YOLODataset(img_path="data/images", data={"names": {0: "car"}, "channels": 3}, task="detect", augment=False, imgsz=128)
expect("pictures that it reads", sorted(Path(file).name for file in data.im_files), ["appended.jpg", "whole.jpg"])
for name, content in files.items():
    file = Path("data/images", name)
    expect(f"{name} is the file that it was", file.read_bytes() == content, name != "appended.jpg")
    expect(f"{name} is larger than four times", file.stat().st_size > 4 * len(content), name == "appended.jpg")
    expect(f"{name} names its camera", named(file), None if name == "appended.jpg" else "a camera")
print("as described: a whole JPEG with bytes behind its end is written over, larger and without EXIF; the others stay")
PYTHON
