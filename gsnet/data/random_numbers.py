"""Random numbers that follow from whole numbers alone: seed, epoch, image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MIX = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mixed_seed(*numbers: int) -> int:
    """One seed of 63 bits from several numbers; nearby numbers give unrelated seeds (SplitMix64's finaliser)."""
    state = 0
    for number in numbers:
        state = (state + number + _MIX) % 2**64
        state = (state ^ (state >> 30)) * _FIRST % 2**64
        state = (state ^ (state >> 27)) * _SECOND % 2**64
        state ^= state >> 31
    return state >> 1


class Draws:
    """Uniform numbers for the images of a batch by their places, such as (epoch, index), in columns.

    Those of an image are the same in every batch: column j of row i is the upper 53 bits of the number whose upper 63 bits are
    `mixed_seed(seed, *places[i], j)`.
    """

    def __init__(self, seed: int, places: Sequence[int | tuple[int, ...]]) -> None:
        table = np.asarray(places, dtype=np.uint64).reshape(len(places), -1)
        self._state = np.zeros(len(places), dtype=np.uint64)
        for numbers in (np.full(len(places), seed, dtype=np.uint64), *table.T):
            self._state = _mixed(self._state, numbers)
        self._taken = 0

    def take(self, count: int) -> np.ndarray:
        """The next columns, (images, count) in [0, 1)."""
        columns = np.arange(self._taken, self._taken + count, dtype=np.uint64)
        self._taken += count
        return (_mixed(self._state[:, None], columns) >> np.uint64(11)) * 2.0**-53


def _mixed(state: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """One number more of `mixed_seed`, without its last shift; unsigned numbers of numpy go round by themselves."""
    state = state + numbers + np.uint64(_MIX)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    return state ^ (state >> np.uint64(31))
