"""What a picture of ImageNet's size costs a training's reading processes: decoded by whom, and read from where.

    GSNET_DATA=FOLDER python -m benchmarks.picture_reading

Pictures: parts of 500 x 375 pixels of the photographs in GSNET_DATA/aerial_cars.tar, and their wholes at 2,000 x 1,500, as JPEG
files of quality 90. Milliseconds of one thread's processor time a picture, the least of several passes over them.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from gsnet.data.data_sets import data_set
from gsnet.data.pictures import content_of, decoded
from gsnet.data.settings import DataSettings

ARCHIVE = "aerial_cars.tar"
SIZES = {"500 x 375": (500, 375), "2,000 x 1,500": (2000, 1500)}
PICTURES, PASSES = 32, 5


def write_pictures(folder: Path, size: tuple[int, int]) -> list[Path]:
    """Pictures of one size below folder/train/class, and the same in the archive folder_packed/train/0.tar."""
    classes = folder / "train/class"
    classes.mkdir(parents=True)
    packed = folder.with_name(f"{folder.name}_packed") / "train"
    packed.mkdir(parents=True)
    with tarfile.open(data_file(ARCHIVE)) as photographs:
        members = [member for member in photographs if member.name.lower().endswith(".jpg")][:PICTURES]
        for place, member in enumerate(members):
            content = photographs.extractfile(member)
            if content is None:
                continue
            picture = Image.open(content).convert("RGB")
            # A part at its own resolution has the detail of a photograph of that size; the large ones are enlarged by little.
            fits = size[0] <= picture.width and size[1] <= picture.height
            picture = picture.crop((0, 0, *size)) if fits else picture.resize(size, Image.Resampling.BICUBIC)
            picture.save(classes / f"{place}.jpg", quality=90)
    files = sorted(classes.iterdir())
    with tarfile.open(packed / "0.tar", "w") as archive:
        for file in files:
            archive.add(file, f"class/{file.name}")
    return files


def milliseconds(work: Callable[[int], object], count: int) -> float:
    """Of a picture, the least of the passes."""
    found = []
    for _ in range(PASSES):
        begun = time.thread_time()
        for place in range(count):
            work(place)
        found.append((time.thread_time() - begun) / count)
    return 1e3 * min(found)


def decoders(files: list[Path]) -> dict[str, Callable[[int], object]]:
    """Ways from a file to pixels, RGB."""
    contents = [content_of(file) for file in files]
    flat = [np.frombuffer(content, np.uint8) for content in contents]
    tensors = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents]
    return {
        "decoded by Pillow": lambda place: decoded(contents[place], files[place]),
        "by OpenCV": lambda place: cv2.imdecode(flat[place], cv2.IMREAD_COLOR_RGB),
        "by torchvision": lambda place: decode_jpeg(tensors[place], ImageReadMode.RGB),
    }


def trainings(folder: Path) -> dict[str, Callable[[int], object]]:
    """Ways from a file to what a network is trained on, 224 x 224."""
    plain = DataSettings("imagenet", folder, batch_size=64, workers=0, input_image_size=224)
    packed = replace(plain, data_dir=folder.with_name(f"{folder.name}_packed"))
    reduced = replace(plain, reduced_decoding=True)
    sets = {"from folders": plain, "from an archive": packed, "with --reduced_decoding": reduced}
    return {name: data_set(settings, train=True).__getitem__ for name, settings in sets.items()}


def main() -> int:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary
        columns = {}
        for name, size in SIZES.items():
            folder = Path(temporary) / f"{size[0]}"
            files = write_pictures(folder, size)
            ways = decoders(files) | trainings(folder)
            columns[name] = {way: milliseconds(work, len(files)) for way, work in ways.items()}
    print(f"| milliseconds a picture | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|", sep="\n")
    for way in next(iter(columns.values())):
        print(f"| {way} | {' | '.join(f'{column[way]:.1f}' for column in columns.values())} |")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
