"""Which images, how many at a time, and how they are changed."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsnet.data.policies import OF_TIMM, THREE, wrong_policy
from gsnet.interface.options import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset

# Where decoded images are kept: nowhere, in the machine's memory, or on the device that computes.
NONE, RAM, DEVICE = CACHES = ("none", "ram", "device")
_GIBIBYTE = 2.0**30
# Validation makes an image as many times as large as this is small, whatever memory that takes.
_LEAST_CROP = 0.1
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CIFAR_SIDE = 32


@dataclass(frozen=True)
class Kind:
    """What is known of a data set by its name: where it may lie without --data_dir, and its classes (0: any number).

    cifar: prepared as CIFAR's images are. read: what reads it, where that is not the usual reader of folders; see
    `register_data_set`.
    """

    folders: tuple[Path, ...]
    classes: int
    cifar: bool = False
    read: Callable[[DataSettings, bool, Any], Dataset[tuple[Tensor, int]]] | None = None


def _below(*names: str) -> tuple[Path, ...]:
    return tuple(Path("~/data", name) for name in names)


# Any folder of pictures of one's own.
IMAGE_FOLDER = "image_folder"
DATASETS = {
    "imagenet": Kind(_below("imagenet/images", "imagenet/imagenet-torch", "imagenet"), 1000),
    "myimagenet100": Kind(_below("myimagenet100"), 100),
    IMAGE_FOLDER: Kind((), 0),
    "cifar10": Kind(_below("pytorch_cifar10"), 10, cifar=True),
    "cifar100": Kind(_below("pytorch_cifar100"), 100, cifar=True),
    "fake": Kind((), 10),
}
_OF_THE_PACKAGE = frozenset(DATASETS)


def is_never_fetched(name: str | None) -> bool:
    """Whether a data set is one that --download does nothing for; of a program's own that is not known."""
    kind = DATASETS.get(name or "")
    return kind is not None and not kind.cifar and kind.read is None


def register_data_set(
    name: str,
    *,
    classes: int = 0,
    folders: Sequence[str | Path] = (),
    cifar: bool = False,
    read: Callable[[DataSettings, bool, Any], Dataset[tuple[Tensor, int]]] | None = None,
) -> None:
    """Make a data set known by a name, for `--dataset` of every script.

    classes: how many, 0 where its folder says so. folders: where it may lie without --data_dir. cifar: its images are prepared
    as CIFAR's, whole and with little padding, instead of as ImageNet's. read(settings, train, transform): its images, as pairs
    of what transform makes of a PIL image and a label from 0; without it they lie in FOLDER/train/CLASS/IMAGE and
    FOLDER/val/CLASS/IMAGE. A name of one's own may be given anew. Raises InputError for a name of the package.
    """
    if name in _OF_THE_PACKAGE:
        raise InputError(f"The package has a data set {name} already: give yours another name")
    DATASETS[name] = Kind(tuple(map(Path, folders)), classes, cifar, read)


def unknown_data_set(name: str) -> str:
    """The sentence about a name that no data set has."""
    near = difflib.get_close_matches(name, DATASETS, n=1)
    return f"There is no data set {name!r}" + (
        f"; did you mean {near[0]}?" if near else f": use one of {', '.join(DATASETS)}"
    )


def data_set_name(text: str) -> str:
    """The name of a data set, as an option takes it."""
    if text not in DATASETS:
        raise argparse.ArgumentTypeError(unknown_data_set(text))
    return text


@dataclass(frozen=True)
class DataSettings:
    """A data set and its preparation.

    dataset: a key of `DATASETS`; data_dir: its folder, by default below ~/data. batch_size: images of one process and
    step. workers: processes that read. input_image_size: side of the square in pixels; crop_image_size: side that
    validation images are cut to where it differs, the network interpolates the rest. input_image_crop: share of the
    shorter side that validation keeps. dataloader_testing: the first hundredth of the training images (at least a batch
    of all processes) and the first tenth of the validation images stand for all. Everything random follows from seed,
    epoch and the image's place in the data set, so that neither the number of workers nor an interruption changes an image.

    auto_augment: a policy of `gsnet.data.policies`. color_jitter: how far brightness, contrast, saturation and, if there are
    four, hue go from what they are; crop_scale: from which to which share of an image is cut out; lighting: deviation of the
    shift of colours; None leaves these three as the data set's training has them. random_erase: probability. aug_repeats: how
    often an image of an epoch is in it, changed differently, while fewer images are; 0 as 1. cache: one of `CACHES`; with
    DEVICE images are changed a batch at a time, by other random numbers than else. cache_memory: bytes that kept images of one
    data set may take in this process. reduced_decoding: JPEG files of training are decoded at a half, a quarter or an eighth of
    their size where the part that is cut out has so many times the pixels a side that are asked for. network_classes: of the
    network that is trained, below which the labels of a reader of one's own must be; 0 where none is.

    Raises InputError for values that no data set has.
    """

    dataset: str
    data_dir: Path | None
    batch_size: int
    workers: int
    input_image_size: int
    crop_image_size: int | None = None
    seed: int = 0
    download: bool = False
    input_image_crop: float = 0.875
    augment: bool = True
    auto_augment: bool | str = False
    random_erase: float = 0.0
    color_jitter: tuple[float, ...] | None = None
    crop_scale: tuple[float, float] | None = None
    lighting: float | None = None
    aug_repeats: int = 0
    rank: int = 0
    processes: int = 1
    fake_images: int = 256
    fake_classes: int = 10
    dataloader_testing: bool = False
    cache: str = NONE
    cache_memory: float = 4 * _GIBIBYTE
    reduced_decoding: bool = False
    network_classes: int = 0

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise InputError(unknown_data_set(self.dataset))
        if self.batch_size < 1 or self.workers < 0 or self.side < 1:
            raise InputError("Batch and image sizes start at 1, workers at 0")
        if not _LEAST_CROP <= self.input_image_crop <= 1:
            raise InputError(
                f"--input_image_crop {self.input_image_crop} is not a share of the image that tests keep: {_LEAST_CROP} to 1"
            )
        if not 0 <= self.random_erase <= 1:
            raise InputError(f"--random_erase {self.random_erase} is no probability: from 0 to 1")
        changes = (self.auto_augment, self.random_erase, self.color_jitter, self.crop_scale, self.lighting)
        if not self.augment and (any(changes) or self.aug_repeats > 1):
            raise InputError(
                "--no_data_augment contradicts all that changes images, such as --auto_augment: choose one of them"
            )
        if self.cache not in CACHES:
            raise InputError(f"--cache {self.cache} is none of {', '.join(CACHES)}")
        if isinstance(self.auto_augment, str) and (wrong := wrong_policy(self.auto_augment)):
            raise InputError(f"--auto_augment {wrong}")
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise InputError(
                f"--scale {self.crop_scale[0]} {self.crop_scale[1]} are no shares of an image in their order"
            )
        if self.cache == DEVICE:
            self._refuse_changes_of_single_images()
        if self.reduced_decoding and (self.kind.cifar or self.kind.read or self.dataset == "fake"):
            raise InputError(
                f"--reduced_decoding is for large JPEG files, which --dataset {self.dataset} does not read"
            )
        if self.reduced_decoding and self.cache != NONE:
            raise InputError(f"--reduced_decoding contradicts --cache {self.cache}, which keeps whole pictures")
        if self.reduced_decoding and not self.augment:
            raise InputError("--reduced_decoding is for the parts that training cuts out: leave --no_data_augment out")

    def _refuse_changes_of_single_images(self) -> None:
        single, policy = None, self.auto_augment
        if isinstance(policy, str) and (policy == THREE or policy.startswith(OF_TIMM)):
            single = f"--auto_augment {policy} is made of"
        elif any((self.color_jitter or ())[3:]):
            single = "--color_jitter changes the hue of"
        if single:
            raise InputError(f"{single} one image after the other: use --cache ram instead of device")

    @property
    def kind(self) -> Kind:
        """What is known of the data set by its name."""
        return DATASETS[self.dataset]

    @property
    def side(self) -> int:
        """Side of the prepared images, in pixels."""
        return self.crop_image_size or self.input_image_size

    @property
    def resize(self) -> int:
        """What the shorter side of a validation image is brought to before the centre is cut out."""
        return math.ceil(self.side / self.input_image_crop)

    @property
    def folder(self) -> Path:
        """Where the images are looked for: data_dir, else the first usual folder that is there.

        Raises InputError where neither is known.
        """
        usual = [folder.expanduser() for folder in self.kind.folders]
        if self.data_dir is not None:
            return Path(self.data_dir).expanduser()
        if not usual:
            raise InputError(f"--dataset {self.dataset} has no usual folder: name it with --data_dir")
        return next((folder for folder in usual if folder.is_dir()), usual[0])

    @property
    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation by channel, of pixels in [0, 1]."""
        return (CIFAR_MEAN, CIFAR_STD) if self.kind.cifar else (IMAGENET_MEAN, IMAGENET_STD)
