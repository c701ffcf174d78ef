"""Objects copied to free places of their own image, so that there are more of them, and on other ground.

Source: Kisantal et al. 2019, "Augmentation for small object detection", section 4.2: without masks, an object is its box.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gsnet.detection.sample import Sample

_TRIES = 5
# The outermost share of a copy's side on either hand fades into the ground.
_FADING = 0.1


def with_copies(rng: np.random.Generator, sample: Sample, probability: float) -> Sample:
    """The sample (image uint8, boxes in its pixels) in which each object stands a second time with a probability.

    A copy may be mirrored in either direction. It covers no object, no region and no other copy; where no such place is found
    in a few tries, there is none.
    """
    height, width = sample.image.shape[:2]
    taken = np.concatenate([sample.boxes, sample.regions])
    image, boxes, labels = sample.image.copy(), [sample.boxes], [sample.labels]
    for number in np.flatnonzero(rng.random(len(sample.boxes)) < probability):
        x1, y1 = np.floor(sample.boxes[number, :2]).astype(int)
        x2, y2 = np.ceil(sample.boxes[number, 2:]).astype(int)
        places = rng.integers(0, (width - (x2 - x1), height - (y2 - y1)), size=(_TRIES, 2), endpoint=True)
        mirrors = rng.integers(0, 2, size=2)
        free = [place for place in places if not _covers(place, (x2 - x1, y2 - y1), taken)]
        if not free:
            continue
        left, top = free[0]
        patch = sample.image[y1:y2, x1:x2][:: 1 - 2 * mirrors[0], :: 1 - 2 * mirrors[1]]
        _paste(image[top : top + y2 - y1, left : left + x2 - x1], patch)
        sides = sample.boxes[number, 2:] - sample.boxes[number, :2]
        # Mirrored, what the box leaves free of its pixels is on the other side.
        low = sample.boxes[number, :2] - np.array([x1, y1])
        low = free[0] + np.where(mirrors[::-1] == 1, np.array([x2 - x1, y2 - y1]) - low - sides, low)
        box = np.concatenate([low, low + sides])[None]
        boxes, labels, taken = [*boxes, box], [*labels, sample.labels[[number]]], np.concatenate([taken, box])
    return replace(sample, image=image, boxes=np.concatenate(boxes), labels=np.concatenate(labels))


def _covers(place: np.ndarray, sides: tuple[int, int], taken: np.ndarray) -> bool:
    shared = np.minimum(taken[:, 2:], place + sides) - np.maximum(taken[:, :2], place)
    return bool((shared > 0).all(axis=1).any())


def _paste(ground: np.ndarray, patch: np.ndarray) -> None:
    height, width = patch.shape[:2]
    weight = np.minimum(_ramp(height)[:, None], _ramp(width))[..., None]
    ground[...] = np.rint(weight * patch + (1 - weight) * ground).astype(np.uint8)


def _ramp(length: int) -> np.ndarray:
    """From one half at both ends to 1 inside, (length,)."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1])
    return np.clip(0.5 + distance / max(2 * _FADING * length, 1e-9), 0, 1).astype(np.float32)
