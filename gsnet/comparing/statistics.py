"""How columns of a comparison agree, and which networks no other one beats."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gsnet.interface.options import InputError

FEWEST = 3
Values = Sequence[float | None]


class Correlations(NamedTuple):
    """Rank correlations of every pair of columns: rows and columns as in `names`, None where a pair has none.

    networks: how many networks have both figures.
    """

    names: list[str]
    spearman: list[list[float | None]]
    kendall: list[list[float | None]]
    networks: list[list[int]]


def correlations(columns: Mapping[str, Values]) -> Correlations:
    """Spearman's rho and Kendall's tau-b of each two columns, over the networks that have both, of which 3 are needed.

    Of figures that are all the same there is none. Raises InputError where scipy is not installed.
    """
    try:
        from scipy.stats import kendalltau, spearmanr
    except ImportError as error:
        raise InputError("Rank correlations need a library that is not installed: pip install scipy") from error
    names = list(columns)
    rows = {name: np.array([math.nan if v is None else v for v in columns[name]], dtype=float) for name in names}

    def matrix(statistic: Callable[..., object]) -> list[list[float | None]]:
        return [[_correlation(statistic, rows[a], rows[b]) for b in names] for a in names]

    counts = [[int(_both(rows[a], rows[b]).sum()) for b in names] for a in names]
    return Correlations(names, matrix(spearmanr), matrix(kendalltau), counts)


def front(costs: Values, values: Values, better: int = 1) -> list[int]:
    """Places of the pairs that no other one beats: less cost and at least as good, or better at no more cost. By cost.

    better: 1 where larger values are better, -1 where smaller ones are. Of equal pairs the first.
    """
    known = [(c, -better * v, i) for i, (c, v) in enumerate(zip(costs, values, strict=True)) if None not in (c, v)]  # type: ignore[operator]
    found, least = [], math.inf
    for _, value, place in sorted(known):
        if value < least:
            found.append(place)
            least = value
    return found


def _both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isfinite(a) & np.isfinite(b)


def _correlation(statistic: Callable[..., object], a: np.ndarray, b: np.ndarray) -> float | None:
    both = _both(a, b)
    left, right = a[both], b[both]
    if len(left) < FEWEST or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(statistic(left, right).statistic)  # type: ignore[attr-defined]
