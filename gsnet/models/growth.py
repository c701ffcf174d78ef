"""How much the gradient of a network grows from its last map back to its first (docs/gradient_growth.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gsnet.interface.words import first_line
from PlainNet import Network, Style

if TYPE_CHECKING:
    from torch import nn


class Growth(NamedTuple):
    """The logarithm of growth, or why there is none."""

    value: float | None
    reason: str = ""


def growth_of_structure(network: Network, resolution: int, style: Style) -> Growth:
    """Growth in closed form; there is none without batch normalisation, and where a block has no closed form."""
    # Not needed for counting, and slow to import.
    from ZeroShotProxy import ProxyFailure, ScoringSettings, score

    settings = ScoringSettings(resolution, style=style, keep_links=not style.no_reslink)
    try:
        return Growth(score(network, "GradientGrowthClosedForm", settings))
    except ProxyFailure as error:
        return Growth(None, first_line(error))


def growth_of_module(module: nn.Module, resolution: int) -> Growth:
    """The same of any classifier, which is left as it was, by one backward pass of few images."""
    from ZeroShotProxy import ProxyFailure, ScoringSettings, score
    from ZeroShotProxy.compute_gradient_growth import IMAGES_OF_A_PASS

    try:
        return Growth(score(module, "GradientGrowth", ScoringSettings(resolution, IMAGES_OF_A_PASS)))
    # Some ask for labels in training mode by an assertion.
    except (ProxyFailure, AssertionError) as error:
        return Growth(None, first_line(error))
