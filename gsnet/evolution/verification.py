"""Checking a closed-form winner: the best candidates re-scored by forward passes."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

import PlainNet
from gsnet.evolution.history import History, Row
from gsnet.evolution.scorer import scoring_settings
from gsnet.interface.files import written_whole
from gsnet.latency.progress import progress
from PlainNet import Network
from ZeroShotProxy import ProxyFailure, RepeatedScore, ScoringSettings, score

log = logging.getLogger(__name__)
VERIFIED = "verified.csv"
_SEEDS = range(24)
_PROXY = "Zen"


@dataclass(frozen=True)
class Verified:
    """A candidate and its Monte-Carlo Zen-Score over independent weights and images; None where it cannot be computed."""

    row: Row
    monte_carlo: RepeatedScore | None


def verify_top(folder: Path, history: History, count: int) -> list[Verified]:
    """Re-score the `count` best candidates by Monte-Carlo Zen, and write them to verified.csv."""
    settings = history.settings
    scoring = replace(scoring_settings(settings), keep_links=bool(settings.keep_links))
    verified = []
    best = history.best(count)
    # It takes minutes. A program that does not listen to the log has no bar either.
    quiet = not log.isEnabledFor(logging.INFO)
    with progress(len(best) * len(_SEEDS), 0, f"re-scoring the best by {_PROXY}", quiet, "score") as bar:
        for row in best:
            result = None
            try:
                result = _scored(PlainNet.parse(row.structure), scoring, bar)
            except ProxyFailure as failure:
                log.warning("iteration %d cannot be verified: %s", row.iteration, failure)
            verified.append(Verified(row, result))
    _write(folder / VERIFIED, verified)
    return verified


def _scored(network: Network, settings: ScoringSettings, bar: tqdm) -> RepeatedScore:
    """Scores over all seeds, each a step of the bar. Raises ProxyFailure."""
    scores = []
    for seed in _SEEDS:
        scores.append(score(network, _PROXY, settings, seed))
        bar.update()
    return RepeatedScore.of(scores)


def _write(path: Path, verified: list[Verified]) -> None:
    with written_whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("iteration", "score", "zen_mean", "zen_std", "seeds", "structure"))
        for row, monte_carlo in ((v.row, v.monte_carlo) for v in verified):
            figures = (monte_carlo.mean, monte_carlo.std, len(monte_carlo.scores)) if monte_carlo else ("", "", 0)
            table.writerow((row.iteration, row.score, *figures, row.structure))
