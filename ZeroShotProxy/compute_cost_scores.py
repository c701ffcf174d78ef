"""Costs as proxies: the baselines that every other proxy has to beat."""

from __future__ import annotations

from PlainNet import Network
from ZeroShotProxy.registry import Needs, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("Flops", needs=Needs.VALUE)
def flops_score(network: Network, context: ScoringContext) -> float:
    """Multiply-accumulates of convolutions and linear layers at the scoring resolution. Larger is better."""
    settings = context.settings
    return float(network.cost(settings.resolution, settings.num_classes, context.style).flops)


@proxy("Params", needs=Needs.VALUE)
def parameters_score(network: Network, context: ScoringContext) -> float:
    """Trainable parameters, the classifier's included. Larger is better."""
    settings = context.settings
    return float(network.cost(settings.resolution, settings.num_classes, context.style).parameters)
