"""Batches for one or several processes, the same after an interruption as without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, default_collate, get_worker_info
from torchvision.transforms import v2

from gsnet.data.data_sets import data_set
from gsnet.data.held_batches import ChangedImages, as_batch, as_tensor, held_images
from gsnet.data.kept_images import KeptImages, pixels_of
from gsnet.data.random_numbers import mixed_seed
from gsnet.data.settings import DEVICE, RAM, DataSettings
from gsnet.data.skipping import BrokenImages, BrokenSplit
from gsnet.data.transforms import held_steps, training_transform, validated_steps, validation_transform
from gsnet.interface.options import InputError


class Share(Protocol):
    """What decides which images a process sees: batches of one process, the processes, and the seed of the order."""

    @property
    def batch_size(self) -> int:
        """Images of one process and step."""
        ...

    @property
    def seed(self) -> int:
        """What the order of the images follows from."""
        ...

    @property
    def rank(self) -> int:
        """This process, from 0."""
        ...

    @property
    def processes(self) -> int:
        """How many there are."""
        ...


class EpochSampler(Sampler[tuple[int, ...]]):
    """Pairs (epoch, image) of this process: a permutation that epoch and seed decide, every process having its share.

    Step t of all processes together sees the images that one process with the sum of their batches would see. Images
    that do not fill a batch of every process are left to the next epochs. `set_epoch` also skips the batches that an
    interrupted epoch has done.
    """

    def __init__(self, images: int, settings: Share) -> None:
        self.images = images
        self.settings = settings
        self.batches = images // (settings.batch_size * settings.processes)
        self.epoch = self.skip = 0

    def set_epoch(self, epoch: int, skip: int = 0) -> None:
        """Which epoch the next iteration belongs to, and how many of its batches are done."""
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        return (self.batches - self.skip) * self.settings.batch_size

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        s = self.settings
        order = self._order()[s.rank :: s.processes]
        chosen = order[self.skip * s.batch_size : self.batches * s.batch_size]
        return ((self.epoch, index) for index in chosen.tolist())

    def _order(self) -> Tensor:
        """All images in the order of the epoch, (images,)."""
        generator = torch.Generator().manual_seed(mixed_seed(self.settings.seed, self.epoch))
        return torch.randperm(self.images, generator=generator)


class RepeatedSampler(EpochSampler):
    """Triples (epoch, image, copy): each image of an epoch comes `repeats` times, while an epoch stays as long as without.

    The copies of an image lie side by side, so that as many processes see one each (Hoffer et al. 2020; drawn as in the
    training of DeiT and timm).
    """

    def __init__(self, images: int, settings: Share, repeats: int) -> None:
        super().__init__(images, settings)
        self.repeats = repeats

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        s = self.settings
        # Place of this process's images among all copies of all images.
        places = range(s.rank, self.images * self.repeats, s.processes)
        order = self._order().tolist()
        chosen = places[self.skip * s.batch_size : self.batches * s.batch_size]
        return ((self.epoch, order[place // self.repeats], place % self.repeats) for place in chosen)


class SeededImages(Dataset[tuple[Tensor, int]]):
    """Images by (epoch, index), whose random changes follow from seed, epoch and index alone.

    Where an image comes several times in an epoch, by (epoch, index, copy). In the place of a broken one stands the next that
    is not.
    """

    def __init__(self, images: Dataset[tuple[Tensor, int]], seed: int, broken: BrokenSplit) -> None:
        self.images, self.broken = images, broken
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, place: tuple[int, ...]) -> tuple[Tensor, int]:
        seed = mixed_seed(self.seed, *place)

        def read(index: int) -> tuple[Tensor, int]:
            # Before each: one that is decoded late is found to be broken after some of its numbers were drawn.
            torch.random.default_generator.manual_seed(seed)
            return self.images[index]

        # A process that only reads has nothing to restore, which takes as long as a crop.
        alone = get_worker_info() is not None
        with nullcontext() if alone else torch.random.fork_rng(devices=[]):
            return self.broken.in_place_of(place[1], read)


class WholeImages(Dataset[tuple[Tensor, int] | None]):
    """Images by index; None for a broken one, which `without_gaps` leaves out of its batch."""

    def __init__(self, images: Dataset[tuple[Tensor, int]], broken: BrokenSplit) -> None:
        self.images, self.broken = images, broken

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int] | None:
        return self.broken.or_none(index, self.images.__getitem__)


def without_gaps(samples: list[tuple[Tensor, int] | None]) -> tuple[Tensor, Tensor]:
    """A batch of the images that are there: (N, 3, side, side) and labels (N,); N may be 0."""
    whole = [sample for sample in samples if sample is not None]
    if not whole:
        return torch.empty(0, 3, 1, 1), torch.empty(0, dtype=torch.int64)
    images, labels = default_collate(whole)
    return images, labels


def training_loader(settings: DataSettings, broken: BrokenImages | None = None, device: str = "cpu") -> DataLoader:
    """Shuffled and changed batches of this process; `loader.sampler.set_epoch(epoch)` comes before every epoch.

    broken: images that cannot be read, by default none of which is gone past. device: where held images lie with settings.cache
    "device". Images are (batch_size, 3, side, side), labels (batch_size,). Raises InputError where the data set is smaller than
    one batch of all processes.
    """
    found = _images(settings, train=True)
    count: int = len(found)  # type: ignore[arg-type]
    split = (broken or BrokenImages()).split("training", count)
    if settings.dataloader_testing:
        count = min(count, max(count // 100, settings.batch_size * settings.processes))
    repeats = settings.aug_repeats
    sampler = RepeatedSampler(count, settings, repeats) if repeats > 1 else EpochSampler(count, settings)
    if not sampler.batches:
        wanted = settings.batch_size * settings.processes
        raise InputError(
            f"The data set has {len(split.found)} training images, a batch {wanted}: use a smaller --batch_size"
        )
    if settings.cache == DEVICE:
        read = partial(split.in_place_of, read=found.__getitem__)
        held = held_images(found, range(count), read, settings, device, "training")
        images: Dataset = ChangedImages(held) if settings.augment else held
        return DataLoader(images, settings.batch_size, sampler=sampler, drop_last=True, **_of_memory(settings))
    if isinstance(found, KeptImages):
        found.keep(range(count), split, settings.workers)
    images = SeededImages(found, settings.seed, split)
    return DataLoader(images, settings.batch_size, sampler=sampler, drop_last=True, **_reading(settings))


def validation_loader(settings: DataSettings, broken: BrokenImages | None = None, device: str = "cpu") -> DataLoader:
    """The validation images of this process in order; each image is in exactly one process's batches.

    broken: images that cannot be read, by default none of which is gone past. Others are missing from their batches, which may
    leave one empty. device: as `training_loader` has it.
    """
    found = _images(settings, train=False)
    count: int = len(found)  # type: ignore[arg-type]
    split = (broken or BrokenImages()).split("validation", count)
    if settings.dataloader_testing:
        count = max(1, count // 10)
    own = range(settings.rank, count, settings.processes)
    if settings.cache == DEVICE:
        read = partial(split.or_none, read=found.__getitem__)
        held = held_images(found, own, read, settings, device, "validation")
        return DataLoader(held, settings.batch_size, **_of_memory(settings))
    if isinstance(found, KeptImages):
        found.keep(own, split, settings.workers)
    images: Dataset = WholeImages(found, split)
    if settings.processes > 1 or settings.dataloader_testing:
        images = Subset(images, own)
    return DataLoader(images, settings.batch_size, collate_fn=without_gaps, **_reading(settings))


def _images(settings: DataSettings, train: bool) -> Dataset:
    """The images of a data set as the settings keep them."""
    if settings.cache == DEVICE:
        before = held_steps(settings) if train and settings.augment else validated_steps(settings)
        return data_set(settings, train, as_tensor(before))
    if settings.cache == RAM:
        transform = training_transform(settings) if train else validation_transform(settings)
        return KeptImages(data_set(settings, train, v2.Lambda(pixels_of)), transform, settings.cache_memory)
    return data_set(settings, train)


def _reading(settings: DataSettings) -> dict:
    return {
        "num_workers": settings.workers,
        "persistent_workers": settings.workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "generator": _order(settings),
    }


def _of_memory(settings: DataSettings) -> dict:
    return {"collate_fn": as_batch, "generator": _order(settings)}


def _order(settings: DataSettings) -> torch.Generator:
    """What a loader draws from, so that it leaves the program's own random numbers alone."""
    return torch.Generator().manual_seed(mixed_seed(settings.seed))
