"""VisDrone-DET's text files: ground truth and results, one line an object, eight comma-separated columns.

left, top, width, height, score, category, truncation, occlusion. In ground truth the score is 1 (evaluated) or 0 (ignored),
in results a confidence, and the last two columns are -1. Source: the data set's README (Zhu et al. 2021, TPAMI).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gsnet.data.text_files import text_of
from gsnet.detection.image_files import ROUNDING, images_by_stem, read_header
from gsnet.detection.scene import ImageResults, Scene, SceneSet, built
from gsnet.interface.files import write_text
from gsnet.interface.options import InputError

CLASS_NAMES = (
    *("pedestrian", "people", "bicycle", "car", "van"),
    *("truck", "tricycle", "awning-tricycle", "bus", "motor"),
)
REGION, OTHERS = 0, 11
_VIDEO = (
    "ten columns are those of VisDrone-VID and -MOT, whose frames lie in sequences/, a folder for each file: "
    "--data_format visdrone_vid"
)
CATEGORIES = tuple(range(1, 11))
COLUMNS = ("left", "top", "width", "height", "score", "category", "truncation", "occlusion")


class FormatError(InputError):
    """A line that no rule of the format allows: names file, line and rule."""

    def __init__(self, file: Path, line: int, rule: str) -> None:
        super().__init__(f"{file}, line {line}: {rule}")
        self.file, self.line, self.rule = file, line, rule


def read_rows(file: Path, columns: Sequence[str] = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a file, (n, columns) float64, and their line numbers from 1, (n,).

    A byte order mark, blank lines, a trailing comma, spaces and columns beyond the last are let pass. Raises
    FormatError for a line of fewer columns or with something that is no number, InputError where the file is no text.
    """
    rows, lines = [], []
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        line = line.strip().rstrip(",").rstrip()
        if line:
            rows.append(_row(file, number, line.split(","), columns))
            lines.append(number)
    return np.array(rows, dtype=np.float64).reshape(-1, len(columns)), np.array(lines, dtype=np.int64)


def _row(file: Path, number: int, fields: list[str], columns: Sequence[str]) -> list[float]:
    if len(fields) < len(columns):
        raise FormatError(file, number, f"a line has {len(columns)} comma-separated columns, this one {len(fields)}")
    try:
        values = [float(value) for value in fields[: len(columns)]]
    except ValueError:
        column = next(name for name, value in zip(columns, fields, strict=False) if not _is_number(value))
        raise FormatError(file, number, f"the column {column} is a number") from None
    if not all(map(math.isfinite, values)):
        raise FormatError(file, number, "all columns are finite numbers")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check(file: Path, lines: np.ndarray, good: np.ndarray, rule: str) -> None:
    if not good.all():
        raise FormatError(file, int(lines[int(np.argmin(good))]), rule)


def read_annotation(file: Path, width: int, height: int, image: Path | None = None) -> Scene:
    """The ground truth of one image, every row kept: categories 1-10 as objects, 0 as regions, 11 as others.

    Raises FormatError, which names file, line and rule.
    """
    rows, lines = read_rows(file)
    return scene_of(file, rows, lines, file.stem, width, height, image)


def scene_of(
    file: Path,
    rows: np.ndarray,
    lines: np.ndarray,
    name: str,
    width: int,
    height: int,
    image: Path | None,
    first_column: int = 1,
) -> Scene:
    """One image of the rows (n, 8) that a file has of it in the given lines; first_column: the number of the first in the file.

    Raises FormatError.
    """
    categories = rows[:, 5]
    hint = "" if first_column > 1 or not _as_video(file) else f"; {_VIDEO}"
    _check(
        file,
        lines,
        np.isin(categories, range(12)),
        f"the category (column {first_column + 5}) is a whole number from 0 to 11{hint}",
    )
    _check(
        file,
        lines,
        np.isin(rows[:, 4], (0, 1)),
        f"the score (column {first_column + 4}) of ground truth is 0 or 1{hint}",
    )
    objects = (categories >= 1) & (categories <= 10)
    kept = rows[objects]
    return Scene(
        name=name,
        image=image,
        width=width,
        height=height,
        boxes=kept[:, :4],
        labels=kept[:, 5].astype(np.int64) - 1,
        ignored=kept[:, 4] == 0,
        regions=rows[categories == REGION, :4],
        others=rows[categories == OTHERS, :4],
        truncation=kept[:, 6].astype(np.int64),
        occlusion=kept[:, 7].astype(np.int64),
        lines=lines[objects],
    )


def _as_video(file: Path) -> bool:
    """Whether every line of a file has the ten columns of VisDrone-VID."""
    lines = [line.strip().rstrip(",") for line in text_of(file).splitlines()]
    return all(line.count(",") == 9 for line in lines if line)


def annotation_files(folder: Path) -> list[Path]:
    """The ground-truth files of a folder, in the order of their names. Raises InputError where there are none."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: annotations are one .txt file an image")
    files = sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))
    if not files:
        raise InputError(f"{folder} has no .txt files: annotations are one .txt file an image")
    return files


def read_annotations(folder: Path, sizes: Mapping[str, tuple[int, int]]) -> SceneSet:
    """A folder of ground-truth files without their images; sizes: (width, height) by stem.

    Raises InputError where a size is missing, and FormatError.
    """
    files = annotation_files(folder)
    missing = [file.stem for file in files if file.stem not in sizes]
    if missing:
        raise InputError(f"There is no image or size for {_some(missing)}, of which {folder} has annotations")
    return SceneSet(CLASS_NAMES, CATEGORIES, tuple(read_annotation(file, *sizes[file.stem]) for file in files))


def read_visdrone(folder: Path) -> SceneSet:
    """A split: a folder with `images/` and `annotations/` of equal stems; image sizes come from the images' headers.

    Raises InputError where an image or an annotation is missing, and FormatError.
    """
    images, files = images_by_stem(folder / "images"), annotation_files(folder / "annotations")
    missing = [file.stem for file in files if file.stem not in images]
    if missing:
        raise InputError(f"{folder / 'images'} has no image for {_some(missing)}, of which there are annotations")
    unlabelled = sorted(images.keys() - {file.stem for file in files})
    if unlabelled:
        raise InputError(
            f"{folder / 'annotations'} has no file for {_some(unlabelled)}: an image without objects has an empty one"
        )
    scenes, broken = built(files, lambda file: with_its_image(file, images[file.stem]))
    return SceneSet(CLASS_NAMES, CATEGORIES, scenes, broken)


def with_its_image(file: Path, image: Path) -> Scene:
    """The ground truth of an image in the orientation in which its boxes fit. Raises FormatError, BrokenImageError."""
    header = read_header(image)
    rows, lines = read_rows(file)
    return scene_of(file, rows, lines, file.stem, *header.size_for(rows[:, :4]), image)


def read_results(file: Path, category_ids: tuple[int, ...] = CATEGORIES) -> ImageResults:
    """The detections of one image in the order of the file. Categories that are not evaluated get the label -1.

    Raises FormatError; with VisDrone's categories for any category outside 1 to 11 (0 is a sign of labels from 0).
    """
    rows, lines = read_rows(file)
    allowed = (*category_ids, OTHERS) if category_ids == CATEGORIES else category_ids
    rule = f"the category (column 6) of a detection is one of {_ranges(allowed)}"
    _check(file, lines, np.isin(rows[:, 5], allowed), rule)
    labels = np.array([category_ids.index(c) if c in category_ids else -1 for c in rows[:, 5].astype(int).tolist()])
    return ImageResults(rows[:, :4], rows[:, 4], labels.astype(np.int64))


def read_results_folder(folder: Path, data: SceneSet) -> tuple[list[ImageResults], list[str]]:
    """The detections of every image of a data set, and the names of result files that belong to none of its images.

    Raises InputError where an image has no result file, and FormatError.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: results are one .txt file an image")
    files = {file.stem: file for file in sorted(folder.glob("*.txt")) if not file.name.startswith(".")}
    names = [scene.name for scene in data.scenes]
    missing = [name for name in names if name not in files]
    if missing:
        raise InputError(
            f"{folder} has no result file for {_some(missing)}: an image in which nothing was found has an empty one"
        )
    results = [read_results(files[name], data.category_ids) for name in names]
    return results, sorted(files.keys() - set(names))


def write_results(folder: Path, name: str, results: ImageResults, category_ids: tuple[int, ...] = CATEGORIES) -> None:
    """Write one image's detections in the official submission format, by descending score. The folder exists."""
    found = results.by_score()
    lines = [
        f"{_text(box)},{score:.9g},{category_ids[label]},-1,-1\n"
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
        if label >= 0
    ]
    write_text(folder / f"{name}.txt", "".join(lines))


def _text(box: Iterable[float]) -> str:
    return ",".join(f"{round(value, 3):g}" if abs(value) < 1000 else f"{value:.3f}" for value in box)


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _ranges(numbers: tuple[int, ...]) -> str:
    whole = numbers == tuple(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def sanity(scene: Scene) -> Counter[str]:
    """How many rows of a scene are known kinds of faulty, by kind; what rounding moved beyond the border is no fault."""
    found: Counter[str] = Counter()
    flat = (scene.boxes[:, 2:] <= 0).any(axis=1)
    found["boxes without an area"] = int(flat.sum())
    found["ignored regions without an area"] = int((scene.regions[:, 2:] <= 0).any(axis=1).sum())
    right, bottom = scene.boxes[:, 0] + scene.boxes[:, 2], scene.boxes[:, 1] + scene.boxes[:, 3]
    outside = (scene.boxes[:, :2] < -ROUNDING).any(axis=1)
    outside |= (right > scene.width + ROUNDING) | (bottom > scene.height + ROUNDING)
    found["boxes that leave their image"] = int((outside & ~flat).sum())
    rows = np.concatenate([scene.boxes, scene.labels[:, None]], axis=1)
    found["repeated rows"] = len(rows) - len(np.unique(rows, axis=0))
    return found
