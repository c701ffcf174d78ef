"""What a network expects of its input images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gsnet.data.settings import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD

CROP_FRACTION = 0.875


@dataclass(frozen=True)
class ExpectedInput:
    """How test images reach a network.

    resize: length of the shorter side before cropping; crop: side of the centre crop; resolution: the side that the crop is
    interpolated to, all in pixels (equal to crop where nothing is interpolated). interpolation of the first resizing:
    "bilinear", "bicubic" or "nearest". mean and std: of pixels in [0, 1], by channel. classes: width of the logits.
    """

    resolution: int
    crop: int
    resize: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"
    classes: int = 1000


def centre_crop(resolution: int, crop: int | None = None, classes: int = 1000) -> ExpectedInput:
    """The customary test: the shorter side to crop / 0.875, a centre crop, ImageNet's mean and standard deviation."""
    crop = crop or resolution
    return ExpectedInput(resolution, crop, math.ceil(crop / CROP_FRACTION), classes=classes)


def whole_image(resolution: int, classes: int) -> ExpectedInput:
    """CIFAR's test: the image as it is, with CIFAR-10's mean and standard deviation."""
    return ExpectedInput(resolution, resolution, resolution, CIFAR_MEAN, CIFAR_STD, classes=classes)
