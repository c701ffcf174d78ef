"""Four numbers at a time: what is done to one does not wait for the others."""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled

Four = tuple[float, float, float, float]
ZEROS = (0.0, 0.0, 0.0, 0.0)


@compiled
def four(row: np.ndarray, place: int) -> Four:
    """Neighbours in a row, from a place on."""
    return row[place], row[place + 1], row[place + 2], row[place + 3]


@compiled
def put(row: np.ndarray, place: int, numbers: Four) -> None:
    """Write neighbours into a row, from a place on."""
    row[place], row[place + 1], row[place + 2], row[place + 3] = numbers


@compiled
def plus(some: Four, others: Four) -> Four:
    """Sums."""
    return some[0] + others[0], some[1] + others[1], some[2] + others[2], some[3] + others[3]


@compiled
def times(factor: float, some: Four) -> Four:
    """Each times the factor."""
    return factor * some[0], factor * some[1], factor * some[2], factor * some[3]


@compiled
def plus_times(some: Four, factor: float, others: Four) -> Four:
    """some + factor * others."""
    return plus(some, times(factor, others))


@compiled
def roots(some: Four) -> Four:
    """Square roots."""
    return math.sqrt(some[0]), math.sqrt(some[1]), math.sqrt(some[2]), math.sqrt(some[3])


@compiled
def not_negative(some: Four) -> Four:
    """0 in place of what is below it."""
    return max(0.0, some[0]), max(0.0, some[1]), max(0.0, some[2]), max(0.0, some[3])


@compiled
def total(some: Four) -> float:
    """Their sum."""
    return (some[0] + some[1]) + (some[2] + some[3])
