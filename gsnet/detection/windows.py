"""Random windows of large images, on which a detector trains at the resolution at which it will look at tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gsnet.detection.preprocessing import Placement, moved
from gsnet.detection.sample import Sample
from gsnet.detection.tiles import Tile, TileSettings
from gsnet.interface.options import InputError


@dataclass(frozen=True)
class Windows:
    """What of an image is trained on.

    side of a window in pixels of the image. objects: share of windows that are laid around an object, each of the image's with
    the same probability; the others lie anywhere, as tiles do. whole: share of views that are the whole image, for tiles are
    looked at beside it. Raises InputError for impossible values.
    """

    side: int
    objects: float = 0.75
    whole: float = 0.1

    def __post_init__(self) -> None:
        if self.side < 32:
            raise InputError("--train_tile starts at 32 pixels")
        if not (0 <= self.objects <= 1 and 0 <= self.whole < 1):
            raise InputError("--tile_objects lies from 0 to 1, --tile_whole from 0 to below 1")

    def tiles(self, threshold: float) -> TileSettings:
        """How images are looked at by what was trained so; threshold as in `TileSettings`."""
        return TileSettings(self.side, whole=self.whole > 0, threshold=threshold)

    def chosen(self, rng: np.random.Generator, width: int, height: int, boxes: np.ndarray) -> Tile:
        """A window of an image of width x height pixels with the objects boxes (M, 4) `x1, y1, x2, y2`."""
        if rng.random() < self.whole:
            return Tile(0, 0, width, height)
        around = rng.random() < self.objects and len(boxes)
        x1, y1, x2, y2 = boxes[rng.integers(len(boxes))] if around else (0, 0, width, height)
        left, top = _start(rng, width, self.side, x1, x2), _start(rng, height, self.side, y1, y2)
        return Tile(left, top, min(self.side, width), min(self.side, height))


def _start(rng: np.random.Generator, length: int, side: int, low: float, high: float) -> int:
    """Where a window begins that holds what lies from low to high, or lies inside it where that is longer."""
    first, last = sorted((int(np.ceil(high)) - side, int(np.floor(low))))
    free = max(length - side, 0)
    return int(rng.integers(min(max(first, 0), free), max(min(last, free), 0) + 1))


def with_parts_as_regions(sample: Sample, placement: Placement, minimal_share: float) -> Sample:
    """The sample in which objects that the input holds in part, to less than a share, neither train nor count.

    What is left of a larger part is an object, as it is where tiles are joined: found as a part, it goes where its whole is.
    """
    there = moved(sample.boxes, placement.matrix)
    inside = there.clip(0, [placement.width, placement.height] * 2)
    seen, whole = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (inside, there))
    part = (seen > 0) & (seen < minimal_share * whole)
    regions = np.concatenate([sample.regions, sample.boxes[part]])
    return replace(sample, boxes=sample.boxes[~part], labels=sample.labels[~part], regions=regions)
