"""What a network expects of its input images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gsnet.data.settings import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD

CROP_FRACTION = 0.875


@dataclass(frozen=True)
class ExpectedInput:
    """How test images reach a network.

    resize: length of the shorter side before cropping; crop: side of the centre crop; resolution: the side that the crop is
    interpolated to, all in pixels (equal to crop where nothing is interpolated). interpolation of the first resizing:
    "bilinear", "bicubic" or "nearest". mean and std: of pixels in [0, 1], by channel. classes: width of the logits.
    assumed: nothing is known of the network, these are the customary values.
    """

    resolution: int
    crop: int
    resize: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"
    classes: int = 1000
    assumed: bool = False

    def described(self) -> str:
        """How an image comes to the network, and how many classes it tells apart, as scripts say it in one line."""
        interpolated = (
            "" if self.crop == self.resolution else f", interpolated to {self.resolution} x {self.resolution}"
        )
        return (
            f"at {size_text(self.resolution)}: shorter side to {self.resize} ({self.interpolation}), centre "
            f"{self.crop} x {self.crop}{interpolated}; {self.normalisation()}; {classes_text(self.classes)}"
        )

    def normalisation(self) -> str:
        """Mean and deviation in words."""
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, deviation {std}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, as --json has them."""
        names = ("resolution", "crop", "resize", "interpolation", "classes")
        return {name: getattr(self, name) for name in names} | {"mean": list(self.mean), "std": list(self.std)}


def size_text(resolution: int) -> str:
    """A square image in words."""
    return f"{resolution} x {resolution} pixels"


def classes_text(classes: int) -> str:
    """The width of the logits in words."""
    return f"{classes} class{'es' * (classes != 1)}"


def centre_crop(resolution: int, crop: int | None = None, classes: int = 1000) -> ExpectedInput:
    """The customary test: the shorter side to crop / 0.875, a centre crop, ImageNet's mean and standard deviation."""
    crop = crop or resolution
    return ExpectedInput(resolution, crop, math.ceil(crop / CROP_FRACTION), classes=classes)


def whole_image(resolution: int, classes: int) -> ExpectedInput:
    """CIFAR's test: the image as it is, with CIFAR-10's mean and standard deviation."""
    return ExpectedInput(resolution, resolution, resolution, CIFAR_MEAN, CIFAR_STD, classes=classes)
