"""The cross-entropy's gradient at the logits of random networks."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

# Draws of logits, the same for all networks, so that scores are smooth; fewer of many classes, which average over themselves.
_NUMBERS, _FEWEST = 10_000, 40
# The table: logarithms of the deviation, and square roots of what images have of their own.
_SMALLEST, _LARGEST, _PLACES = -3.0, 6.0, 37
_OWN_PLACES = 21


class LogitGradient(NamedTuple):
    """Of probabilities minus labels, summed over classes: the mean square of an image, and the mean product of two images."""

    square: float
    product: float


def logit_gradient(deviation: float, common: float, classes: int) -> LogitGradient:
    """For normal logits with this deviation over classes, of whose square the share `common` is the same in all images.

    Labels are uniformly random: E |p - y|^2 = 1 + E p.p - 2 / classes, and for two images E p.p' - 1 / classes.
    """
    level = min(max(math.log(max(deviation, 1e-9)), _SMALLEST), _LARGEST)
    row, above = _between((level - _SMALLEST) / (_LARGEST - _SMALLEST), _PLACES)
    column, right = _between(math.sqrt(1 - common), _OWN_PLACES)
    corners = _table(classes)[row : row + 2, column : column + 2]
    lower, upper = corners[:, 0] * (1 - right) + corners[:, 1] * right
    square, product = (lower * (1 - above) + upper * above).tolist()
    return LogitGradient(1 + square - 2 / classes, max(0.0, product - 1 / classes))


def _between(part: float, places: int) -> tuple[int, float]:
    """The place before a part of the way from the first of so many places to the last, and the part of the way to the next."""
    position = part * (places - 1)
    place = min(int(position), places - 2)
    return place, position - place


@lru_cache(maxsize=8)
def _table(classes: int) -> np.ndarray:
    """E p.p and E p.p' by places of deviation and of what images have of their own: (37, 21, 2)."""
    draws = max(_FEWEST, _NUMBERS // classes)
    shared, one, other = np.random.default_rng(0).standard_normal((3, draws, classes))
    table = np.empty((_PLACES, _OWN_PLACES, 2))
    for row, level in enumerate(np.linspace(_SMALLEST, _LARGEST, _PLACES)):
        for column, own in enumerate(np.linspace(0, 1, _OWN_PLACES)):
            common = math.sqrt(1 - own * own) * shared
            first, second = (_softmax(math.exp(level) * (common + own * some)) for some in (one, other))
            table[row, column] = (first * first).sum(1).mean(), (first * second).sum(1).mean()
    return table


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
