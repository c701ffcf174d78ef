"""A score over several seeds with the time that it takes."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import PlainNet
from PlainNet import Network
from ZeroShotProxy import PROXY_FILES, Needs, ProxyFailure, RepeatedScore, ScoringSettings, get_proxy, score

if TYPE_CHECKING:
    from torch import nn

_ONE_LAYER = "SuperConvK3BNRELU(3,8,1,1)"


@dataclass(frozen=True)
class TimedScore:
    """A score and the seconds that it took: of the first seed, and a seed of the others; of a single seed both are its own.

    The first takes longer: memory is asked for, kernels are chosen for the shapes of the network's maps, and a closed form
    works out what it keeps of a network.
    """

    result: RepeatedScore
    first_seconds: float
    seconds: float


def timed_score(network: Network | nn.Module, proxy: str, settings: ScoringSettings, seeds: range) -> TimedScore:
    """`ZeroShotProxy.repeated_score` with its times. Raises ProxyFailure."""
    scores, clock = [], [time.perf_counter()]
    for one in seeds:
        scores.append(score(network, proxy, settings, one))
        clock.append(time.perf_counter())
    first, others = clock[1] - clock[0], len(seeds) - 1
    return TimedScore(RepeatedScore.of(scores), first, (clock[-1] - clock[1]) / others if others else first)


def prepare(proxy: str, settings: ScoringSettings) -> None:
    """Do what a proxy of the package does once - load torch, load or compile a closed form - with a network of one layer.

    No figure: a network that it cannot score so is none of the user's.
    """
    if proxy not in PROXY_FILES:
        # A user's function is called for the user's networks alone.
        return
    if get_proxy(proxy).needs is not Needs.VALUE:
        # Layers are loaded, whatever the size of their maps; closed forms are made for one size.
        settings = replace(settings, resolution=min(settings.resolution, 32), batch_size=min(settings.batch_size, 2))
    with contextlib.suppress(ProxyFailure):
        score(PlainNet.parse(_ONE_LAYER), proxy, settings)
