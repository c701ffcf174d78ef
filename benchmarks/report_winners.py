"""The network that a proxy puts first among N scored ones, and whose fault it is that it is not the best of all.

N networks are drawn uniformly, as by a random search, and the proxy's favourite among them is looked up. An oracle that knows
all accuracies would take the best of the same N: what it loses is lost because too few networks were scored. The rest of the
regret is the proxy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from benchmarks.report_rows import Candidate
from benchmarks.report_scores import Scores

LENGTHS = (64, 300, 1_000, 3_000)
ORACLE, RANDOM = "Oracle", "Random"


@dataclass(frozen=True)
class WinnerRow:
    """Accuracy of the winners among `networks` drawn ones in percent: mean and deviation over seeds.

    too_few: from the benchmark's optimum to the mean of the oracle's winners; proxy_regret: from there to this mean.
    """

    benchmark: str
    data_set: str
    proxy: str
    networks: int
    seeds: int
    mean: float
    std: float
    too_few: float
    proxy_regret: float

    @property
    def regret(self) -> float:
        """How far the winners are from the benchmark's optimum."""
        return self.too_few + self.proxy_regret


def winner_rows(
    scores: Scores, chosen: Sequence[Candidate], seeds: int, lengths: Sequence[int] = LENGTHS
) -> Iterator[WinnerRow]:
    """Rows of an oracle, of every candidate whose scores of all networks are known, and of chance; by length and data set."""
    benchmark = scores.benchmark
    keys = benchmark.keys
    known = [c for c in chosen if c.name != RANDOM and c.covered(scores)]
    tables = [candidate.table(scores, keys) for candidate in known]
    accuracies = {name: np.array([table[key] for key in keys]) for name, table in benchmark.accuracies.items()}
    for count in (*(n for n in lengths if n < len(keys)), len(keys)):
        draws = _draws(len(keys), count, seeds)
        first = {
            candidate.name: [_first(candidate.joined(table[draw]), draw) for draw in draws]
            for candidate, table in zip(known, tables, strict=True)
        }
        for data_set, values in accuracies.items():
            best = [float(values[draw].max()) for draw in draws]
            winners = {ORACLE: best}
            winners |= {name: [float(values[found].mean()) for found in winner] for name, winner in first.items()}
            winners[RANDOM] = [float(values[draw].mean()) for draw in draws]
            too_few = float(values.max()) - fmean(best)
            for name, found in winners.items():
                mean, spread = fmean(found), stdev(found) if len(found) > 1 else 0.0
                identity = (benchmark.name, data_set, name, count, len(draws))
                yield WinnerRow(*identity, mean, spread, too_few, fmean(best) - mean)


def _first(scores: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """The networks with the best score of a draw; more than one where scores are equal, which share the mean accuracy."""
    return draw[scores == scores.max()]


def _draws(size: int, count: int, seeds: int) -> list[np.ndarray]:
    """Which networks are scored, by seed: the same for every proxy, and a shorter search is the beginning of a longer one."""
    if count == size:
        return [np.arange(size)]
    return [np.random.default_rng(seed).permutation(size)[:count] for seed in range(seeds)]
