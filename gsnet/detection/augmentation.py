"""Random changes of training images and their boxes: warp and colour.

The warp is NanoDet's: resize . translate . flip . shear . rotate . stretch . scale . centre, one matrix and one sampling.
Other than there, objects of which too little is left are dropped: a box without an area would still claim a prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from gsnet.detection.copy_paste import with_copies
from gsnet.detection.preprocessing import Placement, Preprocessing, after
from gsnet.detection.sample import Sample, placed
from gsnet.detection.tiles import Tile
from gsnet.interface.options import InputError


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes. Pairs are the ends of uniform distributions, probabilities lie from 0 to 1.

    scale about the centre; stretch of each axis; translate: half the range by which the centre moves, as a share of the
    size; flip: probability of a mirror image; rotation and shear: largest angle in degrees; quarter_turns: by 0, 90, 180 or
    270 degrees as well, for what is seen from above. Colour works on pixels from 0 to 1, each change with probability one
    half: brightness adds, contrast and saturation multiply, hue turns by up to so many degrees, gamma is the largest
    natural logarithm of an exponent. cast: largest share by which each channel is multiplied on its own. grey and blur:
    probabilities. mosaic: probability that an image becomes a mosaic of four. copy_paste: probability that an object stands a
    second time elsewhere in the image. An object is dropped that keeps less than
    minimal_side pixels in width or height or less than minimal_share of its area. Raises InputError for values out of range.
    """

    scale: tuple[float, float] = (0.6, 1.4)
    stretch: tuple[float, float] = (0.8, 1.2)
    translate: float = 0.2
    flip: float = 0.5
    rotation: float = 0.0
    shear: float = 0.0
    brightness: float = 0.2
    contrast: tuple[float, float] = (0.6, 1.4)
    saturation: tuple[float, float] = (0.5, 1.2)
    quarter_turns: bool = False
    hue: float = 0.0
    gamma: float = 0.0
    cast: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    mosaic: float = 0.0
    copy_paste: float = 0.0
    minimal_side: float = 2.0
    minimal_share: float = 0.2

    def __post_init__(self) -> None:
        for name in ("scale", "stretch", "contrast", "saturation"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(f"The range {name} ({low} to {high}) has a positive lower end and a larger upper one")
        for name in ("translate", "flip", "mosaic", "copy_paste", "minimal_share", "cast", "grey", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)} is not between 0 and 1")
        if not 0 <= self.rotation <= 180:
            raise InputError(f"rotation {self.rotation} is not an angle from 0 to 180 degrees")
        if not (0 <= self.hue <= 180 and self.gamma >= 0):
            raise InputError(f"hue {self.hue} is an angle from 0 to 180 degrees, gamma {self.gamma} starts at 0")

    def matrix(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """A random warp (2, 3) within an image of width x height pixels."""
        centre = _shift(-width / 2, -height / 2)
        scale = np.diag([rng.uniform(*self.scale)] * 2 + [1.0])
        stretch = np.diag([rng.uniform(*self.stretch), rng.uniform(*self.stretch), 1.0])
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        if self.quarter_turns:
            angle += rng.integers(4) * math.pi / 2
        rotate = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
        slopes = np.tan(np.radians(rng.uniform(-self.shear, self.shear, size=2)))
        shear = np.array([[1, slopes[0], 0], [slopes[1], 1, 0], [0, 0, 1]])
        flip = np.diag([-1.0 if rng.random() < self.flip else 1.0, 1.0, 1.0])
        place = rng.uniform(0.5 - self.translate, 0.5 + self.translate, size=2) * (width, height)
        return (_shift(*place) @ flip @ shear @ rotate @ stretch @ scale @ centre)[:2]

    def recoloured(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """The image (H, W, 3), pixels from 0 to 255, with other colours, float32; not clipped to 0 to 255."""
        # In place: new arrays would take as long as the sums.
        image = image.astype(np.float32)
        image /= 255
        if rng.random() < 0.5:
            image += np.float32(rng.uniform(-self.brightness, self.brightness))
        if rng.random() < 0.5:
            image *= np.float32(rng.uniform(*self.contrast))
        if rng.random() < 0.5:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            np.multiply(hsv[..., 1], np.float32(rng.uniform(*self.saturation)), out=hsv[..., 1])
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)
        image = self._as_by_another_camera(rng, image)
        image *= 255
        return image

    def _as_by_another_camera(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """Pixels from 0 to 1 with another tone curve, hue, cast or sharpness, all of which are off by default."""
        if self.gamma and rng.random() < 0.5:
            image = image.clip(0, 1) ** np.float32(math.exp(rng.uniform(-self.gamma, self.gamma)))
        if self.hue and rng.random() < 0.5:
            hsv = cv2.cvtColor(image.clip(0, 1), cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0] + np.float32(rng.uniform(-self.hue, self.hue))) % 360
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if self.cast:
            image = image * rng.uniform(1 - self.cast, 1 + self.cast, size=3).astype(np.float32)
        if self.grey and rng.random() < self.grey:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        if self.blur and rng.random() < self.blur:
            image = cv2.GaussianBlur(image, (5, 5), rng.uniform(0.3, 1.2))
        return image

    def placement(self, rng: np.random.Generator, target: Preprocessing, view: Tile) -> Placement:
        """Where a view of an image lies in the network's input after a random warp of it."""
        place = target.placement(view.width, view.height)
        within = after(self.matrix(rng, view.width, view.height), _shift(-view.left, -view.top)[:2])
        return replace(place, matrix=after(place.matrix, within))

    def changed(self, rng: np.random.Generator, sample: Sample, placement: Placement) -> Sample:
        """The sample in the network's input, its image recoloured, float32 from 0 to 255."""
        there = placed(sample, placement, self.minimal_side, self.minimal_share)
        if self.copy_paste:
            there = with_copies(rng, there, self.copy_paste)
        return replace(there, image=self.recoloured(rng, there.image))


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])
