"""Broken images are found and named before anything long begins, or left out where the user allows it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from gsnet.data.broken import BrokenImageError
from gsnet.detection.image_files import look_at
from gsnet.detection.preprocessing import read_image
from gsnet.detection.scene import SceneSet
from gsnet.interface.options import InputError, named_few, reading_processes

_LOG = logging.getLogger(__name__)
# What is decoded in a few seconds is decoded as a whole; of more, headers and ends are looked at.
_DECODED_BYTES = 100_000_000


def checked(sets: Sequence[SceneSet], most: int | None, thorough: bool = False) -> list[SceneSet]:
    """Data sets without the images that cannot be read, whether a reader has met them or a look at all files finds them.

    Headers and ends of all files are read; where they are few, or `thorough`, everything is decoded. most: how many broken
    images there may be in all, None for any number. Raises BrokenImageError where there are more, and names them.
    """
    known = {error.file: error for data in sets for error in data.broken}
    files = {scene.image for data in sets for scene in data.scenes if scene.image is not None} - known.keys()
    for file in sorted(files):
        if not file.is_file():
            raise InputError(f"There is no image {file}")
    thorough = thorough or sum(file.stat().st_size for file in files) <= _DECODED_BYTES
    order = sorted(files)
    with ThreadPoolExecutor(reading_processes()) as pool:
        errors = pool.map(_read_as_a_whole if thorough else _looked_at, order)
        bar = tqdm(errors, total=len(order), disable=not sys.stderr.isatty(), desc="checking images", leave=False)
        known |= {file: error for file, error in zip(order, bar, strict=True) if error is not None}
    report_broken(list(known.values()), len(files) + sum(len(data.broken) for data in sets), most)
    return [_without(data, [error for error in known.values() if _is_of(error, data)]) for data in sets]


def _read_as_a_whole(file: Path) -> BrokenImageError | None:
    return _error_of(read_image, file)


def _looked_at(file: Path) -> BrokenImageError | None:
    return _error_of(look_at, file)


def _error_of(read: Callable[[Path], object], file: Path) -> BrokenImageError | None:
    try:
        read(file)
    except BrokenImageError as error:
        return error
    return None


def without_broken(data: SceneSet, most: int | None) -> SceneSet:
    """A data set as it is, where its reader has met no more than `most` broken images. Raises BrokenImageError."""
    report_broken(data.broken, len(data) + len(data.broken), most)
    return data


def report_broken(errors: Sequence[BrokenImageError], total: int, most: int | None) -> None:
    """Name the broken ones among `total` images in the log. Raises BrokenImageError where there are more than `most`."""
    if not errors:
        return
    names = named_few([f"{error.file} ({error.reason})" for error in errors])
    if most is not None and len(errors) > most:
        count, them = ("One image", "it") if len(errors) == 1 else (f"{len(errors)} images", "them")
        more = f", more than the {most} of --skip_broken" if most else ""
        raise BrokenImageError(
            f"{count} cannot be read{more}: {names}. Mend or remove {them}, or leave {them} out with "
            f"--skip_broken {len(errors)}"
        )
    _LOG.warning("Left out as broken, %d of %d images: %s", len(errors), total, names)


def _is_of(error: BrokenImageError, data: SceneSet) -> bool:
    return error in data.broken or any(scene.image == error.file for scene in data.scenes)


def _without(data: SceneSet, errors: Iterable[BrokenImageError]) -> SceneSet:
    errors = tuple(errors)
    files = {error.file for error in errors}
    return (
        replace(data, scenes=tuple(s for s in data.scenes if s.image not in files), broken=errors) if errors else data
    )
