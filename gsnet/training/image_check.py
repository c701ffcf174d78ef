"""A look at all images before the first epoch: a broken one is found now, not hours later."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import DataLoader, Dataset, Subset

from gsnet.data.broken import BrokenImageError
from gsnet.data.class_folder import ClassFolder
from gsnet.data.loaders import EpochSampler, SeededImages, WholeImages
from gsnet.data.sharded import ShardedPictures
from gsnet.data.skipping import BrokenImages, BrokenSplit, unreadable
from gsnet.interface.options import named_few
from gsnet.validation.processes import gathered, place

_LOG = logging.getLogger(__name__)
_SECONDS = 10.0
# Place, sentence, file and reason.
_Broken = tuple[int, str, str | None, str]


@dataclass(frozen=True)
class Looked:
    """Images to look at: this process's share of the places in a data set, and what reads the one at a place."""

    split: BrokenSplit
    places: Sequence[int]
    read: Callable[[int], object]


def pictures_of(loader: DataLoader) -> list[Looked]:
    """The pictures that a loader of `gsnet.data` reads; none where they do not lie in files of their own."""
    images: Dataset = loader.dataset
    places: Sequence[int] = range(len(images))  # type: ignore[arg-type]
    if isinstance(images, Subset):
        places, images = images.indices, images.dataset
    elif isinstance(loader.sampler, EpochSampler):
        rank, processes = place()
        places = range(rank, loader.sampler.images, processes)
    if not isinstance(images, SeededImages | WholeImages) or not isinstance(
        images.images, ClassFolder | ShardedPictures
    ):
        return []
    pictures = images.images
    return [Looked(images.broken, places, pictures.look_at)]


def check_images(run: BrokenImages, sets: Sequence[Looked], threads: int, seconds: float = _SECONDS) -> None:
    """Read every image once, each process its share in so many threads; broken ones are noted in their data set.

    A data set that would take longer than `seconds` is left to be read as it comes. Raises BrokenImageError, the same in all
    processes, where more are broken than may be gone past.
    """
    begin, looked_at, broken = time.perf_counter(), [], []
    for one in sets:
        images, found = _found_by_all(one, threads, seconds)
        if found is None:
            _LOG.info(
                "Looking at all %s images first would take longer than %.0f s: they are read as they come",
                *(f"{images:,} {one.split.name}", seconds),
            )
            continue
        looked_at.append(f"{images:,} {one.split.name}")
        broken += [BrokenImageError(said, Path(file) if file else None, reason) for _, said, file, reason in found]
        one.split.found[[index for index, *_ in found]] = True
    if len(broken) > run.allowed:
        raise BrokenImageError(run.refusal(_told(broken), len(broken)), broken[0].file, broken[0].reason)
    if broken:
        _LOG.warning("%s: left out, as skip_broken %d allows", _told(broken), run.allowed)
    if looked_at:
        others = " others" if broken else ""
        _LOG.info(
            "All%s of %s images can be read (%.1f s)", others, " and ".join(looked_at), time.perf_counter() - begin
        )


def _found_by_all(one: Looked, threads: int, seconds: float) -> tuple[int, list[_Broken] | None]:
    """How many images all processes have, and the broken ones in their order; None where it would take too long."""
    own = unreadable(one.places, one.read, max(1, threads), seconds)
    told = None
    if own is not None:
        told = [(index, str(e), None if e.file is None else str(e.file), e.reason) for index, e in own.items()]
    shares = [json.loads(part) for part in gathered(json.dumps((len(one.places), told)).encode())]
    images = sum(count for count, _ in shares)
    if any(found is None for _, found in shares):
        return images, None
    return images, sorted((tuple(broken) for _, found in shares for broken in found), key=lambda broken: broken[0])


def _told(broken: Sequence[BrokenImageError]) -> str:
    if len(broken) == 1:
        return str(broken[0])
    return f"{len(broken)} images cannot be read: {named_few([f'{e.file} ({e.reason})' if e.file else str(e) for e in broken])}"
