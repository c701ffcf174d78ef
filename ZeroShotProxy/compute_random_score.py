"""Chance as a proxy: what a search under the same budgets finds without any knowledge."""

from __future__ import annotations

import random

from PlainNet import Network
from ZeroShotProxy.registry import Needs, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("Random", needs=Needs.VALUE)
def random_score(network: Network, context: ScoringContext) -> float:
    """A standard normal number that depends on the seed alone."""
    return random.Random(context.seed).gauss(0.0, 1.0)
