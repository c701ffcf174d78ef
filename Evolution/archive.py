"""The Pareto archive: networks that no other one beats in score and in every cost at once."""

from __future__ import annotations

from Evolution.history import Row

COSTS = ("parameters", "flops", "memory_access", "layers")
_COST_POSITIONS = tuple(Row._fields.index(name) for name in COSTS)
_SCORE = Row._fields.index("score")


class Archive:
    """Scored rows that are not dominated: a larger score, or less of some cost, than every other one."""

    def __init__(self) -> None:
        self._points: list[tuple[tuple[float, ...], Row]] = []

    def add(self, row: Row) -> bool:
        """Take a scored row in unless another one is at least as good in everything; tells whether it was taken."""
        # Everything is minimised, the score by its negative.
        point = (-row[_SCORE], *[row[i] for i in _COST_POSITIONS])
        points = self._points
        for index, (other, _) in enumerate(points):
            if _at_least_as_good(other, point):
                # What refused one candidate will probably refuse the next ones.
                if index:
                    points[index], points[index // 2] = points[index // 2], points[index]
                return False
        self._points = [entry for entry in points if not _at_least_as_good(point, entry[0])]
        self._points.append((point, row))
        return True

    def front(self) -> list[Row]:
        """The rows of the front, best score first."""
        return [row for point, row in sorted(self._points, key=lambda entry: entry[0])]


def _at_least_as_good(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    a, b, c, d, e = one
    f, g, h, i, j = other
    return a <= f and b <= g and c <= h and d <= i and e <= j
