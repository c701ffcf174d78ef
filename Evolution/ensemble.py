"""Survival by several proxies at once: each ranks the population, and the ranks are added up.

Proxies have scales that cannot be compared, but every one of them orders a population. The sum of the logarithms of the ranks
(Lee and Ham 2024, AZ-NAS, section 3.3) is low for a network that any one proxy puts near the bottom, which a search that
maximises a single proxy does not notice. TE-NAS (Chen et al. 2021, section 3.3) adds up the ranks themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from Evolution.population import Member

Rule = Callable[[Sequence[Sequence[float]]], np.ndarray]


def log_rank_sums(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """The aggregate of each network of a population: the sum over proxies of log(rank / size). Larger is better, at most 0.

    scores: one row a network, one column a proxy, larger is better in each. The best network has rank `size`, equal
    scores share their mean rank, and minus infinity, for a network without a score, is a score below all others.
    """
    ranks = _ascending_ranks(scores)
    return np.log(ranks / max(1, len(ranks))).sum(axis=1)


def rank_sums(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """As `log_rank_sums`, with the sum over proxies of rank / size: at most the number of proxies."""
    ranks = _ascending_ranks(scores)
    return (ranks / max(1, len(ranks))).sum(axis=1)


def _ascending_ranks(scores: Sequence[Sequence[float]]) -> np.ndarray:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError("an ensemble ranks a table with one row for each network, and all rows of the same length")
    if np.isnan(table).any():
        raise ValueError("a score that is not a number has no rank")
    ranks = np.empty_like(table)
    for column, values in enumerate(table.T):
        ordered = np.sort(values)
        ranks[:, column] = (ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1) / 2
    return ranks


class EnsemblePopulation:
    """At most `capacity` members; the surplus goes in one cut, each time that twice the capacity has gathered.

    Members carry the score of every proxy (`Member.scores`), and survivors are those with the best aggregate among the
    members of the moment, the oldest among equals. Cutting in one go keeps the cost of a newcomer at O(proxies x log
    capacity) on average; parents are drawn from the survivors of the last cut and the newcomers since. The same members
    in the same order always leave the same population, so a search that is taken up again replays it.
    """

    def __init__(self, capacity: int, rule: Rule = log_rank_sums) -> None:
        self.capacity = capacity
        self._rule = rule
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in order of iteration."""
        return tuple(self._members)

    @property
    def lowest_score(self) -> float:
        """The lowest aggregate in the population."""
        return float(self._aggregates().min())

    @property
    def best(self) -> Member | None:
        """The member with the best aggregate, the oldest among equals, with that aggregate as its score; None when empty.

        A cut keeps the best of its members, so the best network so far is among them.
        """
        if not self._members:
            return None
        aggregates = self._aggregates()
        place = int(aggregates.argmax())
        return self._members[place]._replace(score=float(aggregates[place]))

    def choose(self, generator: random.Random) -> Member:
        """A member drawn uniformly."""
        return self._members[int(generator.random() * len(self._members))]

    def add(self, member: Member) -> None:
        """Take a member in, and cut the population back when it has doubled."""
        self._members.append(member)
        if len(self._members) >= 2 * self.capacity:
            # A stable sort: of equal aggregates the older one comes first.
            survivors = np.argsort(-self._aggregates(), kind="stable")[: self.capacity]
            self._members = [self._members[place] for place in sorted(survivors)]

    def _aggregates(self) -> np.ndarray:
        return self._rule([member.scores for member in self._members])
