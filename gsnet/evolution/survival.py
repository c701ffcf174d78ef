"""Survival with several objectives: non-dominated rank first, then crowding distance (Deb et al. 2002, NSGA-II)."""

from __future__ import annotations

import math

import numpy as np

from gsnet.evolution.population import CutPopulation, Member
from gsnet.evolution.settings import OBJECTIVES


class ParetoPopulation(CutPopulation):
    """Survivors are the best by non-dominated rank, then by crowding distance, then the oldest.

    A newcomer costs O(objectives x capacity) on average. known: the names of what members' `(score, *costs)` are.
    """

    def __init__(self, capacity: int, objectives: tuple[str, ...], known: tuple[str, ...] = OBJECTIVES) -> None:
        super().__init__(capacity)
        self._objectives = objectives
        self._known = known

    @property
    def lowest_score(self) -> float:
        """The lowest score in the population."""
        return min(member.score for member in self._members)

    def foremost(self, count: int) -> list[Member]:
        """The best members by rank and crowding."""
        return select(self._members, count, self._objectives, self._known)

    def _survivors(self) -> list[Member]:
        return select(self._members, self.capacity, self._objectives, self._known)


def select(
    members: list[Member], count: int, objectives: tuple[str, ...], known: tuple[str, ...] = OBJECTIVES
) -> list[Member]:
    """The `count` best members by rank and crowding, in order of iteration."""
    places = [known.index(name) for name in objectives]
    points = [_point(member, places) for member in members]
    chosen: list[int] = []
    for front in _fronts(points):
        room = count - len(chosen)
        if room <= 0:
            break
        if len(front) > room:
            distances = _crowding(front, points)
            front = sorted(front, key=lambda i: (-distances[i], members[i].iteration))[:room]
        chosen += front
    return sorted((members[i] for i in chosen), key=lambda member: member.iteration)


def _point(member: Member, places: list[int]) -> tuple[float, ...]:
    """Everything minimised: the score, at place 0, by its negative."""
    return tuple(member.costs[place - 1] if place else -member.score for place in places)


def _fronts(points: list[tuple[float, ...]]) -> list[list[int]]:
    """Indices by non-dominated rank."""
    p = np.array(points)
    beats: np.ndarray = np.all(p[:, None] <= p[None], axis=2) & np.any(p[:, None] < p[None], axis=2)
    beaten_by = beats.sum(axis=0)
    waiting = np.ones(len(p), dtype=bool)
    fronts = []
    while waiting.any():
        front = np.flatnonzero(waiting & (beaten_by == 0))
        fronts.append(front.tolist())
        waiting[front] = False
        beaten_by = beaten_by - beats[front].sum(axis=0)
    return fronts


def _crowding(front: list[int], points: list[tuple[float, ...]]) -> dict[int, float]:
    """Crowding distance of every member of a front; infinite at its ends."""
    distances = dict.fromkeys(front, 0.0)
    for axis in range(len(points[0])):
        ordered = sorted(front, key=lambda i: (points[i][axis], i))
        low, high = points[ordered[0]][axis], points[ordered[-1]][axis]
        distances[ordered[0]] = distances[ordered[-1]] = math.inf
        if high == low:
            continue
        for before, here, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            distances[here] += (points[after][axis] - points[before][axis]) / (high - low)
    return distances
