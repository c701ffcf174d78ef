"""The numbers of `SearchSpace.random_numbers.CandidateRandom` in compiled code: the same ones, one after the other."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
ONE, ELEVEN, TWENTY_SEVEN, THIRTY, THIRTY_ONE = (np.uint64(bits) for bits in (1, 11, 27, 30, 31))
FRACTION = 2.0**-53
# Numbers of 32 bits.
BITS = 32


@compiled
def mixed(z: np.uint64) -> np.uint64:
    """SplitMix64's scrambling of a counter."""
    z = (z ^ (z >> THIRTY)) * FIRST
    z = (z ^ (z >> TWENTY_SEVEN)) * SECOND
    return z ^ (z >> THIRTY_ONE)


@compiled
def begin(numbers: np.ndarray, search: np.uint64, iteration: int) -> np.uint64:
    """Begin an iteration's numbers; returns its candidate's seed."""
    seed = mixed(search + np.uint64(iteration + 1) * GOLDEN) >> ONE
    numbers[0] = seed
    return seed


@compiled
def draw(numbers: np.ndarray) -> float:
    """The next number, in [0, 1)."""
    numbers[0] += GOLDEN
    return float(mixed(numbers[0]) >> ELEVEN) * FRACTION


@compiled
def below(numbers: np.ndarray, count: int) -> int:
    """A whole number below `count`, as `random.Random.choice` draws it: bits of a number, again where they come to more."""
    bits = 0
    while count >> bits:
        bits += 1
    drawn = count
    while drawn >= count:
        drawn = int(draw(numbers) * 2.0**BITS) >> (BITS - bits)
    return drawn
