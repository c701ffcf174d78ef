"""Test images by data set, prepared as a network expects them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import datasets
from torchvision.transforms import v2

from Interface.options import InputError
from ModelLoader import ExpectedInput

DATASETS = ("imagenet", "cifar10", "cifar100", "fake")
_FOLDERS = {
    "imagenet": Path("~/data/imagenet"),
    "cifar10": Path("~/data/pytorch_cifar10"),
    "cifar100": Path("~/data/pytorch_cifar100"),
}
SPLITS = ("val", "test")
_CIFAR = {
    "cifar10": (datasets.CIFAR10, "cifar-10-batches-py"),
    "cifar100": (datasets.CIFAR100, "cifar-100-python"),
}
_FAKE_IMAGES = 256


def transform(expected: ExpectedInput) -> v2.Transform:
    """A PIL image to a normalised float tensor (3, crop, crop): shorter side to `resize`, then the centre."""
    return v2.Compose(
        [
            v2.RGB(),
            v2.Resize(expected.resize, v2.InterpolationMode(expected.interpolation)),
            v2.CenterCrop(expected.crop),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(expected.mean), list(expected.std)),
        ]
    )


def test_images(
    dataset: str, expected: ExpectedInput, data_dir: str | Path | None = None, download: bool = False
) -> Dataset[tuple[Tensor, int]]:
    """The test split of a data set, images of shape (3, crop, crop) and labels from 0.

    imagenet is any folder with val/CLASS/IMAGE or test/CLASS/IMAGE; classes count in alphabetical order. cifar10 and
    cifar100 are torchvision's files, fetched with `download`, or such a folder. fake is noise. Without data_dir:
    ~/data/imagenet, ~/data/pytorch_cifar10, ~/data/pytorch_cifar100. Raises InputError, which says what was looked for.
    """
    if dataset == "fake":
        shape = (3, expected.crop, expected.crop)
        return datasets.FakeData(_FAKE_IMAGES, shape, expected.classes, transform(expected))
    if dataset not in _FOLDERS:
        raise InputError(f"There is no data set {dataset!r}: use one of {', '.join(DATASETS)}")
    folder = Path(data_dir or _FOLDERS[dataset]).expanduser()
    split = next((folder / name for name in SPLITS if (folder / name).is_dir()), None)
    if split is not None:
        return _image_folder(split, expected)
    if dataset not in _CIFAR:
        raise InputError(f"{folder} has no {' or '.join(SPLITS)} folder: --data_dir takes one with val/CLASS/IMAGE")
    kind, inside = _CIFAR[dataset]
    try:
        return kind(folder, train=False, transform=transform(expected), download=download)
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"{folder} holds neither a whole {inside} nor test/CLASS/IMAGE: name the folder with --data_dir, or use --download"
        ) from error


def _image_folder(folder: Path, expected: ExpectedInput) -> Dataset[tuple[Tensor, int]]:
    try:
        return datasets.ImageFolder(folder, transform(expected))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} has no CLASS/IMAGE below it: one folder of pictures a class was expected"
        ) from error
