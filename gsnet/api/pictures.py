"""Images as a program has them: a file, an array, or a picture of Pillow's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gsnet.data.pictures import as_rgb
from gsnet.interface.options import InputError

_WANTED = "an image is a file, an array (H, W, 3) uint8 of RGB or a picture of Pillow's"


def pixels_of(image: np.ndarray | Image.Image) -> np.ndarray:
    """An image that is no file, as (H, W, 3) uint8 of RGB. Raises InputError for what is none."""
    if not isinstance(image, np.ndarray | Image.Image):
        raise InputError(f"{_WANTED}, not a {type(image).__name__}")
    # Of a picture what there would be of its file: Pillow's own conversion cuts 16 bits at 255, and turns nothing.
    pixels = image if isinstance(image, np.ndarray) else np.asarray(as_rgb(image))
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise InputError(f"an image is an array (H, W, 3) uint8 of RGB, not {pixels.shape} {pixels.dtype}")
    return pixels


def check_is_several(images: object) -> None:
    """Raise InputError for a path where several images are looked at: a text is letters, one after the other."""
    if isinstance(images, str | Path):
        raise InputError(f"{images} is one path: give a list of files, such as sorted(Path({str(images)!r}).iterdir())")
