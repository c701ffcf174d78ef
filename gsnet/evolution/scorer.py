"""What is done with a candidate that meets the budgets on its value: latency if asked for, then the proxy."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import PlainNet
from gsnet.evolution.ensemble import scoring_proxies
from gsnet.evolution.settings import SearchSettings
from gsnet.latency.device import precision_of
from gsnet.latency.table import Conditions
from PlainNet import Network, Style
from ZeroShotProxy import Needs, Proxy, ProxyFailure, ScoringSettings, get_proxy
from ZeroShotProxy.scoring import score


@dataclass(frozen=True, slots=True)
class Scored:
    """The result of scoring: `score` is None when the candidate failed (`reason` says why) or is too slow ("latency").

    scores: of every proxy of an ensemble, of which `score` is the first.
    """

    score: float | None
    reason: str
    latency: float | None
    seconds: float
    scores: tuple[float, ...] = ()


class Scorer:
    """Scores candidates of one search. Built from the settings alone, so any process can build the same one."""

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self._scoring = scoring_settings(settings)

    @cached_property
    def _proxies(self) -> tuple[Proxy, ...]:
        proxies = tuple(get_proxy(name) for name in scoring_proxies(self._settings))
        if any(proxy.needs is not Needs.VALUE for proxy in proxies):
            import torch

            # One thread for each process: sums come out the same in the last bit whatever the number of workers.
            torch.set_num_threads(1)
        return proxies

    def __call__(self, network: Network, seed: int) -> Scored:
        """Measure and score one network with random numbers of its own."""
        proxies = self._proxies
        start = time.perf_counter()
        latency = None
        try:
            if self._settings.measures_latency:
                latency = measured_latency(self._settings, network)
                if latency > (self._settings.budget_latency or math.inf):
                    return Scored(None, "latency", latency, time.perf_counter() - start)
            values = tuple([score(network, proxy, self._scoring, seed) for proxy in proxies])
        except ProxyFailure as failure:
            return Scored(None, str(failure).splitlines()[0][:300], latency, time.perf_counter() - start)
        return Scored(values[0], "", latency, time.perf_counter() - start, values if len(values) > 1 else ())


def measured_latency(settings: SearchSettings, network: Network, precision: float = 0.0) -> float:
    """Seconds an image on the search's device, on a processor with one thread; see `gsnet.latency.measurement`."""
    import torch

    from gsnet.latency.measurement import measure_latency

    torch.set_num_threads(1)
    conditions = latency_conditions(settings)
    return (
        measure_latency(
            network,
            batch_size=conditions.batch,
            resolution=conditions.resolution,
            num_classes=settings.num_classes,
            style=Style(settings.use_se, False, settings.no_BN),
            device=settings.device,
            half_precision=settings.fp16,
            precision=precision,
        ).median
        / conditions.batch
    )


def latency_conditions(settings: SearchSettings) -> Conditions:
    """Batch, resolution and precision at which a search looks at latency."""
    precision = settings.latency_precision or precision_of(settings.device, settings.fp16)
    return Conditions(precision, settings.latency_batch_size, settings.latency_resolution or settings.input_image_size)


def scoring_settings(settings: SearchSettings) -> ScoringSettings:
    """The proxy's part of a search's settings."""
    return ScoringSettings(
        resolution=settings.input_image_size,
        batch_size=settings.batch_size,
        num_classes=settings.num_classes,
        gamma=settings.gamma,
        device=settings.device,
        keep_links=settings.keep_links,
        style=Style(use_se=settings.use_se, no_BN=settings.no_BN),
    )


@lru_cache(maxsize=4)
def _worker_scorer(settings: SearchSettings) -> Scorer:
    return Scorer(settings)


def score_texts(settings: SearchSettings, candidates: Sequence[tuple[str, int]]) -> list[Scored]:
    """Score (structure, seed) pairs in whatever process this is: what travels is text in, figures out."""
    scorer = _worker_scorer(settings)
    return [scorer(PlainNet.parse(structure), seed) for structure, seed in candidates]
