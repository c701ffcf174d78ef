"""Image files: their size and orientation, what is wrong with a broken one, and which of them lie in a folder.

A camera that was held upright stores its picture lying and notes in the EXIF data how viewers have to turn it. Annotations were
made on the one or the other, so that both sizes are known here. Source: Exif 2.32, section 4.6.4, tag 274.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from gsnet.data.broken import BrokenImageError
from gsnet.interface.options import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_ORIENTATION = 274
_ROTATING = (5, 6, 7, 8)
# Pillow turns TIFF by itself; the others are stored as they are.
_TURNED_BY_VIEWERS = ("JPEG", "MPO", "PNG", "WEBP")
# Bytes at the end of a file in which its format's end is looked for.
_TAIL = 64
# A box may leave an image by so many pixels, which is what rounding does.
ROUNDING = 0.5


def broken(file: Path, reason: str) -> BrokenImageError:
    """The error that says why a file is no image, or not the whole of one."""
    return BrokenImageError(f"{file} is no image that can be read ({reason})", file, reason)


@dataclass(frozen=True)
class Header:
    """What an image file says of itself: width and height in pixels as stored, and its EXIF orientation, 1 to 8."""

    width: int
    height: int
    orientation: int = 1

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the image in the file."""
        return self.width, self.height

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image as viewers show it."""
        return (self.height, self.width) if self.orientation in _ROTATING else self.stored

    def size_for(self, boxes: np.ndarray) -> tuple[int, int]:
        """Width and height of the orientation that boxes (M, 4) `left, top, width, height` were drawn in: the upright one,
        unless they leave it and fit into the stored one."""
        if self.upright == self.stored or not len(boxes):
            return self.upright
        far = (boxes[:, :2] + boxes[:, 2:]).max(axis=0) - ROUNDING
        leaves, fits = (far > self.upright).any(), (far <= self.stored).all()
        return self.stored if leaves and fits else self.upright


def read_header(file: Path) -> Header:
    """Size and orientation of an image file. Raises InputError where it is missing, BrokenImageError where it is no image."""
    try:
        with file.open("rb") as stream:
            return _header(file, stream)
    except FileNotFoundError as error:
        raise InputError(f"There is no image {file}") from error
    except OSError as error:
        raise broken(file, error.strerror or f"{error}") from error


def _header(file: Path, stream: BinaryIO) -> Header:
    try:
        with Image.open(stream) as image:
            return Header(*image.size, _orientation(image))
    except MemoryError:
        raise
    # Of damaged files the readers of Pillow raise errors of every kind: struct.error, IndexError, zlib.error, …
    except Exception as error:
        raise broken(file, _plain(error, stream)) from error


def header_of(file: Path, content: bytes) -> Header:
    """The same for the file's content."""
    return _header(file, io.BytesIO(content))


def _orientation(image: Image.Image) -> int:
    if image.format not in _TURNED_BY_VIEWERS:
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    # Damaged EXIF data raise errors of every kind and leave a good picture, which viewers show as it lies.
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _plain(error: Exception, stream: BinaryIO) -> str:
    stream.seek(0)
    if not stream.read(1):
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "its content is of no known image format"
    return f"{error}"


def look_at(file: Path) -> None:
    """Raise BrokenImageError where the header or the end of an image file is missing; a fraction of a millisecond."""
    read_header(file)
    with file.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        head = _part(stream, 0, _TAIL)
        tail = _part(stream, max(0, size - _TAIL), _TAIL)
    if not _ends_well(head, tail, size):
        decode(file, file.read_bytes())


def _part(stream: BinaryIO, begin: int, count: int) -> bytes:
    stream.seek(begin)
    return stream.read(count)


def check_whole(file: Path, content: bytes) -> None:
    """Raise BrokenImageError where the end of an image is missing, which OpenCV fills with grey without a word."""
    if not _ends_well(content[:_TAIL], content[-_TAIL:], len(content)):
        decode(file, content)


def _ends_well(head: bytes, tail: bytes, size: int) -> bool:
    """Whether the last bytes are those of a whole file. Where they are not, as after data that a camera appends, the image
    may be whole all the same."""
    if head.startswith(b"\xff\xd8"):
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG"):
        return b"IEND" in tail
    if head.startswith(b"RIFF"):
        return int.from_bytes(head[4:8], "little") + 8 <= size
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") <= size
    return True


def decode(file: Path, content: bytes) -> None:
    """Decode the whole of an image. Raises BrokenImageError."""
    stream = io.BytesIO(content)
    try:
        with Image.open(stream) as image:
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise broken(file, _plain(error, stream)) from error


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """A stored image (H, W, 3) as viewers show it by its EXIF orientation, 1 to 8."""
    if orientation in _ROTATING:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def is_image(file: Path) -> bool:
    """Whether a file is an image by its suffix; hidden files are none."""
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")


def images_in(folder: Path) -> list[Path]:
    """The images of a folder and of the folders below it, sorted. Raises InputError where there are none."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: the images were expected in it")
    found = sorted(file for file in folder.rglob("*") if is_image(file) and file.is_file())
    if not found:
        raise InputError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by their name without suffix. Raises InputError where there are none, or two of one name."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: the images were expected in it")
    found: dict[str, Path] = {}
    for file in sorted(filter(is_image, folder.iterdir())):
        if file.stem in found:
            raise InputError(
                f"{found[file.stem]} and {file.name} have the same name, and one annotation file: keep one of them"
            )
        found[file.stem] = file
    if not found:
        raise InputError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def images_by_frame(folder: Path) -> dict[int, Path]:
    """The frames of a video, images called by their number as in 0000001.jpg or img000001.jpg, in their order.

    Raises InputError where there are none, where one has no number, and where two have one.
    """
    found: dict[int, Path] = {}
    for stem, image in images_by_stem(folder).items():
        digits = stem[len(stem.rstrip("0123456789")) :]
        if not digits:
            raise InputError(f"Frames are called by their number, as in 0000001.jpg; this one is not: {image}")
        other = found.setdefault(int(digits), image)
        if other is not image:
            raise InputError(f"{other} and {image.name} are both frame {int(digits)}: keep one of them")
    return dict(sorted(found.items()))
