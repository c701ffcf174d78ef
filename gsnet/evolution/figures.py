"""Figures beside a network's costs that this package works out from its value."""

from __future__ import annotations

from gsnet.evolution.functions import Figure
from gsnet.evolution.settings import GROWTH, SearchError, SearchSettings
from PlainNet import Network, Style


def known_figures(settings: SearchSettings) -> dict[str, Figure]:
    """What works out the known figures among those of a search, by name. Raises SearchError."""
    return {GROWTH: gradient_growth(settings)} if GROWTH in settings.figures else {}


def figure_settings(
    budget_growth: float | None, objectives: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Known figures that options ask for, and their limits."""
    limits = () if budget_growth is None else ((GROWTH, budget_growth),)
    return ((GROWTH,) if limits or GROWTH in objectives else ()), limits


def gradient_growth(settings: SearchSettings) -> Figure:
    """Growth of the gradient in the network as it is trained, residual links included. Raises SearchError."""
    from ZeroShotProxy import ProxyFailure
    from ZeroShotProxy.gradient_growth import GradientGrowth

    if settings.no_BN:
        raise SearchError("--budget_growth is of networks with batch normalisation: leave --no_BN out")
    closed_form = GradientGrowth(settings.input_image_size, Style(use_se=settings.use_se))

    def growth(network: Network) -> float:
        try:
            return closed_form.growth(network)
        except ProxyFailure as failure:
            raise SearchError(f"--budget_growth: {failure}") from None

    return growth
