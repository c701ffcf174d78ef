"""Detection data sets in other formats: YOLO folders, UAVDT, Pascal VOC's XML and DeepForest's CSV."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from gsnet.detection.scene import Scene, SceneSet, from_corners, image_size, images_by_stem
from gsnet.detection.visdrone_format import FormatError
from gsnet.interface.options import InputError

UAVDT_CLASSES = ("car", "truck", "bus")


def read_yolo(folder: Path, split: str | None = None, class_names: Sequence[str] | None = None) -> SceneSet:
    """A YOLO folder: `images/` beside `labels/`, or `images/SPLIT` beside `labels/SPLIT`; lines `class x y w h`, centres and
    sizes as shares of the image. An image without a label file has no objects.

    Names come from class_names, else `classes.txt` or `names` in `*.yaml` of the folder, else "class 0" and so on. Raises
    FormatError, which names file, line and rule.
    """
    images = images_by_stem(_below(folder, "images", split))
    labels = _below(folder, "labels", split)
    if not labels.is_dir():
        raise InputError(f"There is no folder {labels}: YOLO labels are one .txt file an image")
    scenes = [_yolo_scene(labels / f"{stem}.txt", image) for stem, image in images.items()]
    largest = max((int(scene.labels.max()) for scene in scenes if len(scene.labels)), default=-1)
    names = tuple(class_names or _yolo_names(folder) or (f"class {i}" for i in range(largest + 1)))
    for scene in scenes:
        wrong = scene.labels >= len(names)
        if wrong.any() and scene.lines is not None:
            line = int(scene.lines[int(np.argmax(wrong))])
            raise FormatError(
                labels / f"{scene.name}.txt", line, f"the class is a whole number from 0 to {len(names) - 1}"
            )
    return SceneSet(names, tuple(range(1, len(names) + 1)), tuple(scenes))


def _below(folder: Path, kind: str, split: str | None) -> Path:
    if split is None:
        return folder / kind
    swapped = folder / split / kind
    return swapped if swapped.is_dir() else folder / kind / split


def _yolo_names(folder: Path) -> list[str] | None:
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    for file in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        if names := _names_of_yaml(file.read_text(encoding="utf-8-sig")):
            return names
    return None


def _names_of_yaml(text: str) -> list[str]:
    """The list under `names:` in the three ways that data set files write it; no other YAML is understood."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return []
    inline = lines[start].split(":", 1)[1].split("#")[0].strip()
    if inline.startswith("["):
        while not inline.endswith("]") and start + 1 < len(lines):
            start += 1
            inline += lines[start].split("#")[0].strip()
        return [name.strip().strip("'\"") for name in inline.strip("[]").split(",") if name.strip()]
    found = []
    for line in lines[start + 1 :]:
        stripped = line.split("#")[0].strip()
        if stripped and not line.startswith((" ", "-")):
            break
        if stripped:
            name = stripped[1:] if stripped.startswith("-") else stripped.split(":", 1)[-1]
            found.append(name.strip().strip("'\""))
    return found


def _yolo_scene(file: Path, image: Path) -> Scene:
    width, height = image_size(image)
    rows, lines = [], []
    text = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            rows.append(_yolo_row(file, number, line.split()))
            lines.append(number)
    values = np.array(rows, dtype=np.float64).reshape(-1, 5)
    scale = np.array([width, height] * 2)
    centres, sides = values[:, 1:3], values[:, 3:5]
    boxes = np.concatenate([centres - sides / 2, sides], axis=1) * scale
    ignored = np.zeros(len(rows), dtype=bool)
    labels = values[:, 0].astype(np.int64)
    return Scene(image.stem, image, width, height, boxes, labels, ignored, lines=np.array(lines, dtype=np.int64))


def _yolo_row(file: Path, number: int, fields: list[str]) -> list[float]:
    if len(fields) != 5:
        raise FormatError(file, number, f"a line is `class x y width height`, this one has {len(fields)} columns")
    values = _numbers(file, number, fields)
    if values[0] < 0 or values[0] != int(values[0]):
        raise FormatError(file, number, "the class is a whole number from 0")
    if not all(-1e-3 <= value <= 1.001 for value in values[1:]):
        raise FormatError(file, number, "x, y, width and height are shares of the image, from 0 to 1")
    return values


def _numbers(file: Path, number: int, fields: Sequence[str]) -> list[float]:
    try:
        values = [float(value) for value in fields]
    except ValueError:
        raise FormatError(file, number, "all columns are numbers") from None
    if not all(map(math.isfinite, values)):
        raise FormatError(file, number, "all columns are finite numbers")
    return values


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
    for name in chosen:
        scenes += _uavdt_sequence(images / name, files[name], annotations / f"{name}_gt_ignore.txt")
    return SceneSet(UAVDT_CLASSES, (1, 2, 3), tuple(scenes))


def _uavdt_sequence(folder: Path, objects: Path, ignored: Path) -> list[Scene]:
    rows = _by_frame(objects, 9)
    regions = _by_frame(ignored, 6) if ignored.is_file() else {}
    scenes = []
    for stem, image in images_by_stem(folder).items():
        frame = int(stem.removeprefix("img"))
        width, height = image_size(image)
        values = np.array(rows.get(frame, []), dtype=np.float64).reshape(-1, 9)
        scene = Scene(
            name=f"{folder.name}_{stem}",
            image=image,
            width=width,
            height=height,
            boxes=values[:, 2:6],
            labels=values[:, 8].astype(np.int64) - 1,
            ignored=np.zeros(len(values), dtype=bool),
            regions=np.array([row[2:6] for row in regions.get(frame, [])], dtype=np.float64).reshape(-1, 4),
        )
        scenes.append(scene)
    return scenes


def _by_frame(file: Path, columns: int) -> dict[int, list[list[float]]]:
    found: dict[int, list[list[float]]] = defaultdict(list)
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.strip().rstrip(",").split(",")
        if fields == [""]:
            continue
        if len(fields) < columns:
            raise FormatError(file, number, f"a line has {columns} comma-separated columns, this one {len(fields)}")
        values = _numbers(file, number, fields[:columns])
        if columns == 9 and values[8] not in (1, 2, 3):
            raise FormatError(file, number, "the category (column 9) is 1, 2 or 3")
        found[int(values[0])].append(values)
    return found


def read_voc(files: Sequence[Path], images: Path, class_names: Sequence[str] | None = None) -> SceneSet:
    """Pascal VOC's XML, one file an image, and DeepForest's CSV (image_path,xmin,ymin,xmax,ymax,label), for images in a folder.

    Suffixes of image names in the files do not matter. Classes: class_names, else all that occur, sorted; objects of another
    class become `others`. Raises InputError, which names the file and what is missing.
    """
    by_stem = images_by_stem(images)
    rows: dict[str, list[tuple[str, list[float]]]] = defaultdict(list)
    for file in files:
        for stem, name, box in _voc_xml(file) if file.suffix.lower() == ".xml" else _deepforest_csv(file):
            if stem not in by_stem:
                raise InputError(f"{file}: there is no image {stem} in {images}")
            rows[stem].append((name, box))
    names = tuple(class_names or sorted({name for found in rows.values() for name, _ in found}))
    scenes = [_named_scene(by_stem[stem], found, names) for stem, found in sorted(rows.items())]
    return SceneSet(names, tuple(range(1, len(names) + 1)), tuple(scenes))


def _named_scene(image: Path, found: list[tuple[str, list[float]]], names: tuple[str, ...]) -> Scene:
    boxes = from_corners(np.array([box for _, box in found], dtype=np.float64).reshape(-1, 4))
    labels = np.array([names.index(name) if name in names else -1 for name, _ in found], dtype=np.int64)
    scene = Scene(image.stem, image, *image_size(image), boxes, labels, np.zeros(len(boxes), dtype=bool))
    return replace(scene.chosen(labels >= 0), others=boxes[labels < 0])


def _voc_xml(file: Path) -> list[tuple[str, str, list[float]]]:
    try:
        root = ElementTree.parse(file).getroot()
        stem = Path(root.findtext("filename") or file.name).stem
        return [(stem, entry.findtext("name") or "", _voc_box(entry)) for entry in root.iter("object")]
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise InputError(f"{file} is no Pascal VOC annotation ({error})") from error


def _voc_box(entry: ElementTree.Element) -> list[float]:
    return [float(entry.findtext(f"bndbox/{side}") or "missing") for side in ("xmin", "ymin", "xmax", "ymax")]


def _deepforest_csv(file: Path) -> list[tuple[str, str, list[float]]]:
    found = []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            try:
                box = [float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
                found.append((Path(row["image_path"]).stem, row["label"], box))
            except (KeyError, TypeError, ValueError):
                raise InputError(
                    f"{file}: a line has image_path, xmin, ymin, xmax, ymax and label: {json.dumps(row)}"
                ) from None
    return found
