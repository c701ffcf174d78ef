"""Large images as overlapping tiles, and the detections of the tiles joined to those of the image.

An object that a tile's edge cuts is found in part there and whole in a neighbour, if the tiles overlap by more than its
size. A part has little IoU with the whole, so parts at such edges go where another box covers most of their own area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsnet.detection.scene import ImageResults, corners, from_corners
from gsnet.interface.options import InputError

_COVERED = 0.7  # share of a cut box's area in another box of its class that makes it a part of that one
_EDGE = 2.0  # pixels from a tile's edge within which a box counts as cut


@dataclass(frozen=True)
class Tile:
    """A window of an image, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window of an image (H, W, 3)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def tiles_of(width: int, height: int, side: int, overlap: float) -> list[Tile]:
    """Tiles of at most side x side pixels that cover an image, neighbours sharing at least `overlap` of their side.

    All have the same size; in each direction they are spread evenly. Raises InputError for impossible values.
    """
    if side < 32 or not 0 <= overlap < 1:
        raise InputError("--tile starts at 32 pixels, --overlap lies from 0 to below 1")
    across, down = (_starts(length, side, overlap) for length in (width, height))
    return [Tile(x, y, min(side, width), min(side, height)) for y in down for x in across]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = side * (1 - overlap)
    count = int(np.ceil((length - side) / step - 1e-9)) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def joined(
    tiles: Sequence[Tile],
    found: Sequence[ImageResults],
    size: tuple[int, int],
    iou_threshold: float,
    max_detections: int,
) -> ImageResults:
    """The detections of an image of `size` (width, height) from those of its tiles, each in pixels of its tile."""
    boxes = np.concatenate(
        [corners(part.boxes) + [tile.left, tile.top] * 2 for tile, part in zip(tiles, found, strict=True)]
    )
    cut = np.concatenate([_cut(tile, part, size) for tile, part in zip(tiles, found, strict=True)])
    scores = np.concatenate([part.scores for part in found])
    labels = np.concatenate([part.labels for part in found])
    # Whole boxes first: a part never suppresses the object that it belongs to.
    order = np.lexsort((-scores, cut))
    kept = order[_suppress(boxes[order], labels[order], cut[order], iou_threshold)]
    kept = kept[np.argsort(-scores[kept], kind="stable")][:max_detections]
    return ImageResults(from_corners(boxes[kept]), scores[kept], labels[kept])


def _cut(tile: Tile, found: ImageResults, size: tuple[int, int]) -> np.ndarray:
    """Which boxes (D,) touch an edge of their tile that is not an edge of the image."""
    x1, y1, x2, y2 = corners(found.boxes).T
    inner_left, inner_top = tile.left > 0, tile.top > 0
    inner_right, inner_bottom = tile.left + tile.width < size[0], tile.top + tile.height < size[1]
    cut = (x1 < _EDGE) & inner_left | (y1 < _EDGE) & inner_top
    return cut | (x2 > tile.width - _EDGE) & inner_right | (y2 > tile.height - _EDGE) & inner_bottom


def _suppress(boxes: np.ndarray, labels: np.ndarray, cut: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Places of the boxes that stay: each removes what follows it, of its class, and is nearly it or a cut part of it."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    alive = np.ones(len(boxes), dtype=bool)
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        later = np.flatnonzero(alive[i + 1 :] & (labels[i + 1 :] == labels[i])) + i + 1
        sides = np.minimum(boxes[i, 2:], boxes[later, 2:]) - np.maximum(boxes[i, :2], boxes[later, :2])
        common = np.prod(np.maximum(sides, 0), axis=1)
        same = common > iou_threshold * (areas[i] + areas[later] - common)
        part = cut[later] & (common > _COVERED * areas[later])
        alive[later[same | part]] = False
    return np.flatnonzero(alive)
