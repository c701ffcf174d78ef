"""Zen-Score in closed form: mean-field theory in place of forward passes (docs/zen_closed_form.md)."""

from __future__ import annotations

import math
from functools import lru_cache

from PlainNet import Network, StructureError, Style
from PlainNet.mean_field import State, image_state
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext


class ClosedForm:
    """Expected scores of random networks, with caches of its own."""

    def __init__(self, resolution: int, gamma: float, batch_size: int, style: Style) -> None:
        self.resolution = resolution
        self.gamma = gamma
        self.batch_size = batch_size
        self.style = style

    def score(self, network: Network) -> float:
        state = self.last_state(network)
        return log_difference(state) + state.log_scale

    def perturbation(self, network: Network) -> float:
        return log_difference(self.last_state(network))

    def last_state(self, network: Network) -> State:
        state = image_state(self.resolution, self.gamma, network.in_channels)
        try:
            for block in network.blocks:
                state = block.mean_field(state, self.style)
        except StructureError as error:
            raise ProxyFailure(str(error)) from None
        return state


def log_difference(state: State) -> float:
    """log E sum |f(x) - f(x')| of the last map."""
    texture = state.texture
    total = 0.0
    for group in state.groups:
        change = max(0.0, group.variance - group.covariance)
        total += group.channels * math.sqrt(4 / math.pi * change)
    return math.log(total * state.size * state.size * texture.excess**-0.125)


@lru_cache(maxsize=8)
def _closed_form(resolution: int, gamma: float, batch_size: int, style: Style) -> ClosedForm:
    return ClosedForm(resolution, gamma, batch_size, style)


def _for(context: ScoringContext) -> ClosedForm:
    settings = context.settings
    return _closed_form(settings.resolution, settings.gamma, settings.batch_size, context.style)


@proxy("ZenClosedForm", needs=Needs.VALUE, keeps_links=False)
def zen_closed_form(network: Network, context: ScoringContext) -> float:
    """Mean of the Zen-Score over weights and images (Lin et al. 2021, algorithm 1). Larger is better."""
    return _for(context).score(network)


@proxy("PerturbationClosedForm", needs=Needs.VALUE)
def perturbation_closed_form(network: Network, context: ScoringContext) -> float:
    """Zen-Score without its BN sum: log of the mean absolute change of the last map. Larger is better."""
    return _for(context).perturbation(network)
