"""What is done with a candidate that meets the budgets on its value: latency if asked for, then the proxy."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import PlainNet
from gsnet.evolution.ensemble import scoring_proxies
from gsnet.evolution.extensions import Extensions
from gsnet.evolution.one_thread import one_thread
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.words import first_line
from gsnet.latency.device import TORCH, precision_of
from gsnet.latency.records import Conditions
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
    """Scores candidates of one search. Built from the settings and the proxies that only this search has."""

    def __init__(self, settings: SearchSettings, given: tuple[Proxy, ...] = ()) -> None:
        self._settings = settings
        self._scoring = scoring_settings(settings)
        self._given = {proxy.name: proxy for proxy in given}

    @cached_property
    def _proxies(self) -> tuple[Proxy, ...]:
        return tuple(self._given.get(name) or get_proxy(name) for name in scoring_proxies(self._settings))

    @cached_property
    def needs_torch(self) -> bool:
        """Whether modules are built: such candidates are scored within `one_thread`."""
        return self._settings.measures_latency or any(proxy.needs is not Needs.VALUE for proxy in self._proxies)

    def all(self, candidates: Iterable[tuple[Network, int]]) -> list[Scored]:
        """The results of networks, each with the seed of its random numbers."""
        if not self.needs_torch:
            return [self(network, seed) for network, seed in candidates]
        with one_thread:
            return [self(network, seed) for network, seed in candidates]

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
            return Scored(None, first_line(failure)[:300], latency, time.perf_counter() - start)
        return Scored(values[0], "", latency, time.perf_counter() - start, values if len(values) > 1 else ())


def measured_latency(settings: SearchSettings, network: Network) -> float:
    """Seconds an image on the search's device, on a processor with one thread; see `gsnet.latency.measurement`."""
    from gsnet.latency.measurement import measure_latency

    conditions = latency_conditions(settings)
    with one_thread:
        figures = measure_latency(
            network,
            batch_size=conditions.batch,
            resolution=conditions.resolution,
            num_classes=settings.num_classes,
            style=Style(settings.use_se, False, settings.no_BN),
            device=settings.device,
            half_precision=settings.fp16,
            backend=settings.latency_backend or TORCH,
        )
    return figures.median / conditions.batch


def latency_as_tables_have_it(settings: SearchSettings, network: Network) -> float:
    """The same as tables time their networks, the least of several rounds, to be compared with what a table predicts.

    A median would be longer wherever other programs share caches and memory. Raises LatencyError, RuntimesError.
    """
    from gsnet.latency.rounds import seconds_of_one
    from gsnet.latency.setting import Setting

    conditions, style = latency_conditions(settings), Style(settings.use_se, False, settings.no_BN)
    backend = settings.latency_backend or TORCH
    with one_thread:
        seconds = seconds_of_one(network, Setting(conditions, settings.num_classes, style, settings.device, backend))
    return seconds / conditions.batch


def latency_conditions(settings: SearchSettings) -> Conditions:
    """Batch, resolution and precision at which a search looks at latency."""
    usual = precision_of(settings.device, settings.fp16, settings.latency_backend or TORCH)
    precision = settings.latency_precision or usual
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
def _worker_scorer(settings: SearchSettings, extensions: Extensions) -> Scorer:
    extensions.install()
    return Scorer(settings, extensions.given)


def score_texts(
    settings: SearchSettings, extensions: Extensions, candidates: Sequence[tuple[str, int]]
) -> list[Scored]:
    """Score (structure, seed) pairs in whatever process this is: what travels is text in, figures out."""
    scorer = _worker_scorer(settings, extensions)
    try:
        return scorer.all((PlainNet.parse(structure), seed) for structure, seed in candidates)
    except Exception as error:
        told = travelling(error)
        if told is error:
            # Not as its own cause, which Dask's pickle would follow for ever.
            raise
        raise told from error


def travelling(error: Exception) -> Exception:
    """An error as another process can read it. One that it cannot would look there like the death of a worker."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
