"""Policies of changed colours and shapes for whole batches, each image with an operation and a magnitude of its own.

Which operations there are, how strong each is and what AutoAugment puts together is torchvision's (Cubuk et al. 2019 and 2020,
Müller and Hutter 2021); here they are drawn for all images at once and computed a kind at a time, on the images' device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

_GREY = 128
# Weights of red, green and blue in a grey (ITU-R BT.601), as Pillow and torchvision have them.
_LUMA = (0.2989, 0.587, 0.114)


def sent(values: np.ndarray, device: torch.device) -> Tensor:
    """What the processor has drawn, on a device, which is not waited for: else each batch waits for the step before it."""
    return torch.from_numpy(values).to(device, non_blocking=True)


class Choice:
    """What is done to each image of a batch in one go: names (N,) of operations, "" for none, and magnitudes (N,)."""

    def __init__(self, names: np.ndarray, magnitudes: np.ndarray) -> None:
        self.names, self.magnitudes = names, magnitudes

    def applied(self, images: Tensor) -> Tensor:
        """The images, (N, 3, H, W) of 8 bits, changed."""
        for name in sorted(set(self.names.tolist()) - {"", "Identity"}):
            chosen = np.flatnonzero(self.names == name)
            places = sent(chosen, images.device)
            magnitudes = sent(self.magnitudes[chosen].astype(np.float32), images.device)
            images = images.index_copy(0, places, OPERATIONS[name](images.index_select(0, places), magnitudes))
        return images


class Magnitudes:
    """How strong operations are, from a table of torchvision: levels for square images, and whether they have a sign."""

    def __init__(self, space: dict[str, tuple[Callable[..., Any], bool]], levels: int, side: int) -> None:
        self.names = list(space)
        self._signed = {name: signed for name, (_, signed) in space.items()}
        self._levels = {}
        for name, (levels_of, _) in space.items():
            found = levels_of(levels, side, side)
            self._levels[name] = np.zeros(levels) if found is None else found.double().numpy()

    def choice(self, names: Sequence[str], levels: Sequence[int], signs: np.ndarray) -> Choice:
        """signs: uniform numbers (N,); of signed operations half of the images have the opposite."""
        values = [
            self._levels[name][level] * (-1 if self._signed[name] and sign <= 0.5 else 1) if name else 0.0
            for name, level, sign in zip(names, levels, signs, strict=True)
        ]
        return Choice(np.array(names), np.array(values))


def _factors(magnitudes: Tensor) -> Tensor:
    return 1 + magnitudes[:, None, None, None]


def _blended(images: Tensor, other: Tensor | float, factors: Tensor) -> Tensor:
    return (images * factors + other * (1 - factors)).clamp(0, 255).to(torch.uint8)


def brightness(images: Tensor, magnitudes: Tensor) -> Tensor:
    """Black at -1, the image at 0."""
    return _blended(images, 0.0, _factors(magnitudes))


def colour(images: Tensor, magnitudes: Tensor) -> Tensor:
    """Grey at -1, the image at 0."""
    return _blended(images, _grey(images).floor(), _factors(magnitudes))


def contrast(images: Tensor, magnitudes: Tensor) -> Tensor:
    """The mean grey of the image at -1, the image at 0."""
    return _blended(images, _grey(images).floor().mean(dim=(1, 2, 3), keepdim=True), _factors(magnitudes))


def sharpness(images: Tensor, magnitudes: Tensor) -> Tensor:
    """Smoothed at -1, the image at 0; the outermost pixels stay as they are."""
    if min(images.shape[2:]) <= 2:
        return images
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    values = images.float()
    smooth = torch.nn.functional.conv2d(values, kernel, groups=3).round()
    other = values.clone()
    other[:, :, 1:-1, 1:-1] = smooth
    return _blended(values, other, _factors(magnitudes))


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.float().unbind(1)
    return (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2])[:, None]


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    mask = (256 - 2 ** (8 - bits)).to(torch.uint8)
    return images & mask[:, None, None, None]


def _solarize(images: Tensor, share: Tensor) -> Tensor:
    return torch.where(images >= 255 * share[:, None, None, None], 255 - images, images)


def _moved(across: Callable[[Tensor], Sequence[Tensor | float]]) -> Callable[[Tensor, Tensor], Tensor]:
    """An operation that takes each pixel from elsewhere.

    across: from magnitudes (N,) to the six numbers of the matrix that leads from a place of the result to the image's, in
    pixels from its centre.
    """

    def moved(images: Tensor, magnitudes: Tensor) -> Tensor:
        height, width = images.shape[2:]
        down, right = (torch.arange(size, device=images.device) - (size - 1) / 2 for size in (height, width))
        a, b, c, d, e, f = (_as_planes(value, images) for value in across(magnitudes))
        x = a * right + b * down[:, None] + c + (width - 1) / 2
        y = d * right + e * down[:, None] + f + (height - 1) / 2
        return nearest(images, x, y)

    return moved


def _as_planes(value: Tensor | float, images: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=images.device).reshape(-1, 1, 1)


def nearest(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The pixels nearest to places x, y, (N, H, W) each or what broadcasts to it, grey beyond the borders."""
    count, _, height, width = images.shape
    column, row = (value.round().long().expand(count, height, width) for value in (x, y))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).reshape(count, 1, -1)
    found = images.flatten(2).gather(2, flat.expand(-1, 3, -1)).reshape(images.shape)
    return torch.where(inside[:, None], found, _GREY)


def _turned(m: Tensor) -> Sequence[Tensor | float]:
    angle = m * (math.pi / 180)
    return angle.cos(), -angle.sin(), 0.0, angle.sin(), angle.cos(), 0.0


def _shear_x(images: Tensor, m: Tensor) -> Tensor:
    half = images.shape[2] / 2
    return _moved(lambda m: (1.0, m, m * half, 0.0, 1.0, 0.0))(images, m)


def _shear_y(images: Tensor, m: Tensor) -> Tensor:
    half = images.shape[3] / 2
    return _moved(lambda m: (1.0, 0.0, 0.0, m, 1.0, m * half))(images, m)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _moved(lambda m: (1.0, 0.0, -m.trunc(), 0.0, 1.0, 0.0)),
    "TranslateY": _moved(lambda m: (1.0, 0.0, 0.0, 0.0, 1.0, -m.trunc())),
    "Rotate": _moved(_turned),
    "Brightness": brightness,
    "Color": colour,
    "Contrast": contrast,
    "Sharpness": sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": lambda images, _: functional.autocontrast(images),
    "Equalize": lambda images, _: functional.equalize(images),
    "Invert": lambda images, _: functional.invert(images),
}
