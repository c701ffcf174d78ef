"""What training changes in images, for whole batches on the device that they lie on.

Each image's changes follow from its own row of uniform numbers, so that they do not depend on the batch that it is in. They are
distributed as those of `gsnet.data.transforms`, and are other ones.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from gsnet.data.batch_policies import Choice, Magnitudes, brightness, colour, contrast, sent
from gsnet.data.policies import TRIVIAL, rand_numbers
from gsnet.data.random_numbers import Draws
from gsnet.data.settings import DataSettings
from gsnet.data.transforms import CIFAR_PADDING, CROP_RATIO, ERASED_RATIO, ERASED_SCALE, Lighting, strengths

# Rectangles that are tried before the whole image, or nothing, is taken, as in torchvision.
_TRIES = 10


class BatchChanges:
    """The changes that settings ask for."""

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings
        self.strengths = strengths(settings)
        self.policy = _policy(settings)
        self.normalised = Normalisation(settings)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Images (N, 3, H, W) of 8 bits as normalised floats (N, 3, side, side)."""
        images = self._cropped(images, draws)
        images = torch.where(_mask(draws.take(1)[:, 0] < 0.5, images), images.flip(3), images)
        for choice in self.policy.choices(draws):
            images = choice.applied(images)
        images = self._jittered(images, draws)
        values = self.normalised(images)
        if self.strengths.lighting:
            values += self._light(draws).to(values.device, non_blocking=True)
        return self._erased(values, draws)

    def _cropped(self, images: Tensor, draws: Draws) -> Tensor:
        scale, size = self.strengths.scale, (images.shape[2], images.shape[3])
        if scale is None:
            return shifted(images, draws.take(2), CIFAR_PADDING)
        return resized(images, *rectangles(draws.take(2 + 2 * _TRIES), size, scale, CROP_RATIO), self.settings.side)

    def _jittered(self, images: Tensor, draws: Draws) -> Tensor:
        """Brightness, contrast and saturation, each by a factor in 1 ± its share, and not below 0."""
        for change, share in zip((brightness, contrast, colour), self.strengths.jitter, strict=False):
            least = min(share, 1.0)
            magnitudes = (share + least) * draws.take(1)[:, 0] - least
            images = change(images, sent(magnitudes.astype(np.float32), images.device))
        return images

    def _light(self, draws: Draws) -> Tensor:
        """Shifts of the colours (N, 3, 1, 1) in normalised units."""
        first, second = draws.take(4).reshape(-1, 2, 2).transpose(1, 0, 2)
        # Two uniform numbers make two normal ones (Box and Muller 1958).
        radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * math.pi * second
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :3]
        alpha = torch.from_numpy(normal.astype(np.float32)) * self.strengths.lighting
        deviation = torch.tensor(self.settings.normalisation[1])[:, None, None]
        return torch.stack([Lighting.shift(row) for row in alpha]) / deviation

    def _erased(self, values: Tensor, draws: Draws) -> Tensor:
        if not self.settings.random_erase:
            return values
        wanted = draws.take(1)[:, 0] < self.settings.random_erase
        size = (values.shape[2], values.shape[3])
        numbers = draws.take(2 + 2 * _TRIES)
        top, left, height, width = rectangles(numbers, size, ERASED_SCALE, ERASED_RATIO, whole=False)
        down = _between(size[0], top, height) & torch.from_numpy(wanted)[:, None]
        inside = down[:, :, None] & _between(size[1], left, width)[:, None, :]
        return values.masked_fill(inside[:, None].to(values.device, non_blocking=True), 0)


class Normalisation:
    """Images (N, 3, H, W) of 8 bits as floats of the data set's mean and deviation."""

    def __init__(self, settings: DataSettings) -> None:
        # Put on the images' device once: for each batch that would be waited for.
        self._constants = [torch.tensor(values)[:, None, None] for values in settings.normalisation]

    def __call__(self, images: Tensor) -> Tensor:
        if self._constants[0].device != images.device:
            self._constants = [values.to(images.device) for values in self._constants]
        mean, deviation = self._constants
        return functional.to_dtype(images, torch.float32, scale=True).sub_(mean).div_(deviation)


def shifted(images: Tensor, numbers: np.ndarray, padding: int) -> Tensor:
    """A window as large as the image in the image with a black border; numbers: uniform, (N, 2), of its row and column."""
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top, left = (sent((numbers[:, i] * (2 * padding + 1)).astype(np.int64), images.device) for i in (0, 1))
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    flat = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    return padded.flatten(2).gather(2, flat.reshape(len(images), 1, -1).expand(-1, 3, -1)).reshape(images.shape)


def rectangles(
    numbers: np.ndarray,
    size: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    whole: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A rectangle in each image: top, left, height, width, (N,) each in pixels.

    numbers: uniform, (N, 2 + 2 tries). scale: which shares of the area; ratio: of width and height, logarithms of which are
    uniform. The first that fits is taken; where none does, as in torchvision, the largest middle part of the image that has
    such a ratio, or without `whole` nothing.
    """
    height, width = size
    place, tries = numbers[:, :2], numbers[:, 2:].reshape(len(numbers), -1, 2)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * tries[:, :, 0])
    ratios = np.exp(np.log(ratio[0]) + np.log(ratio[1] / ratio[0]) * tries[:, :, 1])
    wide, high = np.rint(np.sqrt(area * ratios)), np.rint(np.sqrt(area / ratios))
    # Erasing leaves a border, a crop may be all of a side.
    fits = (wide <= width) & (high <= height) if whole else (wide < width) & (high < height)
    fits &= (wide > 0) & (high > 0)
    first, rows = fits.argmax(axis=1), np.arange(len(numbers))
    found, none = fits.any(axis=1), _largest(size, ratio) if whole else (0, 0)
    high = np.where(found, high[rows, first], none[0]).astype(np.int64)
    wide = np.where(found, wide[rows, first], none[1]).astype(np.int64)
    top = np.where(found, place[:, 0] * (height - high + 1), (height - none[0]) // 2).astype(np.int64)
    left = np.where(found, place[:, 1] * (width - wide + 1), (width - none[1]) // 2).astype(np.int64)
    return top, left, high, wide


def _largest(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of the largest part whose ratio of width and height is one of these."""
    height, width = size
    return min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))


def resized(
    images: Tensor, top: np.ndarray, left: np.ndarray, height: np.ndarray, width: np.ndarray, side: int
) -> Tensor:
    """Rectangles of images, each brought to (side, side), bicubically and without smoothing before they shrink."""
    rows = _places(top, height, side, images.shape[2])
    columns = _places(left, width, side, images.shape[3])
    count = len(images)
    grid = torch.stack(
        [columns[:, None, :].expand(count, side, side), rows[:, :, None].expand(count, side, side)], dim=3
    )
    sample = torch.nn.functional.grid_sample
    found = sample(
        images.float(), grid.to(images.device, non_blocking=True), "bicubic", padding_mode="border", align_corners=False
    )
    return found.round_().clamp_(0, 255).to(torch.uint8)


def _places(first: np.ndarray, length: np.ndarray, side: int, size: int) -> Tensor:
    """Where the pixels of one side of the results lie in the images, from -1 to 1: (N, side)."""
    pixels = first[:, None] + (np.arange(side) + 0.5) * length[:, None] / side
    return torch.from_numpy((2 * pixels / size - 1).astype(np.float32))


def _between(size: int, first: np.ndarray, length: np.ndarray) -> Tensor:
    places = torch.arange(size)
    return (places >= torch.from_numpy(first)[:, None]) & (places < torch.from_numpy(first + length)[:, None])


def _mask(chosen: np.ndarray, images: Tensor) -> Tensor:
    return sent(chosen, images.device)[:, None, None, None]


class _Policy:
    """No policy."""

    def choices(self, draws: Draws) -> list[Choice]:
        """What is done to the images of a batch, one thing after the other."""
        return []


class _Auto(_Policy):
    """AutoAugment: one of 25 pairs of operations, each with its probability and magnitude."""

    def __init__(self, policy: v2.AutoAugmentPolicy, side: int) -> None:
        auto = v2.AutoAugment(policy)
        self._pairs = auto._policies
        self._magnitudes = Magnitudes(auto._AUGMENTATION_SPACE, 10, side)

    def choices(self, draws: Draws) -> list[Choice]:
        pairs = [self._pairs[int(number * len(self._pairs))] for number in draws.take(1)[:, 0]]
        found = []
        for turn in (0, 1):
            uses, signs = draws.take(2).T
            names = [pair[turn][0] if use <= pair[turn][1] else "" for pair, use in zip(pairs, uses, strict=True)]
            found.append(self._magnitudes.choice(names, [pair[turn][2] or 0 for pair in pairs], signs))
        return found


class _Random(_Policy):
    """RandAugment, so many operations of one magnitude, or with magnitude None TrivialAugment, one of any."""

    def __init__(
        self, policy: v2.RandAugment | v2.TrivialAugmentWide, operations: int, magnitude: int | None, side: int
    ) -> None:
        self._levels, self._operations, self._magnitude = policy.num_magnitude_bins, operations, magnitude
        self._magnitudes = Magnitudes(policy._AUGMENTATION_SPACE, self._levels, side)

    def choices(self, draws: Draws) -> list[Choice]:
        found, known = [], self._magnitudes.names
        for _ in range(self._operations):
            kinds, strengths, signs = draws.take(3).T
            levels = (
                (strengths * self._levels).astype(int)
                if self._magnitude is None
                else np.full(len(kinds), self._magnitude)
            )
            found.append(
                self._magnitudes.choice([known[int(kind * len(known))] for kind in kinds], levels.tolist(), signs)
            )
        return found


def _policy(settings: DataSettings) -> _Policy:
    name, side = settings.auto_augment, settings.side
    if not name:
        return _Policy()
    if name is True:
        kinds = v2.AutoAugmentPolicy
        return _Auto(kinds.CIFAR10 if settings.kind.cifar else kinds.IMAGENET, side)
    if name == TRIVIAL:
        return _Random(v2.TrivialAugmentWide(), 1, None, side)
    magnitude, operations = rand_numbers(name)
    return _Random(v2.RandAugment(operations, magnitude), operations, magnitude, side)
