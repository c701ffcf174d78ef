"""Test images by data set, prepared as a network expects them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gsnet.data import DATASETS, DataSettings, data_set
from gsnet.data.class_folder import ClassFolder
from gsnet.data.settings import IMAGE_FOLDER
from gsnet.data.sharded import ShardedPictures
from gsnet.data.transforms import RGB
from gsnet.interface.description import WHOLE
from gsnet.models import ExpectedInput


def transform(expected: ExpectedInput) -> v2.Transform:
    """A PIL image to a normalised float tensor (3, crop, crop): shorter side to `resize`, then its centre; or the whole."""
    how = v2.InterpolationMode(expected.interpolation)
    if expected.crop_mode == WHOLE:
        cut = [v2.Resize((expected.crop, expected.crop), how)]
    else:
        cut = [v2.Resize(expected.resize, how), v2.CenterCrop(expected.crop)]
    return v2.Compose(
        [
            RGB(),
            *cut,
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(expected.mean), list(expected.std), inplace=True),
        ]
    )


def test_images(
    dataset: str,
    expected: ExpectedInput,
    data_dir: str | Path | None = None,
    download: bool = False,
    known: Sequence[str] = (),
) -> Dataset[tuple[Tensor, int]]:
    """The test split of a data set by its name in `gsnet.data.DATASETS`: images (3, crop, crop) and labels from 0.

    data_dir is its folder, by default the usual one; download fetches CIFAR. known: names of the network's classes, by which
    the folders of pictures count. Raises InputError, which says what was
    looked for and where.
    """
    settings = DataSettings(
        dataset,
        None if data_dir is None else Path(data_dir),
        batch_size=1,
        workers=0,
        input_image_size=expected.resolution,
        crop_image_size=expected.crop,
        download=download,
        fake_classes=expected.classes,
    )
    return data_set(settings, train=False, transform=transform(expected), known=known)


def data_set_seen(usual: str, images: Dataset) -> str:
    """What images are of that nothing says the data set of: `usual` where they have its classes, else a folder of one's own."""
    if not isinstance(images, ClassFolder | ShardedPictures):
        return usual
    return usual if len(images.classes) == DATASETS[usual].classes else IMAGE_FOLDER
