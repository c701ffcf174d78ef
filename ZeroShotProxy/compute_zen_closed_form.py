"""Zen-Score in closed form: mean-field theory in place of forward passes (docs/zen_closed_form.md)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from PlainNet import Block, Network, StructureError, Style
from PlainNet.mean_field import STEP_WIDTH, Steps
from ZeroShotProxy.mean_field_machine import FAILURES, prepare, run
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext

WITHOUT_LINKS = Style(no_reslink=True)
# Blocks whose steps are remembered: at most some 10 kB each, 1 to 2 kB as a rule.
LARGEST_CACHE = 20_000


class ClosedForm:
    """Expected scores of random networks, for one way of scoring; it remembers the steps of the blocks it has met.

    resolution: of the images, at least 1. gamma: the perturbation's size. style: links, squeeze-and-excitation, BN. The same
    network always gets the same score, whatever was scored before.
    """

    def __init__(self, resolution: int = 32, gamma: float = 1e-2, style: Style = WITHOUT_LINKS) -> None:
        if resolution < 1 or not gamma > 0:
            raise ValueError(f"resolution is {resolution} and gamma {gamma}; both must be positive")
        self.resolution = resolution
        self.gamma = gamma
        self.style = style
        self._steps: dict[str, Steps] = {}
        prepare()

    def score(self, network: Network) -> float:
        """Expected Zen-Score. Raises ProxyFailure where a block has no mean-field rule."""
        perturbation, scale = self.parts(network)
        return perturbation + scale

    def parts(self, network: Network) -> tuple[float, float]:
        """Its two terms: log sum |f(x) - f(x')|, and the sum over BN layers of log sqrt(running variance)."""
        remembered = self._steps
        try:
            steps = b"".join([remembered[block.text] for block in network.blocks])
        except KeyError:
            steps = b"".join([self._steps_of(block) for block in network.blocks])
        rows = np.frombuffer(steps).reshape(-1, STEP_WIDTH)
        failure, perturbation, scale = run(rows, self.resolution, self.gamma, network.blocks[0].in_channels)
        if failure:
            raise ProxyFailure(f"{network}: {FAILURES[failure]}")
        return perturbation, scale

    def _steps_of(self, block: Block) -> Steps:
        steps = self._steps.get(block.text)
        if steps is None:
            if len(self._steps) >= LARGEST_CACHE:
                self._steps.clear()
            try:
                steps = block.mean_field(self.style)
            except StructureError as error:
                raise ProxyFailure(str(error)) from None
            self._steps[block.text] = steps
        return steps


@lru_cache(maxsize=8)
def _closed_form(resolution: int, gamma: float, style: Style) -> ClosedForm:
    return ClosedForm(resolution, gamma, style)


def _for(context: ScoringContext) -> ClosedForm:
    settings = context.settings
    return _closed_form(settings.resolution, settings.gamma, context.style)


@proxy("ZenClosedForm", needs=Needs.VALUE, keeps_links=False)
def zen_closed_form(network: Network, context: ScoringContext) -> float:
    """Mean of the Zen-Score over weights and images (Lin et al. 2021, algorithm 1). Larger is better."""
    return _for(context).score(network)


@proxy("PerturbationClosedForm", needs=Needs.VALUE)
def perturbation_closed_form(network: Network, context: ScoringContext) -> float:
    """Zen-Score without its BN sum: log of the mean absolute change of the last map. Larger is better."""
    return _for(context).parts(network)[0]
