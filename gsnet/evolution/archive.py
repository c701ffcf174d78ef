"""The Pareto archive: networks that no other one beats in score and in every cost at once."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from gsnet.evolution.history import Row
from gsnet.evolution.pareto_front import ParetoFront

COSTS = ("parameters", "flops", "memory_access", "layers")
_SCORE = Row._fields.index("score")
_CHUNK = 1_000


class Archive:
    """Scored rows that are not dominated: a larger score, or less of some cost, than every other one.

    costs: columns that are minimised; figures: those of a user's own that are.
    """

    def __init__(self, costs: tuple[str, ...] = COSTS, figures: tuple[str, ...] = ()) -> None:
        self._costs = costs
        self._figures = figures
        self._front = ParetoFront(1 + len(costs) + len(figures))
        self._rows: dict[int, Row] = {}
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        """Take a scored row into account."""
        self._waiting.append(row)
        if len(self._waiting) == _CHUNK:
            self._settle()

    def front(self) -> list[Row]:
        """The rows of the front, best score first; of equal ones the oldest."""
        self._settle()
        return [self._rows[iteration] for iteration in self._front.labels().tolist()]

    def _settle(self) -> None:
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        points = points_of(rows, self._costs, self._figures)
        self._front.add(points, np.array([row.iteration for row in rows], dtype=np.int64))
        self._rows |= {row.iteration: row for row in rows}
        self._rows = {iteration: self._rows[iteration] for iteration in self._front.labels().tolist()}


def points_of(rows: Sequence[Row], costs: tuple[str, ...], figures: tuple[str, ...]) -> np.ndarray:
    """Everything minimised, the score by its negative: (rows, 1 + costs + figures)."""
    columns = (_SCORE, *(Row._fields.index(name) for name in costs))
    values = [[row[i] for i in columns] for row in rows]
    if figures:
        own = [json.loads(row.figures) for row in rows]
        values = [[*known, *(more[name] for name in figures)] for known, more in zip(values, own, strict=True)]
    points = np.array(values, dtype=np.float64).reshape(len(rows), len(columns) + len(figures))
    points[:, 0] *= -1
    return points
