"""What a network expects of its input images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from gsnet.data.settings import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from gsnet.interface.description import CENTRE, WHOLE, NetworkDescription
from PlainNet import Style
from ZenNet import published

CROP_FRACTION = 0.875


@dataclass(frozen=True)
class ExpectedInput:
    """How test images reach a network.

    resize: length of the shorter side before cropping; crop: side of the centre crop; resolution: the side that the crop is
    interpolated to, all in pixels (equal to crop where nothing is interpolated). interpolation of the first resizing:
    "bilinear", "bicubic" or "nearest". mean and std: of pixels in [0, 1], by channel. classes: width of the logits.
    assumed: nothing is known of the network, these are the customary values. crop_mode: "squash" where the whole image
    is stretched to crop x crop.
    """

    resolution: int
    crop: int
    resize: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"
    classes: int = 1000
    assumed: bool = False
    crop_mode: str = CENTRE

    def described(self) -> str:
        """How an image comes to the network, and how many classes it tells apart, as scripts say it in one line."""
        return f"at {size_text(self.resolution)}: {self.preparation()}; {classes_text(self.classes)}"

    def preparation(self) -> str:
        """What is done to an image before the network sees it, in words."""
        interpolated = (
            "" if self.crop == self.resolution else f", interpolated to {self.resolution} x {self.resolution}"
        )
        cut = f"shorter side to {self.resize} ({self.interpolation}), centre {self.crop} x {self.crop}"
        if self.crop_mode == WHOLE:
            cut = f"whole image to {self.crop} x {self.crop} ({self.interpolation})"
        return f"{cut}{interpolated}; {self.normalisation()}"

    def normalisation(self) -> str:
        """Mean and deviation in words."""
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean}, deviation {std}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, as --json has them."""
        names = ("resolution", "crop", "resize", "crop_mode", "interpolation", "classes")
        return {name: getattr(self, name) for name in names} | {"mean": list(self.mean), "std": list(self.std)}


def size_text(resolution: int) -> str:
    """A square image in words."""
    return f"{resolution} x {resolution} pixels"


def classes_text(classes: int) -> str:
    """The width of the logits in words."""
    return f"{classes} class{'es' * (classes != 1)}"


def style_text(style: Style) -> str:
    """What a structure is built with beside its string, in words, each behind a comma; nothing where nothing is chosen."""
    chosen = {
        "with squeeze-and-excitation": style.use_se,
        "without batch normalisation": style.no_BN,
        "without residual links": style.no_reslink,
        "deployed GhostShuffle unit": style.shuffle_always,
    }
    return "".join(f", {words}" for words, holds in chosen.items() if holds)


def centre_crop(resolution: int, crop: int | None = None, classes: int = 1000) -> ExpectedInput:
    """The customary test: the shorter side to crop / 0.875, a centre crop, ImageNet's mean and standard deviation."""
    crop = crop or resolution
    return ExpectedInput(resolution, crop, math.ceil(crop / CROP_FRACTION), classes=classes)


def whole_image(resolution: int, classes: int) -> ExpectedInput:
    """CIFAR's test: the image as it is, with CIFAR-10's mean and standard deviation."""
    return ExpectedInput(resolution, resolution, resolution, CIFAR_MEAN, CIFAR_STD, classes=classes)


def of_description(description: NetworkDescription) -> ExpectedInput:
    """What a network says of its images; customary values where it does not, as after a search."""
    usual = centre_crop(description.resolution, description.crop, description.classes)
    found = replace(
        usual,
        resize=description.resize or (usual.crop if description.crop_mode == WHOLE else usual.resize),
        interpolation=description.interpolation,
        crop_mode=description.crop_mode,
    )
    mean, std = description.mean, description.std
    return replace(found, assumed=True) if mean is None or std is None else replace(found, mean=mean, std=std)


def at_side(expected: ExpectedInput, side: int) -> ExpectedInput:
    """The same preparation for images of another side, in pixels."""
    resize = math.ceil(side * expected.resize / expected.crop)
    return replace(expected, resolution=side, crop=side, resize=resize)


def published_input(name: str) -> ExpectedInput:
    """What a published network was tested with."""
    entry = published(name)
    if entry.cifar:
        return whole_image(entry.resolution, entry.classes)
    return centre_crop(entry.resolution, entry.crop, entry.classes)
