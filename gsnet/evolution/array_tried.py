"""Which networks were tried: a table of 64-bit hashes of their blocks, open and probed one place after the other.

Two of half a million networks share a hash once in 10^8 searches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gsnet.evolution.array_layout import BOTTLENECK, DEPTH, INTO, KIND, OUT, STRIDE
from gsnet.evolution.array_random import GOLDEN, mixed
from PlainNet.compiling import compiled

EMPTY = np.uint64(0)
FEW, MANY = np.uint64(8), np.uint64(36)
FIRST_BIT = np.uint64(1)


@compiled
def identity(blocks: np.ndarray, count: int) -> np.uint64:
    """A hash of a network, never 0. Widths and depths are far below 2^28."""
    value = GOLDEN
    for index in range(count):
        widths = np.uint64(blocks[index, KIND]) ^ (np.uint64(blocks[index, INTO]) << FEW)
        value = mixed(value ^ widths ^ (np.uint64(blocks[index, OUT]) << MANY)) + GOLDEN
        others = np.uint64(blocks[index, STRIDE]) ^ (np.uint64(blocks[index, BOTTLENECK]) << FEW)
        value = mixed(value ^ others ^ (np.uint64(blocks[index, DEPTH]) << MANY)) + GOLDEN
    return value | FIRST_BIT


@compiled
def find(tried: np.ndarray, wanted: np.uint64) -> int:
    """Where a hash is in the table, or the empty place where it would be. The table is never full."""
    mask = tried.size - 1
    place: Any = np.int64(wanted >> FIRST_BIT) & mask
    while tried[place] != EMPTY and tried[place] != wanted:
        place = (place + 1) & mask
    return place


def room_for(networks: int) -> np.ndarray:
    """A table for so many networks; memory that nothing was written to is not taken."""
    size = 1 << max(12, (networks + networks // 2).bit_length())
    return np.zeros(size, dtype=np.uint64)
