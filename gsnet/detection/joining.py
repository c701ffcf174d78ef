"""Which of many boxes are the same object, by neighbours alone: 100,000 boxes in a fraction of a second.

Boxes are looked up in square cells of a power of two as large as they are, so that each lies in at most four of them, and
smaller boxes are compared with larger ones in the cells of the larger. Of two boxes the cells that both lie in are several; the
pair counts in the one with the upper left corner of what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Candidates that are compared at a time: 100 MB of working memory.
_AT_A_TIME = 2_000_000
# Numbers of cells, from their columns, rows and groups.
_Key = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Boxes that share an area: places of the earlier and of the later one, and the area."""

    earlier: np.ndarray
    later: np.ndarray
    common: np.ndarray


def overlapping_pairs(boxes: np.ndarray, labels: np.ndarray) -> Pairs:
    """All pairs of boxes (D, 4), as x1, y1, x2, y2, that have one label (D,) and share an area. Each pair once."""
    found = [part for part in _pairs_by_size(boxes, labels) if len(part[0])]
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    first, second, common = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Pairs(np.minimum(first, second), np.maximum(first, second), common)


def _pairs_by_size(boxes: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    if not len(boxes):
        return
    boxes = boxes - np.tile(boxes[:, :2].min(axis=0), 2)
    _, groups = np.unique(labels, return_inverse=True)
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    levels = np.ceil(np.log2(np.maximum(sides, 1))).astype(np.int64)
    for level in np.unique(levels):
        large, small = np.flatnonzero(levels == level), np.flatnonzero(levels <= level)
        yield from _pairs_in_cells(boxes, groups, levels, large, small, float(2**level))


def _pairs_in_cells(
    boxes: np.ndarray, groups: np.ndarray, levels: np.ndarray, large: np.ndarray, small: np.ndarray, side: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of a large box and another one, which is smaller or comes before it."""
    columns, rows = np.floor(boxes[:, 2:].max(axis=0) / side).astype(np.int64) + 1

    def key(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
        return (group * rows + y) * columns + x

    held, held_keys = _cells(boxes, groups, large, side, key)
    order = np.argsort(held_keys, kind="stable")
    held, held_keys = held[order], held_keys[order]
    asked, asked_keys = _cells(boxes, groups, small, side, key)
    begin = np.searchsorted(held_keys, asked_keys, side="left")
    counts = np.searchsorted(held_keys, asked_keys, side="right") - begin
    for part in _portions(counts):
        one = asked[part].repeat(counts[part])
        within = np.arange(len(one)) - (np.cumsum(counts[part]) - counts[part]).repeat(counts[part])
        other = held[begin[part].repeat(counts[part]) + within]
        new = (levels[one] < levels[other]) | (one < other)
        one, other, cell = one[new], other[new], asked_keys[part].repeat(counts[part])[new]
        left, top = np.maximum(boxes[one, 0], boxes[other, 0]), np.maximum(boxes[one, 1], boxes[other, 1])
        width = np.minimum(boxes[one, 2], boxes[other, 2]) - left
        height = np.minimum(boxes[one, 3], boxes[other, 3]) - top
        here = key((left / side).astype(np.int64), (top / side).astype(np.int64), groups[one]) == cell
        shared = here & (width > 0) & (height > 0)
        yield one[shared], other[shared], (width * height)[shared]


def _cells(
    boxes: np.ndarray, groups: np.ndarray, places: np.ndarray, side: float, key: _Key
) -> tuple[np.ndarray, np.ndarray]:
    """Places of boxes, once for each cell that they lie in, and the cells' keys."""
    x1, y1, x2, y2 = np.floor(boxes[places] / side).astype(np.int64).T
    held, keys = [], []
    for right in (False, True):
        for lower in (False, True):
            there = ((x2 > x1) | (not right)) & ((y2 > y1) | (not lower))
            held.append(places[there])
            keys.append(key((x2 if right else x1)[there], (y2 if lower else y1)[there], groups[places][there]))
    return np.concatenate(held), np.concatenate(keys)


def _portions(counts: np.ndarray) -> Iterator[slice]:
    """Slices of the counts with about as many candidates as are compared at a time."""
    sums = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = sums[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(sums, done + _AT_A_TIME, side="right")))
        yield slice(first, last)
        first = last


def first_of_each(count: int, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """For each of `count` boxes the box that stands for it: itself, or the first that stays and removes it.

    Pairs say that the earlier box removes the later one, if it stays itself; the first box stays. Decided is in rounds: a box
    stays when nothing undecided is before it, and removes what is behind it.
    """
    undecided, stays = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    before, behind = earlier, later
    while len(before):
        blocked = np.zeros(count, dtype=bool)
        blocked[behind] = True
        decided = undecided & ~blocked
        stays |= decided
        undecided &= blocked
        undecided[behind[decided[before]]] = False
        left = undecided[before] & undecided[behind]
        before, behind = before[left], behind[left]
    stays |= undecided
    stands = np.where(stays, np.arange(count), count)
    removes = stays[earlier]
    np.minimum.at(stands, later[removes], earlier[removes])
    return stands
