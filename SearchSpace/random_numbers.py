"""Random numbers that belong to a candidate: a pure function of (seed, iteration, how many came before)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, count

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
# Iterations whose numbers are worked out together, and how many numbers each gets: the published
# mutation takes eleven, the fitting one twice as many.
_ITERATIONS, _NUMBERS = 256, 24


def candidate_seed(seed: int, iteration: int) -> int:
    """A 63-bit seed for one candidate (SplitMix64 of both numbers; Steele et al. 2014)."""
    return _mixed(search_number(seed) + (iteration + 1) * _GOLDEN) >> 1


def candidate_seeds(seed: int, iterations: np.ndarray) -> np.ndarray:
    """`candidate_seed` of many iterations: (iterations,) as signed 64-bit numbers."""
    z = np.uint64(search_number(seed)) + (iterations.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    return (_mixed_all(z) >> np.uint64(1)).astype(np.int64)


def search_number(seed: int) -> int:
    """64 bits of a search's seed, before its iterations are told apart."""
    return seed * 0xD1342543DE82EF95 & _MASK


def _mixed(z: int) -> int:
    """SplitMix64's scrambling of a 64-bit counter."""
    z &= _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _mixed_all(z: np.ndarray) -> np.ndarray:
    """`_mixed` of many counters."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class CandidateRandom(random.Random):
    """The generator of one candidate after the other; `at(iteration)` begins a candidate's numbers.

    Number n of a candidate is SplitMix64 of its seed plus n steps, so that no state is carried from candidate to candidate, and
    many candidates' numbers are one array operation. All methods of `random.Random` draw from them, except those for states.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._search_seed = seed
        self._first, self._seeds, self._numbers = 0, [], []  # type: tuple[int, list[int], list[list[float]]]

    def at(self, iteration: int) -> int:
        """Begin the numbers of an iteration; returns its candidate's seed."""
        place = iteration - self._first
        if not 0 <= place < len(self._seeds):
            self._prepare(iteration)
            place = 0
        seed = self._seeds[place]
        # Normal numbers come in pairs: the second one of a candidate before is not this one's.
        self.gauss_next = None
        # An attribute of the instance: the numbers come without a Python call.
        self.random = chain(self._numbers[place], further_numbers(seed, _NUMBERS)).__next__  # type: ignore[method-assign]
        return seed

    def getrandbits(self, k: int) -> int:
        """An integer of k random bits, from 32 bits of each number; what `randrange` and `choice` build on."""
        result = 0
        for _ in range(0, k, 32):
            result = result << 32 | int(self.random() * 2**32)
        return result >> -k % 32

    def _prepare(self, iteration: int) -> None:
        """Seeds and first numbers of this iteration and those that follow."""
        self._first = iteration
        self._seeds = [candidate_seed(self._search_seed, iteration + n) for n in range(_ITERATIONS)]
        steps = np.arange(1, _NUMBERS + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        z = _mixed_all(np.array(self._seeds, dtype=np.uint64)[:, None] + steps)
        self._numbers = ((z >> np.uint64(11)) * 2.0**-53).tolist()


def further_numbers(seed: int, used: int) -> Iterator[float]:
    """A candidate's numbers after the first `used` ones, one at a time."""
    for step in count(used + 1):
        yield (_mixed(seed + step * _GOLDEN) >> 11) * 2.0**-53
