"""timm's RandAugment, its random numbers drawn from torch's, so that an image's changes follow from what seeds torch."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from gsnet.interface.options import InputError

# How far timm's trainings move an image, as a share of its side.
_TRANSLATION = 0.45
# Bits of a channel.
_DEPTH = 8


class TimmPolicy(nn.Module):
    """PIL image to PIL image by timm's `rand_augment_transform`, with the settings that timm's own trainings give it.

    name: "rand-m9-mstd0.5-inc1" and the like; side: of the image, in pixels; mean: of its channels, in [0, 1], with which what
    comes in from outside is filled. Raises InputError where timm is not installed.
    """

    def __init__(self, name: str, side: int, mean: tuple[float, float, float]) -> None:
        super().__init__()
        if importlib.util.find_spec("timm") is None:
            raise InputError(
                f"--auto_augment {name} is timm's, which is not installed: pip install timm, or use ra-m9, torchvision's"
            )
        from timm.data.auto_augment import rand_augment_transform

        fill = tuple(min(255, round(255 * value)) for value in mean)
        self.change = rand_augment_transform(name, {"translate_const": int(side * _TRANSLATION), "img_mean": fill})
        for operation in self.change.ops:
            if operation.name.startswith("Posterize"):
                operation.aug_fn = _posterised

    def forward(self, image: Image.Image) -> Image.Image:
        with _seeded(int(torch.randint(2**32, ()))):
            return self.change(image)


def _posterised(image: Image.Image, bits: int, **_: object) -> Image.Image:
    """The upper bits of each channel, 0 to 8 of them; of none the image is black.

    timm asks for none at the end of its range, which Pillow from 13 on refuses.
    """
    if bits <= 0:
        return Image.new(image.mode, image.size)
    return image if bits >= _DEPTH else ImageOps.posterize(image, bits)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's random numbers from a seed; afterwards as if none had been drawn."""
    state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
