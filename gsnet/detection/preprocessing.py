"""How an image becomes a network's input: one function that resizes, for training, evaluation and every picture of a user's.

Coordinates are continuous: pixel i covers [i, i + 1), so that a point moves by the matrix alone and the image is sampled at
pixel centres. An image that shrinks to less than half is averaged over whole blocks first, so that small objects leave a trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from gsnet.data.broken import BrokenImageError
from gsnet.detection.image_files import Header, broken, check_whole, header_of, turned
from gsnet.detection.tiles import Tile
from gsnet.interface.options import InputError

CHANNEL_ORDER = "rgb"
# ImageNet's, of pixels from 0 to 255 in the order red, green, blue.
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MULTIPLE = 32
# How OpenCV decodes a JPEG file with so many pixels a side as one.
_DECODING = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


def check_sides(width: int, height: int) -> None:
    """Raise InputError for an input that no detector can have, sides in pixels."""
    if min(width, height) < MULTIPLE or width % MULTIPLE or height % MULTIPLE:
        raise InputError(f"An input of {width} x {height} is not possible: both are multiples of {MULTIPLE}")


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the network's input: matrix (2, 3) from pixels of the file to pixels of the input, and the
    input's width and height."""

    matrix: np.ndarray
    width: int
    height: int


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of an image; a checkpoint keeps it.

    width, height: of the input in pixels, multiples of 32. keep_ratio: the image is scaled as it is and centred in the
    smallest input of multiples of 32 that holds it, or with `whole` in one of width x height; otherwise it is stretched to
    width x height. mean and deviation: of pixels from 0 to 255, red, green, blue. Raises InputError for sizes that the network
    cannot have.
    """

    width: int = 640
    height: int = 640
    keep_ratio: bool = False
    mean: tuple[float, float, float] = MEAN
    deviation: tuple[float, float, float] = DEVIATION
    whole: bool = False

    def __post_init__(self) -> None:
        check_sides(self.width, self.height)

    def placement(self, width: int, height: int) -> Placement:
        """Where an image of width x height pixels lies in the input."""
        if not self.keep_ratio:
            scales = self.width / width, self.height / height
            return Placement(_affine(*scales, 0, 0), self.width, self.height)
        scale = min(self.width / width, self.height / height)
        # The small number takes back what the division may have lost of a whole one.
        inner = [math.floor(scale * side + 1e-9) for side in (width, height)]
        smallest = [max(MULTIPLE, math.ceil(side / MULTIPLE) * MULTIPLE) for side in inner]
        outer = [self.width, self.height] if self.whole else smallest
        shift = [(big - scale * side) / 2 for big, side in zip(outer, (width, height), strict=True)]
        return Placement(_affine(scale, scale, *shift), *outer)

    def view(self, tile: Tile) -> Placement:
        """Where a tile of an image lies in the input; the matrix is from pixels of the whole image."""
        placement = self.placement(tile.width, tile.height)
        return replace(placement, matrix=after(placement.matrix, _affine(1, 1, -tile.left, -tile.top)))

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """An RGB image (H, W, 3) of pixels from 0 to 255 as float32 (3, H, W), mean taken off and divided by deviation."""
        values = np.empty((3, *image.shape[:2]), dtype=np.float32)
        # Channel by channel and in place, which takes a quarter of the time of all at once.
        for channel, (mean, deviation) in enumerate(zip(self.mean, self.deviation, strict=True)):
            np.subtract(image[..., channel], np.float32(mean), out=values[channel])
            values[channel] /= np.float32(deviation)
        return values

    def apply(self, image: np.ndarray) -> tuple[np.ndarray, Placement]:
        """An RGB image (H, W, 3) uint8 as the network's input (3, height, width) float32, and where it lies in it."""
        placement = self.placement(image.shape[1], image.shape[0])
        return self.normalised(warped(image, placement)), placement


def _affine(scale_x: float, scale_y: float, shift_x: float, shift_y: float) -> np.ndarray:
    return np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y]], dtype=np.float64)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The matrix (2, 3) that does what the first does and then what the second does."""
    bottom = np.array([[0, 0, 1.0]])
    return (np.concatenate([second, bottom]) @ np.concatenate([first, bottom]))[:2]


def read_image(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as RGB (H, W, 3) uint8, turned as its EXIF data say and viewers do.

    size: width and height of the image that annotations were made for: where it is that of the image as stored, and not that
    of the turned one, the image stays as stored. Raises InputError where the file is missing, BrokenImageError where it is no
    image or not the whole of one.
    """
    return read_picture(file, size).image


@dataclass(frozen=True)
class Picture:
    """The pixels of an image, RGB (h, w, 3) uint8; each stands for `blocks` x `blocks` pixels of the file, those of the last
    row and column perhaps for fewer. width and height are the file's, turned as the pixels are."""

    image: np.ndarray
    width: int
    height: int
    blocks: int = 1


def read_picture(file: Path, size: tuple[int, int] | None = None, scale: float = 1.0) -> Picture:
    """An image as `read_image` reads it, or smaller, if that is enough for one that is shown at `scale`.

    A JPEG file is decoded at a half or a quarter of its size, in a third of the time, where it keeps at least as many pixels
    as it is shown with. Raises what `read_image` does.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"There is no image {file}") from error
    except IsADirectoryError as error:
        raise BrokenImageError(f"{file} is a folder, and an image was expected", file, "a folder") from error
    except OSError as error:
        raise broken(file, error.strerror or f"{error}") from error
    return _picture(file, content, size, scale)


def decoded_image(file: Path, content: bytes) -> np.ndarray:
    """What `read_image` makes of the content of a file."""
    return _picture(file, content, None, 1.0).image


def _picture(file: Path, content: bytes, size: tuple[int, int] | None, scale: float) -> Picture:
    header = header_of(file, content)
    check_whole(file, content)
    as_stored = size == header.stored != header.upright
    blocks = _blocks(content, header, scale)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), _DECODING[blocks] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise broken(file, f"OpenCV: {error.err}") from error
    if image is None:
        raise broken(file, "OpenCV cannot decode it")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image = image if as_stored else turned(image, header.orientation)
    width, height = header.stored if as_stored else header.upright
    if blocks == 1:
        height, width = image.shape[:2]
    return Picture(image, width, height, blocks)


def _blocks(content: bytes, header: Header, scale: float) -> int:
    """How many pixels a side become one: as many as go into one of the input, for a JPEG file whose blocks begin at its
    upper left corner after it is turned."""
    if not content.startswith(b"\xff\xd8"):
        return 1
    wanted = [blocks for blocks in _DECODING if _fits(blocks, scale)]
    fitting = [b for b in wanted if header.orientation == 1 or not (header.width % b or header.height % b)]
    return max(fitting, default=1)


def _fits(blocks: int, scale: float) -> bool:
    """Whether so many pixels a side go into one of what is shown."""
    return blocks * scale <= 1 + 1e-9


def shown_smaller(scale: float) -> bool:
    """Whether a photograph that is shown at this scale may be decoded at a half of its size or less."""
    return any(_fits(blocks, scale) for blocks in _DECODING if blocks > 1)


def scale_of(matrix: np.ndarray) -> float:
    """By how much an affine matrix (2, 3) enlarges, in the direction in which it enlarges most."""
    return float(np.linalg.norm(matrix[:, :2], ord=2))


def warped(image: np.ndarray, placement: Placement, blocks: int = 1) -> np.ndarray:
    """The image (H, W, 3) moved by an affine matrix (2, 3), bilinear, black outside: (height, width, 3).

    blocks: how many pixels a side of what the matrix moves one pixel stands for, as in `Picture`.
    """
    matrix = np.array(placement.matrix, dtype=np.float64)
    matrix[:, :2] *= blocks
    for axis in (0, 1):
        averaged = math.floor(1 / max(float(np.linalg.norm(matrix[:, axis])), 1e-6) + 1e-9)
        if averaged < 2:
            continue
        side = image.shape[1 - axis]
        shrunk = max(1, side // averaged)
        size = (shrunk, image.shape[0]) if axis == 0 else (image.shape[1], shrunk)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        matrix[:, axis] *= side / shrunk
    # OpenCV counts from pixel centres: half a pixel to either side of the matrix.
    matrix[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    size = (placement.width, placement.height)
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def moved(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) `x1, y1, x2, y2` moved by an affine matrix (2, 3): the hulls of their four moved corners, not clipped."""
    x1, y1, x2, y2 = boxes.T
    points = np.stack([np.stack([x1, y1]), np.stack([x2, y1]), np.stack([x2, y2]), np.stack([x1, y2])])  # (4, 2, M)
    points = np.einsum("ij,pjm->pim", matrix[:, :2], points) + matrix[:, 2][None, :, None]
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).T


def moved_back(boxes: np.ndarray, placement: Placement, width: int, height: int) -> np.ndarray:
    """Boxes (M, 4) `x1, y1, x2, y2` of the input in pixels of the file, clipped to its width and height."""
    inverse = np.linalg.inv(placement.matrix[:, :2])
    back = np.concatenate([inverse, -(inverse @ placement.matrix[:, 2:])], axis=1)
    return moved(boxes, back).clip(0, [width, height, width, height])
