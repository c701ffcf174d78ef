"""Perturbation: Zen's reaction to a small change of the input, without its BN term."""

from __future__ import annotations

from torch import nn

from ZeroShotProxy.compute_zen_score import perturbation_response
from ZeroShotProxy.registry import Needs, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("Perturbation", needs=Needs.MODULE)
def perturbation_score(network: nn.Module, context: ScoringContext) -> float:
    """log mean_batch sum |f(x) - f(x + gamma e)| over the last map before pooling. Larger is better.

    The first term of the Zen-Score (Lin et al. 2021, algorithm 1) by two forward passes with BN in training mode. Residual
    links stay, and BN scales are not added back: it compares the networks as they will be trained. Raises ProxyFailure where
    the perturbation does not reach the last map.
    """
    return perturbation_response(network, context)
