"""Costs of blocks as polynomials of their widths: a few products in place of a walk through the steps of two layers.

The numbers of a layer's steps are linear in its widths (`PlainNet.step_table`): its parameters, multiply-accumulates and memory
accesses are quadratic, and the largest map is the largest of a few multiples of one width. The coefficients are found from what
`gsnet.evolution.compiled_costs` counts at some widths, and kept if they give what it counts at others.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import numpy as np

from PlainNet.step_table import WIDTH_UNIT

# 1, each width, each product of two of them: input, bottleneck, output.
PRODUCTS = tuple(itertools.combinations_with_replacement(range(3), 2))
TERMS = 1 + 3 + len(PRODUCTS)
SUMS = 3
# A row: the height of the output, how often each width may be the largest map, whether each has to be a multiple of 8,
# coefficients of a first layer, and of each later one.
OUTPUT, PEAKS, MATTERS, FIRST_LAYER = 0, 1, 4, 7
LATER_LAYERS = FIRST_LAYER + SUMS * TERMS
POLYNOMIALS = LATER_LAYERS + SUMS * TERMS
_BASE = (20, 30, 40)
# So much wider than the others that it has the largest map, if it ever has.
_WIDE = 256
_PROBES, _LARGEST_PROBE = 6, 300

Figures = tuple[int, ...]
Units = tuple[int, int, int]
# Of calls of a step table, rows, input channels and height: what `compiled_costs.count` gives.
Count = Callable[[np.ndarray, np.ndarray, int, int], Figures]


class Polynomials:
    """The costs of blocks whose widths are equal as a pattern says, on maps of one height.

    bounds, rows: of their steps. places: for each width, the place of the first one that is as large. has_bottleneck: whether
    they have one.
    """

    def __init__(
        self, count: Count, bounds: Sequence[int], rows: np.ndarray, places: Units, size: int, has_bottleneck: bool
    ) -> None:
        self._count = count
        self._bounds = bounds
        self._rows = rows
        self._places = places
        self._size = size
        # By units and depth: the same widths serve all figures.
        self._known: dict[tuple[Units, int], Figures] = {}
        self._free = [place for place in sorted(set(places)) if has_bottleneck or place != 1]

    def row(self) -> np.ndarray | None:
        """What compiled code reads: (POLYNOMIALS,). None where costs are no such polynomials."""
        row = np.zeros(POLYNOMIALS)
        row[OUTPUT] = self._figures(_BASE, 1)[4]
        row[PEAKS:MATTERS] = [self._peak(place) for place in range(3)]
        for figure in range(SUMS):
            first = self._fitted(lambda units, figure=figure: self._figures(units, 1)[figure])  # type: ignore[misc]
            later = self._fitted(lambda units, figure=figure: self._later(units)[figure])  # type: ignore[misc]
            begin = figure * TERMS
            row[FIRST_LAYER + begin : FIRST_LAYER + begin + TERMS] = first
            row[LATER_LAYERS + begin : LATER_LAYERS + begin + TERMS] = later
        return row if self._holds(row) else None

    def _figures(self, units: Units, depth: int) -> Figures:
        """What a block counts: parameters, flops, memory access, largest map, height of the output."""
        if known := self._known.get((units, depth)):
            return known
        into, bottleneck, out = self._widths(units)
        call = np.array([*self._bounds, depth - 1, into, bottleneck, out], dtype=np.float64)
        figures = self._known[units, depth] = self._count(call, self._rows, into, self._size)
        return figures

    def _widths(self, units: Units) -> Units:
        into, bottleneck, out = (WIDTH_UNIT * units[place] if place in self._free else 0 for place in self._places)
        return into, bottleneck, out

    def _later(self, units: Units) -> list[int]:
        """What each later layer counts."""
        pairs = zip(self._figures(units, 2), self._figures(units, 1), strict=True)
        return [two - one for two, one in pairs]

    def _fitted(self, function: Callable[[Units], int]) -> list[float]:
        """Coefficients of a quadratic function, from its differences around a point."""
        at: Callable[..., int] = lambda *steps: function(_stepped(steps))  # noqa: E731 - a name for what is asked often
        # All of these are halves and eighths of whole numbers, which floats hold exactly.
        middle, linear, square = at(), [0.0] * 3, dict.fromkeys(PRODUCTS, 0.0)
        for place in self._free:
            once = at(place)
            square[place, place] = (at(place, place) - 2 * once + middle) / 2
            linear[place] = once - middle - square[place, place]
        for one, other in itertools.combinations(self._free, 2):
            square[one, other] = at(one, other) - at(one) - at(other) + middle
        # Around 0 in place of that point.
        constant = float(middle)
        for place in self._free:
            constant -= linear[place] * _BASE[place]
        for (one, other), factor in square.items():
            constant += factor * _BASE[one] * _BASE[other]
            linear[one] -= factor * _BASE[other]
            linear[other] -= factor * _BASE[one]
        terms = [constant, *(factor / WIDTH_UNIT for factor in linear)]
        return [*terms, *(square[pair] / WIDTH_UNIT**2 for pair in PRODUCTS)]

    def _peak(self, place: int) -> float:
        """How many elements the largest map has for each channel of a width that is far wider than the others."""
        if place not in self._free:
            return 0.0
        wide, twice = (self._figures(_wide(place, factor), 2)[3] for factor in (1, 2))
        return wide / (WIDTH_UNIT * _WIDE) if twice == 2 * wide else 0.0

    def _holds(self, row: np.ndarray) -> bool:
        """Whether the row gives what is counted at other widths; the same ones in every run."""
        generator = random.Random(0)
        for probe in range(_PROBES):
            first, second, third = generator.sample(range(1, _LARGEST_PROBE), 3)
            depth = 1 + 2 * (probe % 2)
            found = evaluated(row, self._widths((first, second, third)), depth)
            if found != tuple(self._figures((first, second, third), depth)):
                return False
        return True


def evaluated(row: np.ndarray, widths: Units, depth: int) -> Figures:
    """What compiled code makes of a row (`array_scoring.count_blocks`)."""
    terms = [1, *widths, *(widths[one] * widths[other] for one, other in PRODUCTS)]
    figures = []
    for begin in range(0, SUMS * TERMS, TERMS):
        first, later = (row[at + begin : at + begin + TERMS] for at in (FIRST_LAYER, LATER_LAYERS))
        figures.append(int(np.dot(first, terms) + (depth - 1) * np.dot(later, terms)))
    peak = max(int(factor * width) for factor, width in zip(row[PEAKS:MATTERS], widths, strict=True))
    return (*figures, peak, int(row[OUTPUT]))


def _stepped(places: Sequence[int]) -> Units:
    units = list(_BASE)
    for place in places:
        units[place] += 1
    return units[0], units[1], units[2]


def _wide(place: int, factor: int) -> Units:
    units = [1, 2, 3]
    units[place] = _WIDE * factor
    return units[0], units[1], units[2]
