"""Where compiled code finds the steps and the costs of blocks: tables that are written when they are asked for."""

from __future__ import annotations

import numpy as np

from gsnet.evolution.array_codes import Codes
from gsnet.evolution.array_costs import FIRST_LAYER, POLYNOMIALS, Polynomials, Units
from gsnet.evolution.array_costs import MATTERS as COST_MATTERS
from gsnet.evolution.array_layout import ARE_KNOWN, BOUNDS_WIDTH, LARGEST_STRIDE, MATTERS, NO, PATTERNS, YES
from gsnet.evolution.compiled_costs import count
from PlainNet.step_table import WIDTH_UNIT, Pattern, StepTable

# Widths that stand for all that are equal to each other, or not, in the same way.
_SOME_UNITS = (20, 30, 40)
_COST_ROWS = 64


def _places(pattern: int) -> Units:
    """For each width, the place of the first one that is as large, by the pattern of `array_scoring.key_of`."""
    into_is_bottleneck, bottleneck_is_out, into_is_out = (bool(pattern & bit) for bit in (2, 4, 8))
    bottleneck = 0 if into_is_bottleneck else 1
    return 0, bottleneck, 0 if into_is_out else bottleneck if bottleneck_is_out else 2


class _Layers:
    """The templates of blocks by `array_scoring.key_of`."""

    def __init__(self, codes: Codes, table: StepTable) -> None:
        self._codes = codes
        self.table = table
        self.keys = len(codes.types) * LARGEST_STRIDE * PATTERNS

    def has_bottleneck(self, key: int) -> bool:
        """Whether the blocks of a key have a bottleneck."""
        return self._codes.have_bottleneck[key // PATTERNS // LARGEST_STRIDE]

    def found(self, key: int) -> Pattern | None:
        """Where the steps of a key's blocks are."""
        rest, pattern = divmod(key, PATTERNS)
        number, stride = divmod(rest, LARGEST_STRIDE)
        into, bottleneck, out = (WIDTH_UNIT * _SOME_UNITS[place] for place in _places(pattern))
        widths = into, bottleneck if self.has_bottleneck(key) else 0, out
        return self.table.template_bounds(self._codes.types[number], stride + 1, bool(pattern & 1), widths)


class BoundsTable:
    """Where a `StepTable` has the steps of blocks: (key, 8)."""

    def __init__(self, codes: Codes, table: StepTable) -> None:
        self._layers = _Layers(codes, table)
        self.bounds = np.zeros((self._layers.keys, BOUNDS_WIDTH), dtype=np.int64)

    @property
    def rows(self) -> np.ndarray:
        """The steps; renewed when there are more."""
        return self._layers.table.rows

    def add(self, key: int) -> None:
        """Write the bounds of a key, or that there are none."""
        found, row = self._layers.found(key), self.bounds[key]
        row[ARE_KNOWN] = YES if found else NO
        if found:
            row[:ARE_KNOWN], row[MATTERS:] = found


class CostTable:
    """What blocks cost. places: (key, height), a row of polynomials; 0 where there are none, -1 where none was sought."""

    def __init__(self, codes: Codes, table: StepTable, resolution: int) -> None:
        self._layers = _Layers(codes, table)
        self._used = 1
        self.places = np.full((self._layers.keys, 1 + resolution), -1, dtype=np.int32)
        self.rows = np.zeros((_COST_ROWS, POLYNOMIALS))

    def add(self, key: int, size: int) -> None:
        """Write the polynomials of a key's blocks on maps of a height, or that there are none."""
        self.places[key, size] = 0
        found = self._layers.found(key)
        if found is None:
            return
        bounds, matter = found
        places, has_bottleneck = _places(key % PATTERNS), self._layers.has_bottleneck(key)
        row = Polynomials(count, bounds, self._layers.table.rows, places, size, has_bottleneck).row()
        if row is None:
            return
        row[COST_MATTERS:FIRST_LAYER] = matter
        if self._used == len(self.rows):
            self.rows = np.concatenate((self.rows, np.zeros_like(self.rows)))
        self.rows[self._used] = row
        self.places[key, size] = self._used
        self._used += 1
