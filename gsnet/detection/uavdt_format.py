"""UAVDT's text files: one file a sequence, and one more for the areas in it that nothing counts in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsnet.data.broken import BrokenImageError
from gsnet.data.text_files import text_of
from gsnet.detection.image_files import images_by_frame, read_header
from gsnet.detection.scene import Scene, SceneSet, built
from gsnet.detection.visdrone_format import FormatError
from gsnet.detection.yolo_format import numbers_of
from gsnet.interface.options import InputError

UAVDT_CLASSES = ("car", "truck", "bus")


def read_uavdt(images: Path, annotations: Path, sequences: Sequence[str] | None = None) -> SceneSet:
    """UAVDT's detection task: `SEQUENCE/img000001.jpg` below images, `SEQUENCE_gt_whole.txt` and `SEQUENCE_gt_ignore.txt` in
    annotations; columns frame from 1, target, left, top, width, height, out of view, occlusion, category (1 car, 2 truck,
    3 bus). Images are named SEQUENCE_img000001. sequences: default all that have annotations.

    Raises FormatError, which names file, line and rule.
    """
    files = {file.name.removesuffix("_gt_whole.txt"): file for file in sorted(annotations.glob("*_gt_whole.txt"))}
    chosen = list(files) if sequences is None else list(sequences)
    unknown = [name for name in chosen if name not in files]
    if unknown or not chosen:
        raise InputError(f"{annotations} has no {(unknown or ['SEQUENCE'])[0]}_gt_whole.txt")
    scenes: list[Scene] = []
    broken: list[BrokenImageError] = []
    for name in chosen:
        found, unreadable = _sequence(images / name, files[name], annotations / f"{name}_gt_ignore.txt")
        scenes += found
        broken += unreadable
    return SceneSet(UAVDT_CLASSES, (1, 2, 3), tuple(scenes), tuple(broken))


def _sequence(folder: Path, objects: Path, ignored: Path) -> tuple[tuple[Scene, ...], tuple[BrokenImageError, ...]]:
    rows = _by_frame(objects, 9)
    regions = _by_frame(ignored, 6) if ignored.is_file() else {}
    images = images_by_frame(folder)
    if missing := sorted(rows.keys() - images.keys()):
        raise InputError(f"{folder} has no image of frame {missing[0]}, of which {objects} has rows")

    def scene(frame: int) -> Scene:
        image, values = images[frame], np.array(rows.get(frame, []), dtype=np.float64).reshape(-1, 9)
        width, height = read_header(image).size_for(values[:, 2:6])
        return Scene(
            name=f"{folder.name}_{image.stem}",
            image=image,
            width=width,
            height=height,
            boxes=values[:, 2:6],
            labels=values[:, 8].astype(np.int64) - 1,
            ignored=np.zeros(len(values), dtype=bool),
            regions=np.array([row[2:6] for row in regions.get(frame, [])], dtype=np.float64).reshape(-1, 4),
        )

    return built(images, scene)


def _by_frame(file: Path, columns: int) -> dict[int, list[list[float]]]:
    found: dict[int, list[list[float]]] = defaultdict(list)
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        fields = line.strip().rstrip(",").split(",")
        if fields == [""]:
            continue
        if len(fields) < columns:
            raise FormatError(file, number, f"a line has {columns} comma-separated columns, this one {len(fields)}")
        values = numbers_of(file, number, fields[:columns])
        if columns == 9 and values[8] not in (1, 2, 3):
            raise FormatError(file, number, "the category (column 9) is 1, 2 or 3")
        found[int(values[0])].append(values)
    return found
