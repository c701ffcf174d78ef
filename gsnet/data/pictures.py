"""Pictures as RGB of 8 bits, from a file or from what was read of one, or smaller where that is enough.

OpenCV, torchvision and Pillow decode a JPEG file to the same pixels in nearly the same time, and Pillow's picture is what the
changes of training take (`python -m benchmarks.picture_reading`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from gsnet.data.broken import BrokenImageError

# From the bytes of a picture, and its name for sentences.
Decoder = Callable[[bytes, Path], Image.Image]
# Orientations of EXIF data that are not upright.
_TURNED = range(2, 9)
# What a JPEG file can be decoded at, beside its own size: a half, a quarter, an eighth.
_REDUCTIONS = (8, 4, 2)


def read_picture(file: str | Path) -> Image.Image:
    """A picture as RGB of 8 bits, turned as its EXIF data says, as viewers show it. Raises BrokenImageError."""
    return decoded(content_of(Path(file)), Path(file))


def content_of(file: Path) -> bytes:
    """The bytes of a file. Raises BrokenImageError where they cannot be read."""
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise BrokenImageError(f"There is no file {file}", file, "not there") from error
    except IsADirectoryError as error:
        raise BrokenImageError(f"{file} is a folder, and a picture was expected", file, "a folder") from error
    except OSError as error:
        raise _broken(file, error) from error


def decoded(content: bytes, file: Path) -> Image.Image:
    """What `read_picture` makes of the bytes of a file; file: its name, for sentences. Raises BrokenImageError."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return as_rgb(picture)
    except MemoryError:
        raise
    # Of damaged files the readers of Pillow raise errors of every kind: struct.error, IndexError, zlib.error, …
    except Exception as error:
        raise _broken(file, error) from error


def as_rgb(picture: Image.Image) -> Image.Image:
    """A picture of Pillow's as RGB of 8 bits, turned as its EXIF data says. Raises whatever its reader does."""
    picture.load()
    found = eight_bits(upright(picture))
    # Pillow's conversion copies what is RGB already, which takes twice as long as decoding a large picture.
    return found if found.mode == "RGB" else found.convert("RGB")


def decoded_later(content: bytes, file: Path) -> Image.Image:
    """The same, but an upright JPEG picture in colours is left to `decode` to read, which then may do it smaller."""
    try:
        picture = Image.open(io.BytesIO(content))
        later = isinstance(picture, JpegImageFile) and picture.mode == "RGB" and not _is_turned(picture)
    except MemoryError:
        raise
    except Exception as error:
        raise _broken(file, error) from error
    if not later:
        return decoded(content, file)
    picture.filename = str(file)
    return picture


def decode(picture: Image.Image, enough: float = 1.0) -> int:
    """Decode a picture of `decoded_later`; at most `enough` of its pixels a side become one. Returns how many did.

    Of a picture that is decoded already that is 1. Raises BrokenImageError.
    """
    if not isinstance(picture, JpegImageFile) or not picture.tile:
        return 1
    pixels = next((number for number in _REDUCTIONS if number <= enough), 1)
    try:
        if pixels > 1:
            picture.draft(None, (picture.width // pixels, picture.height // pixels))
        picture.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _broken(Path(str(picture.filename)), error) from error
    return pixels


def upright(picture: Image.Image) -> Image.Image:
    """A loaded picture turned as its EXIF data says; itself where it stands upright or these data are damaged."""
    try:
        return ImageOps.exif_transpose(picture) if _is_turned(picture) else picture
    # Damaged data raise errors of every kind, struct.error among them; the picture is still one.
    except Exception:
        return picture


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits, as thermal cameras write, by the high byte of its greys, as OpenCV reads it; any other as it is.

    Pillow's own conversion cuts at 255, which makes nearly all of such a picture white.
    """
    if not picture.mode.startswith("I;16"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def _is_turned(picture: Image.Image) -> bool:
    return picture.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED


def _broken(file: Path, error: Exception) -> BrokenImageError:
    reason = "no picture in it" if isinstance(error, UnidentifiedImageError) else f"{error}".split("\n")[0]
    return BrokenImageError(f"{file} is no picture that can be read ({reason})", file, reason)
