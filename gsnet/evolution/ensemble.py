"""Survival by several proxies at once: each ranks the population, and the ranks are added up.

Proxies have scales that cannot be compared, but every one of them orders a population. The sum of the logarithms of the ranks
(Lee and Ham 2024, AZ-NAS, section 3.3) is low for a network that any one proxy puts near the bottom, which a search that
maximises a single proxy does not notice. TE-NAS (Chen et al. 2021, section 3.3) adds up the ranks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gsnet.evolution.population import CutPopulation, Member
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.options import InputError
from PlainNet import Network

ENSEMBLE = "Ensemble"
TE_NAS, TE_NAS_TERMS = "TE-NAS", ("TE-NAS-NTK", "TE-NAS-LR")
# Published sums of log ranks, which are asked for by one name: AZ-NAS (Lee and Ham 2024, section 3.3) and the aggregate of
# VKDNW (Tybl and Neumann 2025).
NAMED_ENSEMBLES = {
    "AZ-NAS": ("Flops", "AZ-NAS-Expressivity", "AZ-NAS-Progressivity", "AZ-NAS-Trainability"),
    "VKDNW-Aggregate": ("Flops", "VKDNW", "Jacov", "AZ-NAS-Expressivity", "AZ-NAS-Trainability"),
}
# What an ensemble joins of which no members are named; docs/ensemble_choice.md says how they were chosen.
DEFAULT_MEMBERS = ("Params", "ZenClosedForm", "NASWOT")
# What puts given networks in order, where all of them count and not the first alone (docs/network_order.md).
ORDERING_MEMBERS = ("PerturbationClosedForm", "GrowthMarginClosedForm", "MeCo", "SWAP", "Syncflow-log")
# Replaying survival needs the members' scores alone.
_NO_NETWORK = Network.trusted(())

Table = Sequence[Sequence[float]] | np.ndarray


class Rule(Protocol):
    """How the ranks of several proxies become one score."""

    def __call__(self, scores: Table, reference: Table | None = None) -> np.ndarray: ...


class Aggregate(NamedTuple):
    """What a search ranks by: the names of the proxies, and the rule that joins their ranks."""

    members: tuple[str, ...]
    rule: Rule


def refuse_ensembles(names: Iterable[str]) -> None:
    """Raises InputError for a name that ranks a population, where single networks are to be scored."""
    for name in names:
        if name in (ENSEMBLE, *NAMED_ENSEMBLES):
            members = ", ".join(NAMED_ENSEMBLES.get(name, ())) or "those of --ensemble"
            raise InputError(
                f"{name} ranks networks among each other by several proxies ({members}): give it to "
                "evolution_search.py or compare.py, or one of those proxies to this script"
            )


def aggregate_of(settings: SearchSettings) -> Aggregate | None:
    """The aggregate by which a search ranks; None where a single proxy scores.

    TE-NAS is the sum of its two terms' ranks, unless survival is by several objectives, which need one figure a network.
    """
    if settings.zero_shot_score == ENSEMBLE:
        return Aggregate(settings.ensemble, log_rank_sums)
    if settings.zero_shot_score in NAMED_ENSEMBLES:
        return Aggregate(NAMED_ENSEMBLES[settings.zero_shot_score], log_rank_sums)
    if settings.zero_shot_score == TE_NAS and settings.objectives == ("score",):
        return Aggregate(TE_NAS_TERMS, rank_sums)
    return None


def scoring_proxies(settings: SearchSettings) -> tuple[str, ...]:
    """The names of the proxies that score a candidate."""
    aggregate = aggregate_of(settings)
    return aggregate.members if aggregate else (settings.zero_shot_score,)


def log_rank_sums(scores: Table, reference: Table | None = None) -> np.ndarray:
    """The aggregate of each network of a population: the sum over proxies of log(rank / size). Larger is better, at most 0.

    scores: one row a network, one column a proxy, larger is better in each. The best network has rank `size`, equal
    scores share their mean rank, and minus infinity, for a network without a score, is a score below all others.
    reference: the population, where it is not the networks themselves; between two of its members a network has the rank
    between theirs, so a network above them all is at slightly more than 0.
    """
    return np.log(_rank_shares(scores, reference)).sum(axis=1)


def rank_sums(scores: Table, reference: Table | None = None) -> np.ndarray:
    """As `log_rank_sums`, with the sum over proxies of rank / size: at most the number of proxies."""
    return _rank_shares(scores, reference).sum(axis=1)


def _rank_shares(scores: Table, reference: Table | None) -> np.ndarray:
    table = _checked(scores)
    population = table if reference is None else _checked(reference)
    shares = np.empty_like(table)
    for column, values in enumerate(table.T):
        ordered = np.sort(population[:, column])
        ranks = (ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1) / 2
        shares[:, column] = ranks / max(1, len(ordered))
    return shares


def _checked(scores: Table) -> np.ndarray:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError("an ensemble ranks a table with one row for each network, and all rows of the same length")
    if np.isnan(table).any():
        raise ValueError("a score that is not a number has no rank")
    return table


def last_population(scores: Iterable[tuple[float, ...]], capacity: int, rule: Rule) -> list[tuple[float, ...]]:
    """The scores of those who are left when networks with these scores have entered a population one by one."""
    population = EnsemblePopulation(capacity, rule)
    for iteration, row in enumerate(scores):
        population.add(Member(row[0], iteration, _NO_NETWORK, (), row))
    return [member.scores for member in population.members]


class EnsemblePopulation(CutPopulation):
    """Members carry the score of every proxy (`Member.scores`), and survivors are those with the best aggregate among the
    members of the moment, the oldest among equals.

    A newcomer costs O(proxies x log capacity) on average. The same members in the same order always leave the same population,
    so a search that is taken up again replays it.
    """

    def __init__(self, capacity: int, rule: Rule = log_rank_sums) -> None:
        super().__init__(capacity)
        self._rule = rule

    @property
    def members(self) -> tuple[Member, ...]:
        """All members in order of iteration, each with its aggregate as its score."""
        aggregates = self._aggregates().tolist()
        return tuple([m._replace(score=score) for m, score in zip(self._members, aggregates, strict=True)])

    @property
    def scores(self) -> list[float]:
        """The aggregates of all members, in the same order."""
        return self._aggregates().tolist() if self._members else []

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

    def foremost(self, count: int) -> list[Member]:
        """The members with the best aggregates, the oldest first among equals, each with its own score."""
        order = np.argsort(-self._aggregates(), kind="stable")[:count]
        return [self._members[place] for place in order.tolist()]

    def _survivors(self) -> list[Member]:
        # A stable sort: of equal aggregates the older one comes first.
        survivors = np.argsort(-self._aggregates(), kind="stable")[: self.capacity]
        return [self._members[place] for place in sorted(survivors)]

    def _aggregates(self) -> np.ndarray:
        return self._rule([member.scores for member in self._members]) if self._members else np.empty(0)
