"""An evolution confined to a benchmark's own space, so that the accuracy of its winner can be looked up.

A search maximises, so what a proxy puts first matters more than how it orders random networks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import PlainNet
from benchmarks.report_scores import Scores
from gsnet.evolution.ensemble import EnsemblePopulation, Rule, log_rank_sums
from gsnet.evolution.population import Member, Population

# A population takes part by its scores alone; the network that a member carries is never looked at.
_NO_NETWORK = PlainNet.parse("SuperConvK1BNRELU(3,1,1,1)")
_PROPOSALS_BEFORE_GIVING_UP = 100


@dataclass(frozen=True)
class SearchPlan:
    """How far each search goes: networks scored, of which the first ones are random, and survivors."""

    networks: int = 64
    population: int = 16
    first: int = 10
    seeds: int = 20


@dataclass(frozen=True)
class Winners:
    """The winners of all seeds of one proxy, with their accuracies on each data set and how many networks were scored."""

    keys: tuple[str, ...]
    accuracies: dict[str, tuple[float, ...]]
    networks: int

    def mean(self, data_set: str) -> float:
        """Mean accuracy of the winners."""
        return fmean(self.accuracies[data_set])

    def spread(self, data_set: str) -> float:
        """Standard deviation of the winners' accuracies."""
        return stdev(self.accuracies[data_set]) if len(self.keys) > 1 else 0.0


def search_all_seeds(scores: Scores, proxies: Sequence[str], plan: SearchPlan, rule: Rule = log_rank_sums) -> Winners:
    """Winners of searches that maximise one proxy, or the rank aggregate of several."""
    keys = tuple(search(scores, proxies, plan, seed, rule) for seed in range(plan.seeds))
    accuracies = {name: tuple(table[key] for key in keys) for name, table in scores.benchmark.accuracies.items()}
    return Winners(keys, accuracies, plan.networks)


def search(scores: Scores, proxies: Sequence[str], plan: SearchPlan, seed: int, rule: Rule = log_rank_sums) -> str:
    """The network that one search ends with.

    The loop of evolution_search.py: random networks first, then mutations of uniformly drawn parents, the worst one out. Each
    network counts once, and its score does not change from one search to the next.
    """
    generator = random.Random(seed)
    population: Population | EnsemblePopulation
    population = Population(plan.population) if len(proxies) == 1 else EnsemblePopulation(plan.population, rule)
    tried: list[str] = []
    for iteration in range(plan.networks):
        key = _new_key(scores, population, plan, tried, generator)
        tried.append(key)
        values = tuple(scores.entry(key, proxy).score for proxy in proxies)
        population.add(Member(values[0], iteration, _NO_NETWORK, (), values))
    return tried[_best(population).iteration]


def _new_key(
    scores: Scores,
    population: Population | EnsemblePopulation,
    plan: SearchPlan,
    tried: list[str],
    generator: random.Random,
) -> str:
    for _ in range(_PROPOSALS_BEFORE_GIVING_UP):
        if len(tried) < plan.first:
            key = scores.benchmark.random_key(generator)
        else:
            key = scores.benchmark.mutate(tried[population.choose(generator).iteration], generator)
        if key not in tried:
            return key
    return key


def _best(population: Population | EnsemblePopulation) -> Member:
    if isinstance(population, EnsemblePopulation):
        best = population.best
    else:
        best = max(population.members, key=lambda member: (member.score, -member.iteration), default=None)
    if best is None:
        raise ValueError("a search without candidates has no winner")
    return best
