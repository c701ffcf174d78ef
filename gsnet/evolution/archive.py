"""The Pareto archive: networks that no other one beats in score and in every cost at once."""

from __future__ import annotations

import json

import numpy as np

from gsnet.evolution.history import Row

COSTS = ("parameters", "flops", "memory_access", "layers")
_SCORE = Row._fields.index("score")
_CHUNK = 1_000
_FAVOURITES = 64


class Archive:
    """Scored rows that are not dominated: a larger score, or less of some cost, than every other one.

    costs: columns that are minimised; figures: those of a user's own that are. Rows gather in chunks. Most are dominated by a
    few of the front, which are asked first.
    """

    def __init__(self, costs: tuple[str, ...] = COSTS, figures: tuple[str, ...] = ()) -> None:
        self._rows: list[Row] = []
        self._positions = tuple(Row._fields.index(name) for name in costs)
        self._figures = figures
        self._points = np.empty((0, 1 + len(costs) + len(figures)))
        self._refusals = np.empty(0, dtype=np.int64)
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        """Take a scored row into account."""
        self._waiting.append(row)
        if len(self._waiting) == _CHUNK:
            self._settle()

    def front(self) -> list[Row]:
        """The rows of the front, best score first; of equal ones the oldest."""
        self._settle()
        return [self._rows[i] for i in np.lexsort(self._points.T[::-1])]

    def _settle(self) -> None:
        rows, self._waiting = self._waiting, []
        rows = self._undominated(rows, np.argsort(-self._refusals, kind="stable")[:_FAVOURITES])
        rows = self._undominated(rows, np.arange(len(self._rows)))
        if not rows:
            return
        newcomers = self._points_of(rows)
        fresh = ~_dominated(newcomers, newcomers, np.tri(len(rows), k=-1, dtype=bool))
        newcomers = newcomers[fresh]
        stay = ~_dominated(self._points, newcomers)
        self._points = np.concatenate((self._points[stay], newcomers))
        kept = [row for row, keep in zip(self._rows, stay, strict=True) if keep]
        self._rows = kept + [row for row, keep in zip(rows, fresh, strict=True) if keep]
        self._refusals = np.concatenate((self._refusals[stay], np.zeros(len(newcomers), dtype=np.int64)))

    def _undominated(self, rows: list[Row], members: np.ndarray) -> list[Row]:
        """The rows that none of some members of the front is at least as good as."""
        if not rows or not len(members):
            return rows
        refuses = (self._points[members][:, None] <= self._points_of(rows)[None]).all(axis=2)
        first = refuses.argmax(axis=0)
        refused = refuses[first, np.arange(len(rows))]
        np.add.at(self._refusals, members[first[refused]], 1)
        return [row for row, gone in zip(rows, refused, strict=True) if not gone]

    def _points_of(self, rows: list[Row]) -> np.ndarray:
        """Everything minimised, the score by its negative: (rows, 1 + costs)."""
        columns = (_SCORE, *self._positions)
        figures = [[row[i] for i in columns] for row in rows]
        if self._figures:
            own = [json.loads(row.figures) for row in rows]
            figures = [
                [*costs, *(more[name] for name in self._figures)] for costs, more in zip(figures, own, strict=True)
            ]
        points = np.array(figures, dtype=np.float64)
        points[:, 0] *= -1
        return points


def _dominated(points: np.ndarray, others: np.ndarray, older: np.ndarray | None = None) -> np.ndarray:
    """Which points are beaten by one of the others. `older[i, j]`: other j is older than point i and wins a tie."""
    at_least_as_good = np.all(others[None] <= points[:, None], axis=2)
    better = np.any(others[None] < points[:, None], axis=2)
    return np.any(at_least_as_good & (better if older is None else better | older), axis=1)
