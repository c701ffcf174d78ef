"""The scored candidates of a search as a picture shows them: some of them, and where the best score rose."""

from __future__ import annotations

import numpy as np

MOST_POINTS = 20_000


class Scatter:
    """Every candidate up to twice `MOST_POINTS`, then every second, every fourth and so on.

    count: how many there were. rises: the iterations in which the best score rose. best: the best score.
    """

    def __init__(self) -> None:
        self.count = 0
        self.rises: list[int] = []
        self.best = -np.inf
        self.best_scores: list[float] = []
        self.last_iteration = 0
        self._stride = 1
        self._kept = np.empty((0, 3))

    @property
    def shown(self) -> np.ndarray:
        """Iteration, score, parameters: (points, 3), at most `MOST_POINTS` and some."""
        return self._kept[:: max(1, len(self._kept) // MOST_POINTS)]

    def add(self, iterations: np.ndarray, scores: np.ndarray, parameters: np.ndarray) -> None:
        """Take scored candidates into account, the oldest first."""
        if not len(iterations):
            return
        highest = np.maximum.accumulate(np.concatenate(([self.best], scores)))
        rises = scores > highest[:-1]
        self.rises += iterations[rises].tolist()
        self.best_scores += scores[rises].tolist()
        self.best, self.last_iteration = float(highest[-1]), int(iterations[-1])
        every = slice(-self.count % self._stride, None, self._stride)
        self._kept = np.concatenate(
            (self._kept, np.column_stack((iterations[every], scores[every], parameters[every])))
        )
        self.count += len(iterations)
        while len(self._kept) > 2 * MOST_POINTS:
            self._kept, self._stride = self._kept[::2], 2 * self._stride
