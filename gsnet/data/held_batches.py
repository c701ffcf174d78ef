"""Images that lie on the device that computes, and are changed there a batch at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gsnet.data.batch_changes import BatchChanges, Normalisation
from gsnet.data.random_numbers import Draws
from gsnet.data.reading import read_by_threads
from gsnet.data.settings import DataSettings
from gsnet.data.transforms import RGB
from gsnet.interface.options import InputError
from gsnet.interface.words import duration

_LOG = logging.getLogger(__name__)

Place: TypeAlias = int | tuple[int, ...]


class HeldImages(Dataset[tuple[Tensor, int]]):
    """All images of a data set on a device, normalised where they are asked for: many at a time for `as_batch`.

    images: the data set that they are of. pixels: (N, 3, H, W) of 8 bits. labels: (N,). A place is an index, or what a sampler
    of a training gives: (epoch, index) or (epoch, index, copy).
    """

    def __init__(self, images: Dataset, pixels: Tensor, labels: Tensor, settings: DataSettings) -> None:
        self.images, self.pixels, self.labels, self.settings = images, pixels, labels, settings
        self._normalised = Normalisation(settings)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: Place) -> tuple[Tensor, int]:
        images, labels = self.__getitems__([place])
        return images[0], int(labels[0])

    def __getitems__(self, places: Sequence[Place]) -> tuple[Tensor, Tensor]:
        """Images (N, 3, side, side) and labels (N,); a DataLoader calls it once for a batch."""
        indices = [place if isinstance(place, int) else place[1] for place in places]
        chosen = torch.tensor(indices).to(self.pixels.device, non_blocking=True)
        return self.prepared(self.pixels[chosen], places), self.labels[chosen]

    def prepared(self, pixels: Tensor, places: Sequence[Place]) -> Tensor:
        """Pixels (N, 3, H, W) of 8 bits as floats that a network takes."""
        return self._normalised(pixels)


class ChangedImages(HeldImages):
    """Images on a device whose random changes follow from seed, epoch and index alone, whichever batch they are in."""

    def __init__(self, held: HeldImages) -> None:
        super().__init__(held.images, held.pixels, held.labels, held.settings)
        self._changes = BatchChanges(held.settings)

    def prepared(self, pixels: Tensor, places: Sequence[Place]) -> Tensor:
        """Pixels (N, 3, H, W) of 8 bits, changed, as floats that a network takes."""
        return self._changes(pixels, Draws(self.settings.seed, places))


def as_batch(batch: Any) -> tuple[Tensor, Tensor]:
    """What held images are put together by: they are a batch already."""
    return batch


def held_images(
    images: Dataset,
    indices: Sequence[int],
    read: Callable[[int], tuple[Tensor, int] | None],
    settings: DataSettings,
    device: str,
    name: str,
) -> HeldImages:
    """Read images by threads, and put them on a device; without those of which `read` has None.

    read: from an index to (3, H, W) of 8 bits and a label. Raises InputError where they are not all of one size, and where they
    take more than settings.cache_memory.
    """
    begin, pixels = time.perf_counter(), None
    labels: list[int] = []
    for chunk in read_by_threads(indices, read, settings.workers, f"{name} images"):
        found = [one for _, one in chunk if one is not None]
        if not found:
            continue
        size = found[0][0].shape if pixels is None else pixels.shape[1:]
        _check_sizes([image for image, _ in found], size, len(indices), settings.cache_memory)
        if pixels is None:
            # At once: parts that are put together in the end would take twice the memory.
            pixels = torch.empty((len(indices), *size), dtype=torch.uint8, device=device)
        pixels[len(labels) : len(labels) + len(found)] = torch.stack([image for image, _ in found])
        labels += [int(label) for _, label in found]
    if pixels is None:
        raise InputError(f"None of the {len(indices)} {name} images can be read")
    held = HeldImages(images, pixels[: len(labels)], torch.tensor(labels, device=device), settings)
    megabytes, seconds = held.pixels.nbytes / 1e6, duration(time.perf_counter() - begin)
    _LOG.info("%s %s images are held on %s, %.1f MB (%s)", f"{len(held):,}", name, device, megabytes, seconds)
    return held


def _check_sizes(pixels: Sequence[Tensor], size: torch.Size, count: int, room: float) -> None:
    other = next((one.shape for one in pixels if one.shape != size), None)
    if other is not None:
        raise InputError(
            f"--cache device holds images of one size, and some have {size[2]}x{size[1]}, others {other[2]}x{other[1]} pixels: "
            "use --cache ram, or make them alike"
        )
    needed = count * size.numel()
    if needed > room:
        raise InputError(
            f"{count:,} images of {size[2]}x{size[1]} pixels take {needed / 1e6:,.0f} MB, more than --cache_memory allows "
            f"({room / 1e6:,.0f} MB): raise it, or use --cache ram, which keeps those that fit"
        )


def as_tensor(steps: Sequence[torch.nn.Module]) -> v2.Transform:
    """A PIL image after these steps as (3, H, W) of 8 bits."""
    return v2.Compose([RGB(), *steps, v2.PILToTensor()])
