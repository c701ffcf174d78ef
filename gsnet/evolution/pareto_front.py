"""The points of a long stream that no other one beats, found by compiled code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from PlainNet.compiling import Examples, kept_on_disk, source_version

_CHUNK = 100_000


class ParetoFront:
    """Points, all of whose figures are minimised, that no other one is at least as good as in each; of equal ones the first.

    What is asked first of a new point are the members that have refused others: most points are refused by one of few.
    """

    def __init__(self, figures: int) -> None:
        self._points = np.empty((0, figures))
        self._labels = np.empty(0, dtype=np.int64)
        # Members, those first that have refused most lately.
        self._order = np.empty(0, dtype=np.int64)

    def add(self, points: np.ndarray, labels: np.ndarray) -> None:
        """Take points into account: (points, figures), and a number for each, in the order in which they came."""
        for begin in range(0, len(points), _CHUNK):
            self._add(points[begin : begin + _CHUNK], labels[begin : begin + _CHUNK])

    def labels(self) -> np.ndarray:
        """The numbers of the points of the front: by the first figure, of equal ones by the next, and so on."""
        return self._labels[np.lexsort(self._points.T[::-1])]

    def _add(self, points: np.ndarray, labels: np.ndarray) -> None:
        # Sorted so, no point is beaten by one that comes after it; of equal ones the first stays the first.
        places = np.lexsort(points.T[::-1])
        points, count, more = np.ascontiguousarray(points[places]), len(self._points), len(points)
        front = np.concatenate((self._points, np.empty_like(points)))
        order = np.concatenate((self._order, np.empty(more, dtype=np.int64)))
        entered, beaten = np.zeros(more, dtype=np.bool_), np.zeros(count + more, dtype=np.bool_)
        end = enter(front, order, count, points, entered, beaten)
        stay = ~beaten[:end]
        place_of = np.cumsum(stay) - 1
        self._points = front[:end][stay]
        self._labels = np.concatenate((self._labels, labels[places[entered]]))[stay]
        self._order = place_of[[member for member in order[:end].tolist() if stay[member]]]


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """The function that Python calls; see `source_version`."""

    def enter(
        front: np.ndarray, order: np.ndarray, count: int, points: np.ndarray, entered: np.ndarray, beaten: np.ndarray
    ) -> int:
        """Write the points that no member refuses behind the members, mark those that they beat; how many there are then."""
        figures, before = (points.shape[1] if version else 0), count
        for index in range(len(points)):
            refused = False
            for place in range(count):
                member, figure = order[place], 0
                while figure < figures and front[member, figure] <= points[index, figure]:
                    figure += 1
                if figure == figures:
                    order[place], order[place // 2] = order[place // 2], member
                    refused = True
                    break
            if refused:
                continue
            for member in range(before):
                figure = 0
                while figure < figures and points[index, figure] <= front[member, figure]:
                    figure += 1
                if figure == figures:
                    beaten[member] = True
            for figure in range(figures):
                front[count, figure] = points[index, figure]
            order[count] = count
            entered[index] = True
            count += 1
        return count

    return kept_on_disk(enter)


enter = _kept_on_disk(source_version(Path(__file__)))


def examples() -> Examples:
    """The function with arguments as it is called with, for who has it compiled in time."""
    points, flags = np.empty((1, 1)), np.zeros(1, dtype=np.bool_)
    return [(enter, (points, np.zeros(1, dtype=np.int64), 0, points, flags, flags))]
