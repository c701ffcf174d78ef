"""Which splits a folder of a data set has: training, validation and test images side by side."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from gsnet.detection.data_yaml import DESCRIPTION_SUFFIXES, SPLITS, find_data_yaml, read_data_yaml
from gsnet.interface.options import InputError

_NAME = re.compile(
    r"(?:.*[-_.])?(?:(?P<train>train|training)|(?P<val>val|valid|validation)|(?P<test>test|testing))(?:[-_]?dev)?(?:[-_]?\d{4})?",
    re.IGNORECASE,
)
_ANNOTATIONS = (".txt", ".xml", ".csv", ".json")


def split_of(name: str) -> str | None:
    """train, val or test, where a folder or file is called like one: val2017, VisDrone2019-DET-train, valid."""
    found = _NAME.fullmatch(name)
    return next((split for split in SPLITS if found and found[split]), None)


def splits_of(path: Path) -> dict[str, Path]:
    """What to read for each split of a data set; empty where the path is one set of images, or none.

    Looked for: a data.yaml, itself or in the folder; `images/SPLIT`; `annotations/*_SPLIT.json`; folders called like splits,
    or, where these have images alone or are not there, `*_SPLIT.json` in the folder itself. Raises InputError where two of them
    could be one split.
    """
    if path.suffix.lower() in DESCRIPTION_SUFFIXES and path.is_file():
        return dict.fromkeys(read_data_yaml(path).splits, path)
    if not path.is_dir():
        return {}
    description = find_data_yaml(path)
    if description is not None and description.splits and _there(description.file):
        return dict.fromkeys(description.splits, description.file)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return _called_like_splits(path / "images")
    files = [file for file in (path / "annotations").glob("*.json") if split_of(file.stem)]
    if files:
        return _one_each([file for file in files if file.name.startswith("instances")] or files)
    folders = _called_like_splits(path)
    files = [file for file in path.glob("*.json") if split_of(file.stem)]
    return _one_each(files) if files and not any(map(_is_annotated, folders.values())) else folders


def _is_annotated(folder: Path) -> bool:
    """Whether a folder may be a data set by itself: it holds folders, as images/ and labels/, or files of annotations."""
    return any(entry.suffix.lower() in _ANNOTATIONS or entry.is_dir() for entry in folder.iterdir())


def _there(file: Path) -> bool:
    """Whether the images that a data.yaml names are there; one that came from elsewhere may be all that is wrong."""
    description = read_data_yaml(file)
    try:
        return all(description.places(split) for split in description.splits)
    except InputError:
        return False


def _called_like_splits(folder: Path) -> dict[str, Path]:
    return _one_each([place for place in sorted(folder.iterdir()) if place.is_dir() and split_of(place.name)])


def _one_each(places: list[Path]) -> dict[str, Path]:
    found: dict[str, list[Path]] = defaultdict(list)
    for place in sorted(places):
        found[split_of(place.stem if place.is_file() else place.name) or ""].append(place)
    for split, several in found.items():
        if len(several) > 1:
            names = " or ".join(place.name for place in several)
            raise InputError(
                f"{several[0].parent} has several parts to be read as {split!r}, {names}: name one of them"
            )
    return {split: found[split][0] for split in SPLITS if split in found}
