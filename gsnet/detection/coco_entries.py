"""The entries of a COCO file, checked: what each has, which ids are given once, and which id means which entry.

Ids are whole numbers by the format. Files that went through other tools have some of them as text: "1" and 1 are one id.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
_KEYS = {
    "images": ("file_name",),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


def read_json(file: Path) -> Any:
    """The content of a JSON file, with or without a byte order mark. Raises InputError."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no JSON file ({error})") from error


def read_entries(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The lists `images`, `annotations` and `categories` of a COCO file, and `ignored_regions`, empty where there is none.

    Raises InputError where a list or a key of an entry is missing.
    """
    content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in _KEYS):
        raise InputError(f"{file} has no lists `images`, `annotations` and `categories` as a COCO data set has")
    regions = content.get("ignored_regions") or []
    if not isinstance(regions, list):
        raise InputError(f"{file}: ignored_regions is a list")
    lists = {name: content[name] for name in _KEYS} | {"ignored_regions": regions}
    for name, keys in {**_KEYS, "ignored_regions": ("image_id", "bbox")}.items():
        for number, entry in enumerate(lists[name]):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing and missing != ["id"]:
                raise InputError(f"{file}: {name}[{number}] has no {missing[-1]!r}")
    return lists


class Ids:
    """Places in a list of entries by their ids. Raises InputError for an id that is none, or that two entries have."""

    def __init__(self, file: Path, name: str, entries: Sequence[dict[str, Any]], shown: str | None = None) -> None:
        self.keys: list[str] = []
        self._places: dict[str, int] = {}
        for number, entry in enumerate(entries):
            key = _key(entry.get("id"))
            if key is None:
                raise InputError(
                    f"{file}: {name}[{number}] has the id {json.dumps(entry.get('id'))}, which is no number"
                )
            if key in self._places:
                both = [
                    f"{json.dumps(entries[i][shown])}" if shown else f"{name}[{i}]" for i in (self._places[key], number)
                ]
                raise InputError(f"{file}: {name}: the id {key} is given twice, to {both[0]} and to {both[1]}")
            self._places[key] = number
            self.keys.append(key)

    def place(self, value: Any) -> int | None:
        """The place of the entry with this id, or None."""
        key = _key(value)
        return None if key is None else self._places.get(key)


def _key(value: Any) -> str | None:
    """What two writings of one id have in common: 7, 7.0 and "7" are one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value).strip() or None


def category_ids(file: Path, categories: Sequence[dict[str, Any]]) -> list[int]:
    """The ids of the categories as numbers, in the order of the list. Raises InputError."""
    keys = Ids(file, "categories", categories, "name").keys
    for number, key in enumerate(keys):
        if not key.removeprefix("-").isdecimal():
            raise InputError(f"{file}: categories[{number}] has the id {key!r}: ids of categories are whole numbers")
    numbers = [int(key) for key in keys]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{file}: categories: an id is given twice, once with zeros before it: {', '.join(keys)}")
    return numbers


def category_name(file: Path, number: int, category: dict[str, Any]) -> str:
    """The name of a category; a number will do. Raises InputError."""
    name = category["name"]
    if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
        raise InputError(f"{file}: categories[{number}]: name is the name of a class, not {json.dumps(name)}")
    return str(name)


def check_once(file: Path, annotations: Sequence[dict[str, Any]]) -> None:
    """Raise InputError where two annotations have one id; none need have any."""
    Ids(file, "annotations", [entry for entry in annotations if "id" in entry])


def box_of(file: Path, place: str, entry: dict[str, Any]) -> list[float]:
    """The box of an entry. Raises InputError."""
    box = entry.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(value, int | float) and math.isfinite(value) for value in box)
    ):
        raise InputError(f"{file}: {place}: bbox is a list of four numbers [left, top, width, height]")
    return box


def crowd_of(file: Path, place: str, entry: dict[str, Any]) -> bool:
    """Whether an annotation is a crowd. Raises InputError."""
    value = entry.get("iscrowd", 0)
    if value not in (0, 1, None):
        raise InputError(f"{file}: {place}: iscrowd is 0 or 1, not {json.dumps(value)}")
    return bool(value)


def say_passed_over(file: Path, annotations: Sequence[dict[str, Any]]) -> None:
    """Log how many annotations have a key `ignore` that counts for nothing, as in pycocotools; iscrowd is what counts."""
    number = sum(bool(entry.get("ignore")) and not entry.get("iscrowd") for entry in annotations)
    if number:
        _LOG.warning(
            "%s: `ignore` is no key of COCO, which pycocotools passes over too: %d annotations that have it are trained on and "
            'judged as any others. An object that shall count neither way has "iscrowd": 1',
            file,
            number,
        )


def path_of(file: Path, number: int, image: dict[str, Any]) -> PurePosixPath:
    """The path of an image as its entry names it, from whichever system. Raises InputError."""
    name = image["file_name"]
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{file}: images[{number}]: file_name is the name of an image, not {json.dumps(name)}")
    return PurePosixPath(name.replace("\\", "/"))


def side_of(file: Path, number: int, image: dict[str, Any], side: str) -> int | None:
    """Width or height of an image in pixels, None where its entry leaves it open (null or 0). Raises InputError."""
    value = image.get(side)
    try:
        whole = float(value or 0)
    except (TypeError, ValueError):
        whole = math.nan
    if not (math.isfinite(whole) and whole >= 0) or isinstance(value, bool):
        raise InputError(f"{file}: images[{number}]: {side} is a number of pixels, not {json.dumps(value)}")
    return int(whole) or None
