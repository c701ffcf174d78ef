"""How well an order of networks agrees with their trained accuracies, over all of them and at the top."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

CONFIDENCE = 0.95
TOP = 0.01

Statistic = Callable[[np.ndarray, np.ndarray], float]


class Interval(NamedTuple):
    """A figure and its bootstrap interval over networks; low and high are None for the whole of a benchmark."""

    value: float
    low: float | None = None
    high: float | None = None


def spearman(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """Spearman's rank correlation; equal scores share their mean rank. 0 where all scores are equal."""
    return 0.0 if np.ptp(rankdata(scores)) == 0 else float(spearmanr(rankdata(scores), accuracies).statistic)


def kendall(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """Kendall's tau-b. 0 where all scores are equal."""
    return 0.0 if np.ptp(rankdata(scores)) == 0 else float(kendalltau(rankdata(scores), accuracies).statistic)


def bootstrap(statistic: Statistic, scores: np.ndarray, accuracies: np.ndarray, resamples: int = 500) -> Interval:
    """The statistic and its percentile interval over networks drawn with replacement (Efron 1979)."""
    generator = np.random.default_rng(0)
    draws = [generator.integers(len(scores), size=len(scores)) for _ in range(resamples)]
    figures = [statistic(scores[draw], accuracies[draw]) for draw in draws]
    low, high = np.quantile(figures, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(statistic(scores, accuracies), float(low), float(high))


def ndcg(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """Normalised discounted cumulative gain of the whole order (Järvelin and Kekäläinen 2002).

    The gain is the accuracy above the worst one as a share of the range, the discount log2(1 + place). Networks of equal score
    share the mean of their gains.
    """
    spread = np.ptp(accuracies)
    if spread == 0:
        return 1.0
    gains = (accuracies - accuracies.min()) / spread
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    return float(expected_order(scores, gains) @ discounts / (np.sort(gains)[::-1] @ discounts))


def top_accuracy(scores: np.ndarray, accuracies: np.ndarray, share: float = TOP) -> float:
    """Mean accuracy of the best-scored `share` of networks, at least one."""
    return float(expected_order(scores, accuracies)[: max(1, round(share * len(scores)))].mean())


def argmax_accuracy(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """Accuracy of the best-scored network."""
    return float(expected_order(scores, accuracies)[0])


def expected_order(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in order of falling score; networks of equal score each take the mean value among them."""
    _, group = np.unique(scores, return_inverse=True)
    means = np.bincount(group, values) / np.bincount(group)
    return means[np.sort(group)[::-1]]
