"""YOLO data sets as Ultralytics, Roboflow and Darknet write them: one text file an image, one line an object.

`class x y width height`, centre and size as shares of the image; a sixth column is a confidence; `class x1 y1 x2 y2 x3 y3 …` is
a polygon, of which the box is taken. Source: docs.ultralytics.com, "Object Detection Datasets Overview" and "Instance
Segmentation Datasets Overview".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsnet.data.text_files import names_in, text_of
from gsnet.detection.classes import distinct_names
from gsnet.detection.data_yaml import DESCRIPTION_SUFFIXES, DataYaml, find_data_yaml, listed, read_data_yaml
from gsnet.detection.image_files import images_in, is_image, read_header
from gsnet.detection.scene import Scene, SceneSet, built, result_names
from gsnet.detection.visdrone_format import FormatError
from gsnet.interface.options import InputError

# What rounding may add to a share of the image, as Ultralytics allows it.
_TOLERANCE = 0.01
_NO_LABELS = {"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt"}


def read_yolo(path: Path, split: str | None = None, class_names: Sequence[str] | None = None) -> SceneSet:
    """A YOLO data set, or one split of it.

    path: a folder with `images/` and `labels/`, or either of them inside the other's split; a folder of images whose labels lie
    in the like folder `labels/` or beside them; a data.yaml; or a list of images, one a line. split: the folder below `images/`
    or above it, or the key of the data.yaml (default: train). An image without a label file has no objects, but one image at
    least has a file.

    Names come from class_names, else from the data.yaml, from `classes.txt` or `*.names`, here or in the folders above, else
    "class 0" and so on. Raises FormatError, which names file, line and rule, and InputError.
    """
    description = read_data_yaml(path) if path.suffix.lower() in DESCRIPTION_SUFFIXES else _description(path)
    images = [image for place in _places(path, split, description) for image in _images(place)]
    labels = {image: label_file(image) for image in images}
    unlabelled = tuple(image for image, file in labels.items() if not file.is_file())
    if len(unlabelled) == len(labels):
        raise InputError(
            f"None of the {len(labels)} images of {path} has a label file: for {images[0]} there is no {labels[images[0]]}"
        )
    keypoints = description is not None and description.keypoints
    called = dict(zip(labels, result_names(list(labels)), strict=True))
    scenes, broken = built(labels, lambda image: _scene(called[image], labels[image], image, keypoints))
    names = tuple(class_names or (description and description.names) or _listed_names(path, split) or _counted(scenes))
    _check_labels(scenes, {called[image]: file for image, file in labels.items()}, len(names))
    ids = tuple(range(1, len(names) + 1))
    names = distinct_names(names, range(len(names)), path)
    return SceneSet(names, ids, scenes, broken, _stray(labels), unlabelled)


def _description(path: Path) -> DataYaml | None:
    """The data.yaml of a data set: in its folder, or above it where the file speaks of that folder."""
    *inside, above = _and_above(path)
    for folder in inside:
        if found := find_data_yaml(folder):
            return found
    found = find_data_yaml(above)
    speaks = found is not None and any(
        inside[-1].name in Path(text.replace("\\", "/")).parts for texts in found.splits.values() for text in texts
    )
    return found if speaks else None


def _and_above(path: Path) -> list[Path]:
    """From a folder to the one that `images/` lies in, itself if there is none, and the one above that."""
    folder = (path if path.is_dir() else path.parent).absolute()
    parts = folder.parts
    top = len(parts) - 1 - parts[::-1].index("images") if "images" in parts else len(parts)
    return [Path(*parts[:length]) for length in range(len(parts), max(top, 2) - 2, -1)]


def _places(path: Path, split: str | None, description: DataYaml | None) -> list[Path]:
    if path.suffix.lower() in DESCRIPTION_SUFFIXES and description is not None:
        return description.places(split or "train")
    if path.is_file():
        return [path]
    if split is None:
        return [path / "images" if (path / "images").is_dir() else path]
    return [path / split / "images" if (path / split / "images").is_dir() else path / "images" / split]


def _images(place: Path) -> list[Path]:
    if place.is_dir():
        return images_in(place)
    return [place] if is_image(place) else listed(place)


def label_file(image: Path) -> Path:
    """The label file of an image: in the like folder below `labels/`, or beside the image."""
    beside = image.with_suffix(".txt")
    parts = list(image.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if not places:
        return beside
    parts[places[-1]] = "labels"
    found = Path(*parts).with_suffix(".txt")
    return beside if beside.is_file() and not found.is_file() else found


def _listed_names(path: Path, split: str | None) -> list[str]:
    """The classes of classes.txt, labels/classes.txt, *.names, or Roboflow's _darknet.labels."""
    for folder in _and_above(path if split is None else path / "images" / split):
        known = (folder / name for name in ("classes.txt", "labels/classes.txt", "_darknet.labels"))
        for file in (*known, *sorted(folder.glob("*.names"))):
            if file.is_file():
                return names_in(file)
    return []


def _counted(scenes: Sequence[Scene]) -> list[str]:
    largest = max((int(scene.labels.max()) for scene in scenes if len(scene.labels)), default=-1)
    return [f"class {label}" for label in range(largest + 1)]


def _check_labels(scenes: Sequence[Scene], files: dict[str, Path], classes: int) -> None:
    for scene in scenes:
        wrong = scene.labels >= classes
        if wrong.any() and scene.lines is not None:
            line = int(scene.lines[int(np.argmax(wrong))])
            raise FormatError(files[scene.name], line, f"the class is a whole number from 0 to {classes - 1}")


def _stray(labels: dict[Path, Path]) -> tuple[Path, ...]:
    """Label files of which there is no image, in the folders in which the others lie; images may be of another split."""
    folders = {file.parent for file in labels.values()}
    pictures = {image.parent for image in labels}
    known = {label_file(image) for folder in pictures for image in folder.iterdir() if is_image(image)}
    files = {file for folder in folders if folder.is_dir() for file in folder.glob("*.txt")}
    return tuple(sorted(file for file in files - known if file.name.lower() not in _NO_LABELS))


def _scene(name: str, file: Path, image: Path, keypoints: bool) -> Scene:
    width, height = read_header(image).upright
    rows, lines = [], []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if line.strip():
            rows.append(_row(file, number, line.split(), keypoints))
            lines.append(number)
    values = np.array(rows, dtype=np.float64).reshape(-1, 5)
    boxes = _cut(values[:, 1:]) * [width, height, width, height]
    labels, ignored = values[:, 0].astype(np.int64), np.zeros(len(rows), dtype=bool)
    return Scene(name, image, width, height, boxes, labels, ignored, lines=np.array(lines, dtype=np.int64))


def _text(file: Path) -> str:
    return text_of(file) if file.is_file() else ""


def _row(file: Path, number: int, fields: list[str], keypoints: bool) -> list[float]:
    """Class and box `left, top, width, height` in shares of the image."""
    values = numbers_of(file, number, fields)
    if values[:1] and (values[0] < 0 or values[0] != int(values[0])):
        raise FormatError(file, number, "the class is a whole number from 0")
    polygon = len(values) >= 7 and len(values) % 2 == 1 and not keypoints
    if len(values) not in (5, 6) and not polygon and not (keypoints and len(values) > 6):
        raise FormatError(
            file,
            number,
            f"a line is `class x y width height`, then perhaps a confidence, or `class x1 y1 x2 y2 x3 y3 …` of a polygon; "
            f"this one has {len(fields)} columns",
        )
    shares = values[1:] if polygon else values[1:5]
    if not all(-_TOLERANCE <= value <= 1 + _TOLERANCE for value in shares):
        what = "the points of a polygon" if polygon else "x, y, width and height"
        raise FormatError(file, number, f"{what} are shares of the image, from 0 to 1")
    if polygon:
        left, right, top, bottom = (f(shares[axis::2]) for axis in (0, 1) for f in (min, max))
        return [values[0], left, top, right - left, bottom - top]
    x, y, width, height = shares
    return [values[0], x - width / 2, y - height / 2, width, height]


def numbers_of(file: Path, number: int, fields: Sequence[str]) -> list[float]:
    """The columns of a line as numbers. Raises FormatError."""
    try:
        values = [float(value) for value in fields]
    except ValueError:
        raise FormatError(file, number, "all columns are numbers") from None
    if not all(map(math.isfinite, values)):
        raise FormatError(file, number, "all columns are finite numbers")
    return values


def _cut(boxes: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) in shares, cut at the border where they leave the image by no more than rounding adds; a box that leaves
    it by more stays as it is, to be reported."""
    begin, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    begin = np.where((begin < 0) & (begin >= -_TOLERANCE), 0, begin)
    end = np.where((end > 1) & (end <= 1 + _TOLERANCE), 1, end)
    # What lies inside keeps its very numbers.
    sides = np.where((begin == boxes[:, :2]) & (end == boxes[:, :2] + boxes[:, 2:]), boxes[:, 2:], end - begin)
    return np.concatenate([begin, sides], axis=1)
