"""Pascal VOC's XML, one file an image, and DeepForest's CSV.

Source: the development kit's documentation (Everingham and Winn 2012, section 4): an object marked as difficult is neither to
be found nor to be missed.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from gsnet.data.text_files import text_of
from gsnet.detection.image_files import images_by_stem, read_header
from gsnet.detection.scene import Scene, SceneSet, built, from_corners
from gsnet.interface.options import InputError

_SIDES = "xmin", "ymin", "xmax", "ymax"


@dataclass(frozen=True)
class _Object:
    """A class name, a box `x1, y1, x2, y2`, and whether it is ignored."""

    name: str
    box: list[float]
    ignored: bool = False


@dataclass
class _Annotated:
    """What files say of one image: its objects, and width and height, where they do."""

    objects: list[_Object] = field(default_factory=list)
    size: tuple[int, int] | None = None


def read_voc(files: Sequence[Path], images: Path, class_names: Sequence[str] | None = None) -> SceneSet:
    """Pascal VOC's XML and DeepForest's CSV (image_path,xmin,ymin,xmax,ymax,label), for images in a folder.

    An image is the one that the XML names or, where that is not there, the one of the XML's own name; suffixes do not matter. A
    file without objects is an image without objects; a difficult object is an ignored one. Classes: class_names, else all that
    occur, sorted; objects of another class become `others`. Raises InputError, which names the file and what is missing.
    """
    by_stem = images_by_stem(images)
    annotated = _annotated(files, by_stem, images)
    occurring = {thing.name for entry in annotated.values() for thing in entry.objects}
    names = tuple(class_names or sorted(occurring))
    scenes, broken = built(sorted(annotated), lambda stem: _scene(by_stem[stem], annotated[stem], names))
    unlabelled = tuple(image for stem, image in by_stem.items() if stem not in annotated)
    return SceneSet(names, tuple(range(1, len(names) + 1)), scenes, broken, unlabelled=unlabelled)


def _annotated(files: Sequence[Path], by_stem: dict[str, Path], images: Path) -> dict[str, _Annotated]:
    found: dict[str, _Annotated] = defaultdict(_Annotated)
    owners: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() != ".xml":
            for stem, thing in _deepforest_csv(file):
                _check_there(file, stem, by_stem, images)
                found[stem].objects.append(thing)
            continue
        named, entry = _voc_xml(file)
        stem = file.stem if named not in by_stem and file.stem in by_stem else named
        _check_there(file, stem, by_stem, images)
        if stem in owners:
            raise InputError(f"{owners[stem]} and {file} are both of the image {by_stem[stem].name}: keep one of them")
        owners[stem] = file
        found[stem].objects += entry.objects
        found[stem].size = entry.size
    return dict(found)


def _check_there(file: Path, stem: str, by_stem: dict[str, Path], images: Path) -> None:
    if stem not in by_stem:
        raise InputError(f"{file}: there is no image {stem} in {images}")


def _scene(image: Path, entry: _Annotated, names: tuple[str, ...]) -> Scene:
    boxes = from_corners(np.array([thing.box for thing in entry.objects], dtype=np.float64).reshape(-1, 4))
    labels = [names.index(thing.name) if thing.name in names else -1 for thing in entry.objects]
    ignored = np.array([thing.ignored for thing in entry.objects], dtype=bool)
    header = read_header(image)
    size = entry.size if entry.size in (header.upright, header.stored) else header.size_for(boxes)
    known = np.array(labels, dtype=np.int64)
    scene = Scene(image.stem, image, *size, boxes, known, ignored)
    return replace(scene.chosen(known >= 0), others=boxes[known < 0])


def _voc_xml(file: Path) -> tuple[str, _Annotated]:
    """The stem of the image that a file names, and what it says of it."""
    try:
        root = ElementTree.parse(file).getroot()
        named = PurePosixPath((root.findtext("filename") or file.name).strip().replace("\\", "/")).stem
        size = (int(root.findtext("size/width") or 0), int(root.findtext("size/height") or 0))
        return named, _Annotated([_voc_object(entry) for entry in root.iter("object")], size)
    # LookupError: of an encoding that nobody knows.
    except (ElementTree.ParseError, TypeError, ValueError, LookupError) as error:
        raise InputError(f"{file} is no Pascal VOC annotation ({error})") from error


def _voc_object(entry: ElementTree.Element) -> _Object:
    box = _finite(entry.findtext(f"bndbox/{side}") or "missing" for side in _SIDES)
    return _Object(entry.findtext("name") or "", box, (entry.findtext("difficult") or "0").strip() == "1")


def _deepforest_csv(file: Path) -> list[tuple[str, _Object]]:
    found = []
    try:
        rows = list(csv.DictReader(io.StringIO(text_of(file), newline="")))
    except csv.Error as error:
        raise InputError(f"{file} is no CSV file ({error})") from error
    for row in rows:
        try:
            box = _finite(row[side] for side in _SIDES)
            found.append((Path(row["image_path"]).stem, _Object(row["label"], box)))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{file}: a line has image_path, xmin, ymin, xmax, ymax and label: {json.dumps(row)}"
            ) from None
    return found


def _finite(texts: Iterable[str]) -> list[float]:
    """Texts as numbers. Raises ValueError where one is none, or not finite."""
    found = [float(text) for text in texts]
    if not all(map(math.isfinite, found)):
        raise ValueError("a side of a box is no finite number")
    return found
