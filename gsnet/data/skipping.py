"""Going on past a few images that cannot be read: which they are, and what is read in their place.

broken = BrokenImages(allowed=3)
images = broken.split("training", len(files))
sample = images.in_place_of(index, read)

Nothing depends on when an image is found to be broken: a check before the training, and one after a kill, change no result.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from gsnet.data.broken import BrokenImageError
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
_CHUNK, _PARTS = 64, 16
T = TypeVar("T")


class BrokenImages:
    """The images of a run that cannot be read, of all its data sets together; at most `allowed` of them are gone past.

    Processes that read, once started, find and count them together.
    """

    def __init__(self, allowed: int = 0) -> None:
        self.allowed = allowed
        self.splits: list[BrokenSplit] = []

    @property
    def count(self) -> int:
        """How many have been found."""
        return sum(int(split.found.sum()) for split in self.splits)

    def split(self, name: str, images: int) -> BrokenSplit:
        """Those of one data set of so many images; name: "training" or "validation"."""
        self.splits.append(BrokenSplit(self, name, images))
        return self.splits[-1]

    def refusal(self, what: str, count: int) -> str:
        """The sentence that ends a run: what is broken, and what can be done."""
        many = "it" if count == 1 else "them"
        already = f", more than --skip_broken {self.allowed} allows" if self.allowed else ""
        return f"{what}{already}: mend or delete {many}, or go on without {many} with --skip_broken {count}"


def _shared_flags(count: int) -> Tensor:
    """So many flags, (count,), that all processes share. Raises OSError where there is no room for them."""
    try:
        return torch.zeros(count, dtype=torch.bool).share_memory_()
    except RuntimeError as error:
        # torch says the system's number at the end, in brackets.
        number = re.search(r"\((\d+)\)\s*$", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


class BrokenSplit:
    """The broken images of one data set. found: shared among processes, (images,)."""

    def __init__(self, run: BrokenImages, name: str, images: int) -> None:
        self.run, self.name = run, name
        self.found: Tensor = _shared_flags(images)

    def note(self, index: int, error: BrokenImageError) -> None:
        """Count a broken image, and say so at the first time. Raises BrokenImageError where that is one too many."""
        new = not self.found[index]
        self.found[index] = True
        count = self.run.count
        if count > self.run.allowed:
            raise BrokenImageError(self.run.refusal(str(error), count), error.file, error.reason)
        if new:
            _LOG.warning("%s: left out, %d of at most %d", error, count, self.run.allowed)

    def in_place_of(self, index: int, read: Callable[[int], T]) -> T:
        """What `read` makes of an image or, where it is broken, of the next one that is not (after the last: the first).

        Raises BrokenImageError where more are broken than allowed, InputError where all are.
        """
        images = len(self.found)
        for further in range(images):
            sample = self.or_none((index + further) % images, read)
            if sample is not None:
                return sample
        raise InputError(f"None of the {images} {self.name} images can be read")

    def or_none(self, index: int, read: Callable[[int], T]) -> T | None:
        """What `read` makes of an image, None where it is broken. Raises BrokenImageError as `note` does."""
        if self.found[index]:
            return None
        try:
            return read(index)
        except BrokenImageError as error:
            self.note(index, error)
            return None


def unreadable(
    places: Sequence[int], read: Callable[[int], object], threads: int, seconds: float
) -> dict[int, BrokenImageError] | None:
    """The images that cannot be read among those at `places`; None where looking at all would take longer than `seconds`.

    read: reads the image at a place; it is called by so many threads. How long it takes is judged by a few that lie evenly
    spread.
    """
    trial = places[:: max(1, len(places) // _CHUNK)]
    with ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        found = _among(trial, read, pool)
        if (time.perf_counter() - begin) * len(places) / max(1, len(trial)) > seconds:
            return None
        return found | _among(places, read, pool)


def _among(
    places: Sequence[int], read: Callable[[int], object], pool: ThreadPoolExecutor
) -> dict[int, BrokenImageError]:
    def broken(chunk: Sequence[int]) -> dict[int, BrokenImageError]:
        errors = {}
        for place in chunk:
            try:
                read(place)
            except BrokenImageError as error:
                errors[place] = error
        return errors

    # Many at a time: a task of its own would cost as much as reading a small image.
    chunk = max(1, min(_CHUNK, len(places) // _PARTS))
    chunks = [places[i : i + chunk] for i in range(0, len(places), chunk)]
    return {place: error for errors in pool.map(broken, chunks) for place, error in errors.items()}
