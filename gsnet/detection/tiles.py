"""Large images as overlapping tiles, and the detections of the tiles joined to those of the image.

An object that a tile's edge cuts is found in part there and whole in a neighbour, if the tiles overlap by more than its
size. A part has little IoU with the whole, so parts at such edges go where another box covers most of their own area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsnet.detection.joining import first_of_each, overlapping_pairs
from gsnet.detection.scene import ImageResults, corners, from_corners
from gsnet.interface.options import InputError

_COVERED = 0.7  # share of a cut box's area in another box of its class that makes it a part of that one
_EDGE = 2.0  # pixels from a tile's edge within which a box counts as cut
JOINS = ("iou", "smaller", "merge")


@dataclass(frozen=True)
class TileSettings:
    """How an image is looked at in tiles. Raises InputError for impossible values.

    side of a tile in pixels; overlap: share of a side that neighbours have in common at least. whole: the image is looked at as
    one too, for what is larger than a tile. threshold: of two boxes of a class that share more, the weaker goes, measured by
    join: "iou" over their union, "smaller" over the smaller of them, "merge" as that, and the other one grows by it.
    max_joined: detections of an image, the highest scores; None keeps all.
    """

    side: int
    overlap: float = 0.2
    whole: bool = True
    join: str = "iou"
    threshold: float = 0.6
    max_joined: int | None = None

    def __post_init__(self) -> None:
        if self.side < 32 or not 0 <= self.overlap < 1:
            raise InputError("--tile starts at 32 pixels, --overlap lies from 0 to below 1")
        if self.join not in JOINS:
            raise InputError(f"--tile_join is one of {', '.join(JOINS)}")


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


def tiles_of(width: int, height: int, settings: TileSettings) -> list[Tile]:
    """Tiles that cover an image; all have the same size, and in each direction they are spread evenly.

    The image as a whole comes last where it is wanted and no tile.
    """
    side = settings.side
    across, down = (_starts(length, side, settings.overlap) for length in (width, height))
    tiles = [Tile(x, y, min(side, width), min(side, height)) for y in down for x in across]
    return [*tiles, Tile(0, 0, width, height)] if settings.whole and len(tiles) > 1 else tiles


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = side * (1 - overlap)
    count = int(np.ceil((length - side) / step - 1e-9)) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def joined(
    tiles: Sequence[Tile], found: Sequence[ImageResults], size: tuple[int, int], settings: TileSettings
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
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    stands = first_of_each(len(boxes), *_same_objects(boxes, labels, cut[order], settings))
    if settings.join == "merge":
        boxes = _grown(boxes, stands)
    kept = np.flatnonzero(stands == np.arange(len(stands)))
    kept = kept[np.argsort(-scores[kept], kind="stable")][: settings.max_joined]
    return ImageResults(from_corners(boxes[kept]), scores[kept], labels[kept])


def _cut(tile: Tile, found: ImageResults, size: tuple[int, int]) -> np.ndarray:
    """Which boxes (D,) touch an edge of their tile that is not an edge of the image."""
    x1, y1, x2, y2 = corners(found.boxes).T
    inner_left, inner_top = tile.left > 0, tile.top > 0
    inner_right, inner_bottom = tile.left + tile.width < size[0], tile.top + tile.height < size[1]
    cut = (x1 < _EDGE) & inner_left | (y1 < _EDGE) & inner_top
    return cut | (x2 > tile.width - _EDGE) & inner_right | (y2 > tile.height - _EDGE) & inner_bottom


def _same_objects(
    boxes: np.ndarray, labels: np.ndarray, cut: np.ndarray, settings: TileSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Places of boxes, and of later ones that are nearly the same or cut parts of them: each removes the other."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    pairs = overlapping_pairs(boxes, labels)
    one, other = areas[pairs.earlier], areas[pairs.later]
    reference = one + other - pairs.common if settings.join == "iou" else np.minimum(one, other)
    same = pairs.common > settings.threshold * reference
    same |= cut[pairs.later] & (pairs.common > _COVERED * other)
    return pairs.earlier[same], pairs.later[same]


def _grown(boxes: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """Each box with those around it that it stands for: (D, 4)."""
    grown = boxes.copy()
    np.minimum.at(grown[:, :2], stands, boxes[:, :2])
    np.maximum.at(grown[:, 2:], stands, boxes[:, 2:])
    return grown
