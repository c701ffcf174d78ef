"""VisDrone-VID and -MOT: videos as folders of frames, and one text file a sequence, ten comma-separated columns.

Frame from 1, target, and then VisDrone-DET's eight columns: left, top, width, height, score, category, truncation, occlusion.
Source: the data set's README (Zhu et al. 2021, TPAMI).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsnet.detection.image_files import images_by_frame, read_header
from gsnet.detection.scene import Scene, SceneSet, built
from gsnet.detection.visdrone_format import CATEGORIES, CLASS_NAMES, FormatError, annotation_files, read_rows, scene_of
from gsnet.interface.options import InputError

COLUMNS = ("frame", "target", "left", "top", "width", "height", "score", "category", "truncation", "occlusion")


def is_video_set(folder: Path) -> bool:
    """Whether a folder with `annotations/` has a folder of frames for each of its files."""
    frames = _frames(folder)
    return any((frames / file.stem).is_dir() for file in (folder / "annotations").glob("*.txt"))


def _frames(folder: Path) -> Path:
    return folder / "sequences" if (folder / "sequences").is_dir() else folder / "images"


def read_visdrone_video(folder: Path) -> SceneSet:
    """A split: `annotations/SEQUENCE.txt` and `sequences/SEQUENCE/0000001.jpg` (or `images/SEQUENCE/…`). A frame without rows
    has no objects; images are named SEQUENCE_0000001.

    Raises FormatError, which names file, line and rule, and InputError where a frame or a folder is missing.
    """
    scenes: list[Scene] = []
    broken: list = []
    for file in annotation_files(folder / "annotations"):
        found, unreadable = _sequence(file, _frames(folder) / file.stem)
        scenes += found
        broken += unreadable
    return SceneSet(CLASS_NAMES, CATEGORIES, tuple(scenes), tuple(broken))


def _sequence(file: Path, folder: Path) -> tuple[tuple[Scene, ...], tuple]:
    rows, lines = read_rows(file, COLUMNS)
    numbers = rows[:, 0]
    whole = (numbers == numbers.round()) & (numbers >= 1)
    if not whole.all():
        raise FormatError(file, int(lines[int(np.argmin(whole))]), "the frame (column 1) is a whole number from 1")
    frames = images_by_frame(folder)
    missing = sorted(set(numbers.astype(int).tolist()) - frames.keys())
    if missing:
        raise InputError(f"{folder} has no image of frame {missing[0]}, of which {file} has rows")

    def scene(number: int) -> Scene:
        here, image = numbers == number, frames[number]
        size = read_header(image).size_for(rows[here, 2:6])
        return scene_of(file, rows[here, 2:], lines[here], f"{folder.name}_{image.stem}", *size, image, first_column=3)

    return built(frames, scene)
