"""Detection data sets as batches of a network's inputs, the same after an interruption and with any number of workers."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from gsnet.data.loaders import EpochSampler
from gsnet.data.random_numbers import mixed_seed
from gsnet.detection.augmentation import Augmentation
from gsnet.detection.kept_pictures import KeptPictures
from gsnet.detection.preprocessing import MULTIPLE, Placement, Preprocessing, scale_of
from gsnet.detection.sample import Sample, mosaic, placed
from gsnet.detection.scene import SceneSet, corners, usable, with_others_as_regions
from gsnet.detection.targets import Batch, Targets
from gsnet.detection.tiles import Tile
from gsnet.detection.windows import Windows, with_parts_as_regions
from gsnet.interface.options import InputError
from gsnet.interface.words import counted

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadingSettings:
    """How images become batches.

    preprocessing: of training and evaluation alike; augmentation: None leaves training images as they are. batch_size:
    images of one process and step. others_as_regions: objects of no class (VisDrone's category 11) neither train nor count.
    windows: which part of an image is trained on, None for the whole. cache_memory: bytes of decoded training images that the
    reading processes keep, all together.
    Everything random follows from seed, epoch and the image's place in the data set.
    """

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    batch_size: int = 8
    workers: int = 0
    seed: int = 0
    rank: int = 0
    processes: int = 1
    others_as_regions: bool = True
    windows: Windows | None = None
    cache_memory: float = 0


class _Images:
    """Images of a data set as samples, their faulty boxes left out."""

    def __init__(self, data: SceneSet, settings: LoadingSettings) -> None:
        scenes = data.scenes
        if settings.others_as_regions:
            scenes = tuple(with_others_as_regions(scene) for scene in scenes)
        dropped: Counter[str] = Counter()
        self.scenes = tuple(usable(scene, dropped) for scene in scenes)
        self.settings, self.pictures = settings, KeptPictures()
        if +dropped:
            counts = ", ".join(f"{kind}: {count}" for kind, count in dropped.items() if count)
            _LOG.info("%s of %d images", counts, len(scenes))

    def __len__(self) -> int:
        return len(self.scenes)

    def sample(self, index: int, placement: Placement) -> Sample:
        """The image and its objects; ignored objects become regions. The image has as many pixels as its place in the
        network's input needs. Raises InputError where it is unlike its entry."""
        scene = self.scenes[index]
        if scene.image is None:
            raise InputError(f"The data set names no image file for {scene.name}")
        picture = self.pictures.read(scene.image, (scene.width, scene.height), scale_of(placement.matrix))
        if (picture.width, picture.height) != (scene.width, scene.height):
            raise InputError(
                f"{scene.image} has {picture.width} x {picture.height} pixels, "
                f"the annotations were made for {scene.width} x {scene.height}"
            )
        boxes = corners(scene.boxes)
        regions = np.concatenate([corners(scene.regions), boxes[scene.ignored]])
        return Sample(picture.image, boxes[~scene.ignored], scene.labels[~scene.ignored], regions, picture.blocks)

    def target(self, index: int, sample: Sample, matrix: np.ndarray) -> Targets:
        """What the detector learns from, in pixels of the input."""
        scene = self.scenes[index]
        return Targets(
            boxes=torch.from_numpy(sample.boxes).float(),
            labels=torch.from_numpy(np.asarray(sample.labels, dtype=np.int64)),
            ignored=torch.from_numpy(sample.regions).float(),
            image_id=scene.name,
            to_input=torch.from_numpy(np.ascontiguousarray(matrix)).float(),
            original_size=(scene.height, scene.width),
        )

    def as_it_is(self, index: int, view: Tile) -> tuple[Tensor, Targets]:
        """A view of an image resized and normalised, (3, H, W), and its targets."""
        placement = self.settings.preprocessing.view(view)
        return self.input(index, placed(self.sample(index, placement), placement), placement)

    def input(self, index: int, sample: Sample, placement: Placement) -> tuple[Tensor, Targets]:
        """A sample of the network's size as its input (3, H, W), and its targets."""
        image = torch.from_numpy(self.settings.preprocessing.normalised(sample.image))
        return image, self.target(index, sample, placement.matrix)

    def whole(self, index: int) -> Tile:
        """The view that is the whole image."""
        return Tile(0, 0, self.scenes[index].width, self.scenes[index].height)


class TrainingImages(_Images, Dataset[tuple[Tensor, Targets]]):
    """Changed images by (epoch, index), or windows of them; both follow from seed, epoch and index alone."""

    def __init__(self, data: SceneSet, settings: LoadingSettings) -> None:
        super().__init__(data, settings)
        self.pictures = KeptPictures(settings.cache_memory / max(1, settings.workers))

    def __getitem__(self, place: tuple[int, int]) -> tuple[Tensor, Targets]:
        epoch, index = place
        change, target = self.settings.augmentation, self.settings.preprocessing
        rng = np.random.default_rng(mixed_seed(self.settings.seed, epoch, index))
        if change is None:
            return self.as_it_is(index, self._view(rng, index))
        if rng.random() < change.mosaic:
            sample = self._mosaic(rng, index)
            placement = change.placement(rng, target, Tile(0, 0, target.width, target.height))
        else:
            placement = change.placement(rng, target, self._view(rng, index))
            sample = self.sample(index, placement)
        return self.input(index, change.changed(rng, sample, placement), placement)

    def sample(self, index: int, placement: Placement) -> Sample:
        """As above; small parts of objects that a window cuts are regions."""
        sample = super().sample(index, placement)
        change = self.settings.augmentation or Augmentation()
        return with_parts_as_regions(sample, placement, change.minimal_share) if self.settings.windows else sample

    def _view(self, rng: np.random.Generator, index: int) -> Tile:
        """What of an image is looked at."""
        if self.settings.windows is None:
            return self.whole(index)
        scene = self.scenes[index]
        return self.settings.windows.chosen(rng, scene.width, scene.height, corners(scene.boxes)[~scene.ignored])

    def _mosaic(self, rng: np.random.Generator, index: int) -> Sample:
        """This image and three others, each brought to the input's size first."""
        stretch = replace(self.settings.preprocessing, keep_ratio=False)
        parts = []
        for chosen in (index, *rng.integers(len(self), size=3).tolist()):
            placement = stretch.view(self._view(rng, chosen))
            parts.append(placed(self.sample(chosen, placement), placement))
        return mosaic(rng, parts)


class EvaluationImages(_Images, Dataset[tuple[Tensor, Targets]]):
    """Images by index, as they are."""

    def __getitem__(self, index: int) -> tuple[Tensor, Targets]:
        return self.as_it_is(index, self.whole(index))


def collated(samples: list[tuple[Tensor, Targets]]) -> Batch:
    """Images of any sizes as one batch, padded with zeros to the right and below, to multiples of 32."""
    height, width = (max(image.shape[axis] for image, _ in samples) for axis in (1, 2))
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
    images = torch.zeros(len(samples), 3, height, width)
    for place, (image, _) in zip(images, samples, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return Batch(images, [target for _, target in samples])


def detection_training_loader(data: SceneSet, settings: LoadingSettings) -> DataLoader[Batch]:
    """Shuffled and changed batches of this process; `loader.sampler.set_epoch(epoch, skip)` comes before every epoch.

    Raises InputError where the data set is smaller than one batch of all processes.
    """
    images = TrainingImages(data, settings)
    sampler = EpochSampler(len(images), settings)
    if not sampler.batches:
        wanted = settings.batch_size * settings.processes
        raise InputError(
            f"The data set has {counted(len(images), 'image')}, a batch {wanted}: use a smaller --batch_size"
        )
    loader: DataLoader = DataLoader(images, settings.batch_size, sampler=sampler, drop_last=True, **_reading(settings))
    return loader


def detection_evaluation_loader(data: SceneSet, settings: LoadingSettings) -> DataLoader[Batch]:
    """The images of this process in order and as they are; each image is in exactly one process's batches."""
    images: Dataset = EvaluationImages(data, settings)
    if settings.processes > 1:
        images = Subset(images, range(settings.rank, len(data), settings.processes))
    return DataLoader(images, settings.batch_size, **_reading(settings))


def _reading(settings: LoadingSettings) -> dict:
    return {
        "num_workers": settings.workers,
        "persistent_workers": settings.workers > 0,
        "pin_memory": False,
        "collate_fn": collated,
        "generator": torch.Generator().manual_seed(mixed_seed(settings.seed)),
    }
