"""The rows of the report: what every proxy and every aggregate of proxies is worth on a benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, stdev

import numpy as np

from benchmarks.report_scores import Scores
from benchmarks.report_search import SearchPlan, search_all_seeds
from benchmarks.report_statistics import (
    Interval,
    argmax_accuracy,
    bootstrap,
    kendall,
    ndcg,
    spearman,
    top_accuracy,
)
from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES, TE_NAS, TE_NAS_TERMS, Rule, log_rank_sums, rank_sums

CLOSED_FORMS = {"Zen": "ZenClosedForm", "Perturbation": "PerturbationClosedForm"}
SAMPLE, WHOLE = "sample", "all"
# Networks a search scores where a score takes a second or so.
SHORT_SEARCHES: dict[str, int | None] = {"TE-NAS-NTK": 24, "TE-NAS": 24}
_FEWEST_FOR_SPREAD = 10


@dataclass(frozen=True)
class Candidate:
    """What is judged: one proxy, or several with the rule that joins their ranks, on at most `networks` of a sample."""

    name: str
    members: tuple[str, ...]
    networks: int
    rule: Rule | None = None

    def table(self, scores: Scores, keys: Sequence[str], seed: int = 0) -> np.ndarray:
        """The members' scores of networks: (networks, members)."""
        return np.array([[scores.entry(key, member, seed).score for member in self.members] for key in keys])

    def joined(self, table: np.ndarray) -> np.ndarray:
        """One score a network from those of the members; an aggregate is taken among these networks."""
        return self.rule(table) if self.rule else table[:, 0]

    def values(self, scores: Scores, keys: Sequence[str], seed: int = 0) -> np.ndarray:
        """Scores of networks; an aggregate is taken among these."""
        return self.joined(self.table(scores, keys, seed))

    def covered(self, scores: Scores) -> bool:
        """Whether the scores of all networks of the benchmark are known."""
        return all(scores.covers(member) for member in self.members)


@dataclass(frozen=True)
class CorrelationRow:
    """How a candidate's order agrees with trained accuracies. Accuracies and `best` (of these networks) in percent."""

    benchmark: str
    data_set: str
    proxy: str
    scope: str
    networks: int
    spearman: Interval
    kendall: Interval
    seed_spread: float | None
    ndcg: float
    top: float
    argmax: float
    best: float
    milliseconds: float
    failures: str


@dataclass(frozen=True)
class SearchRow:
    """Accuracy of the winners of searches that maximise a candidate; regret is the distance to the benchmark's optimum."""

    benchmark: str
    data_set: str
    proxy: str
    seeds: int
    networks: int
    mean: float
    std: float
    worst: float
    regret: float


def candidates(limits: Mapping[str, int], ensemble: Sequence[str]) -> list[Candidate]:
    """The proxies, the published aggregates whose members are among them, and the ensemble where all its members are.

    limits: how many networks of the sample each proxy scores; an aggregate has those that all its members have. Where the
    closed form of a member is at hand it takes the member's part.
    """
    ensemble = [CLOSED_FORMS[m] if CLOSED_FORMS.get(m) in limits else m for m in ensemble]
    found = [Candidate(proxy, (proxy,), limit) for proxy, limit in limits.items()]
    published = [(name, members, log_rank_sums) for name, members in NAMED_ENSEMBLES.items()]
    aggregates = [(TE_NAS, TE_NAS_TERMS, rank_sums), *published, (ENSEMBLE, tuple(ensemble), log_rank_sums)]
    for name, members, rule in aggregates:
        if members and set(members) <= set(limits):
            found.append(Candidate(name, members, min(limits[member] for member in members), rule))
    return found


def correlation_rows(
    scores: Scores,
    chosen: Sequence[Candidate],
    sample: Sequence[str],
    seeds: Sequence[int],
    seed_sample: int,
    resamples: int,
) -> Iterator[CorrelationRow]:
    """Rows over the sample; where all scores are known, over the whole benchmark and over the parts that others report on."""
    for candidate in chosen:
        keys = sample[: candidate.networks]
        spread = seed_spread(scores, candidate, keys[:seed_sample], seeds)
        yield from _rows(scores, candidate, keys, SAMPLE, spread, resamples)
        if candidate.covered(scores):
            for scope, part in ((WHOLE, scores.benchmark.keys), *scores.benchmark.parts.items()):
                yield from _rows(scores, candidate, part, scope, [None] * len(scores.benchmark.accuracies), 0)


def seed_spread(scores: Scores, candidate: Candidate, keys: Sequence[str], seeds: Sequence[int]) -> list[float | None]:
    """Standard deviation over seeds of Spearman's correlation, for each data set; the networks are the same for every seed."""
    tables = scores.benchmark.accuracies.values()
    if len(keys) < _FEWEST_FOR_SPREAD or len(seeds) < 2:
        return [None for _ in tables]
    orders = [candidate.values(scores, keys, seed) for seed in seeds]
    return [stdev(spearman(order, _accuracies(table, keys)) for order in orders) for table in tables]


def _rows(
    scores: Scores,
    candidate: Candidate,
    keys: Sequence[str],
    scope: str,
    spreads: Sequence[float | None],
    resamples: int,
) -> Iterator[CorrelationRow]:
    values = candidate.values(scores, keys)
    milliseconds = sum(1e3 * median(scores.entry(key, m).seconds for key in keys) for m in candidate.members)
    failed = {(key, reason) for key in keys for m in candidate.members if (reason := scores.entry(key, m).reason)}
    reasons = Counter(reason for _, reason in failed)
    for (data_set, table), spread in zip(scores.benchmark.accuracies.items(), spreads, strict=True):
        accuracies = _accuracies(table, keys)
        correlations = [
            bootstrap(s, values, accuracies, resamples) if resamples else Interval(s(values, accuracies))
            for s in (spearman, kendall)
        ]
        yield CorrelationRow(
            scores.benchmark.name,
            data_set,
            candidate.name,
            scope,
            len(keys),
            correlations[0],
            correlations[1],
            spread,
            ndcg(values, accuracies),
            top_accuracy(values, accuracies),
            argmax_accuracy(values, accuracies),
            float(accuracies.max()),
            milliseconds,
            "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common()),
        )


def search_plans(
    chosen: Sequence[Candidate], counts: Mapping[str, int | None] | None, networks: int, seeds: int
) -> list[tuple[Candidate, SearchPlan]]:
    """Who searches, and how far: those that `counts` names, over `networks` where it says None; all where it is None."""
    if not seeds:
        return []
    wanted = [c for c in chosen if counts is None or c.name in counts]
    lengths = SHORT_SEARCHES if counts is None else counts
    return [(c, SearchPlan(networks=lengths.get(c.name) or networks, seeds=seeds)) for c in wanted]


def search_rows(scores: Scores, candidate: Candidate, plan: SearchPlan) -> Iterator[SearchRow]:
    """Rows of one candidate's searches, one for each data set."""
    winners = search_all_seeds(scores, candidate.members, plan, candidate.rule or log_rank_sums)
    for data_set, table in scores.benchmark.accuracies.items():
        mean = winners.mean(data_set)
        yield SearchRow(
            scores.benchmark.name,
            data_set,
            candidate.name,
            plan.seeds,
            plan.networks,
            mean,
            winners.spread(data_set),
            min(winners.accuracies[data_set]),
            max(table.values()) - mean,
        )


def _accuracies(table: dict[str, float], keys: Sequence[str]) -> np.ndarray:
    return np.array([table[key] for key in keys])
