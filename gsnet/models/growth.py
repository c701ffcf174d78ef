"""How much the gradient of a network grows from its last map back to its first (docs/gradient_growth.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PlainNet import Network, Style

if TYPE_CHECKING:
    from torch import nn


def growth_of_structure(network: Network, resolution: int, style: Style) -> float | None:
    """The logarithm of growth in closed form; None without batch normalisation, and where a block has no closed form."""
    # Not needed for counting, and slow to import.
    from ZeroShotProxy import ProxyFailure, ScoringSettings, score

    settings = ScoringSettings(resolution, style=style, keep_links=not style.no_reslink)
    try:
        return score(network, "GradientGrowthClosedForm", settings)
    except ProxyFailure:
        return None


def growth_of_module(module: nn.Module, resolution: int) -> float | None:
    """The same of any classifier, which is left as it was, by one backward pass of few images; None where it has none."""
    from ZeroShotProxy import ProxyFailure, ScoringSettings, score
    from ZeroShotProxy.compute_gradient_growth import IMAGES_OF_A_PASS

    try:
        return score(module, "GradientGrowth", ScoringSettings(resolution, IMAGES_OF_A_PASS))
    # Some ask for labels in training mode by an assertion.
    except (ProxyFailure, AssertionError):
        return None
