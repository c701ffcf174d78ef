"""Images with their objects on the way to the network's input: brought to their place, and several put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsnet.detection.preprocessing import Placement, moved, warped


@dataclass(frozen=True)
class Sample:
    """An image (H, W, 3) uint8, RGB, with its objects: boxes (M, 4) `x1, y1, x2, y2`, labels (M,), regions (K, 4).

    blocks: how many pixels a side, as boxes and regions have them, each pixel of the image stands for.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    regions: np.ndarray
    blocks: int = 1


def placed(sample: Sample, placement: Placement, minimal_side: float = 0.0, minimal_share: float = 0.0) -> Sample:
    """The sample in the network's input: image warped; boxes and regions moved, clipped, and dropped where dead."""
    limits = [placement.width, placement.height] * 2
    boxes = moved(sample.boxes, placement.matrix)
    inside = boxes.clip(0, limits)
    sides = inside[:, 2:] - inside[:, :2]
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    there = (sides > 0).all(axis=1)
    alive = there & (sides >= minimal_side).all(axis=1) & (np.prod(sides, axis=1) >= minimal_share * whole)
    regions = moved(sample.regions, placement.matrix).clip(0, limits)
    regions = regions[(regions[:, 2:] > regions[:, :2]).all(axis=1)]
    image = warped(sample.image, placement, sample.blocks)
    return Sample(image, inside[alive], sample.labels[alive], regions)


def mosaic(rng: np.random.Generator, samples: Sequence[Sample]) -> Sample:
    """Four images (H, W, 3) of one size around a random point of a canvas of twice that size (Bochkovskiy et al. 2020,
    section 3.3).

    Objects keep the size that they have without a mosaic once the canvas is shrunk by half or a window of the images' size is
    cut out of it, each with probability one half.
    """
    height, width = samples[0].image.shape[:2]
    x = int(rng.uniform(0.5, 1.5) * width)
    y = int(rng.uniform(0.5, 1.5) * height)
    corners = ((x - width, y - height), (x, y - height), (x - width, y), (x, y))
    canvas = np.zeros((2 * height, 2 * width, 3), dtype=np.uint8)
    parts = []
    for (left, top), piece in zip(corners, samples, strict=True):
        _paste(canvas, piece.image, left, top)
        parts.append(_moved(piece, left, top, 2 * width, 2 * height))
    boxes, labels, regions = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "labels", "regions")
    )
    window = _window(rng, width, height)
    return placed(Sample(canvas, boxes, labels, regions), window, minimal_side=1, minimal_share=0.2)


def _window(rng: np.random.Generator, width: int, height: int) -> Placement:
    if rng.random() < 0.5:
        return Placement(np.array([[0.5, 0, 0], [0, 0.5, 0]]), width, height)
    left, top = rng.uniform(0, 1, size=2) * (width, height)
    return Placement(np.array([[1, 0, -math.floor(left)], [0, 1, -math.floor(top)]], dtype=float), width, height)


def _paste(canvas: np.ndarray, image: np.ndarray, left: int, top: int) -> None:
    height, width = image.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
    canvas[y1:y2, x1:x2] = image[y1 - top : y2 - top, x1 - left : x2 - left]


def _moved(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    shift, limits = np.array([left, top] * 2), [width, height] * 2
    boxes = (sample.boxes + shift).clip(0, limits)
    kept = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) >= 0.2 * np.prod(
        sample.boxes[:, 2:] - sample.boxes[:, :2], axis=1
    )
    return Sample(sample.image, boxes[kept], sample.labels[kept], (sample.regions + shift).clip(0, limits))
