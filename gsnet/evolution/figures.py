"""Figures beside a network's costs that this package works out from its value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from gsnet.evolution.functions import Figure
from gsnet.evolution.settings import GROWTH, IN_BYTES, KNOWN_FIGURES, PEAK_MEMORY, WEIGHTS, SearchError, SearchSettings
from PlainNet import Network, StructureError, Style
from PlainNet.memory import Memory, MemoryModel

_LOG = logging.getLogger(__name__)


def known_figures(settings: SearchSettings) -> dict[str, Figure]:
    """What works out the known figures among those of a search, by name. Raises SearchError."""
    figures: dict[str, Figure] = {}
    if GROWTH in settings.figures:
        figures[GROWTH] = gradient_growth(settings)
    if set(IN_BYTES) & set(settings.figures):
        figures |= memory_figures(settings)
    return figures


def figure_settings(
    limits: Mapping[str, float | None], objectives: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Known figures that options ask for, and their limits. limits: by the figures' names, None where there is none."""
    given = tuple((name, limit) for name in KNOWN_FIGURES if (limit := limits.get(name)) is not None)
    return tuple(name for name in KNOWN_FIGURES if name in dict(given) or name in objectives), given


def figure_number(name: str, value: object) -> float:
    """What a function says of a network, as a number. Raises SearchError for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SearchError(f"{name} of a network is {value!r:.60}, which is no number") from None


def gradient_growth(settings: SearchSettings) -> Figure:
    """Growth of the gradient in the network as it is trained, residual links included. Raises SearchError."""
    from ZeroShotProxy import ProxyFailure
    from ZeroShotProxy.gradient_growth import GradientGrowth

    if settings.no_BN:
        raise SearchError("--budget_growth is of networks with batch normalisation: leave --no_BN out")
    if settings.use_se:
        _LOG.warning(
            "growth in closed form is a tenth off with squeeze-and-excitation, at worst a third: winners near a limit may be "
            "above it (docs/gradient_growth.md)"
        )
    style = Style(use_se=settings.use_se)
    closed_form = GradientGrowth(settings.input_image_size, style)
    by_passes = _growth_by_passes(settings.input_image_size, style)

    def growth(network: Network) -> float:
        try:
            return closed_form.growth(network)
        except ProxyFailure as failure:
            return by_passes(network, str(failure))

    return growth


def _growth_by_passes(resolution: int, style: Style) -> Callable[[Network, str], float]:
    """Growth of a network that has none in closed form, for a reason, such as one with a block that makes its own layers."""
    from ZeroShotProxy import ProxyFailure, ScoringSettings, score
    from ZeroShotProxy.compute_gradient_growth import IMAGES_OF_A_PASS

    settings = ScoringSettings(resolution, IMAGES_OF_A_PASS, style=style)
    told: set[str] = set()

    def growth(network: Network, why: str) -> float:
        if not told:
            told.add(why)
            _LOG.warning(
                "growth is measured by backward passes, on one draw of weights, where it has no closed form: %s", why
            )
        try:
            return score(network, "GradientGrowth", settings)
        except ProxyFailure as failure:
            raise SearchError(f"--budget_growth: {why}; by a backward pass: {failure}") from None

    return growth


def memory_figures(settings: SearchSettings) -> dict[str, Figure]:
    """Bytes of maps that live at once, and of weights, in the network as it is deployed for one image."""
    precision = settings.memory_precision
    style = Style(use_se=settings.use_se, no_BN=settings.no_BN)
    model = MemoryModel(settings.input_image_size, settings.num_classes, style)

    def memory(network: Network) -> Memory:
        try:
            return model.memory(network)
        except StructureError as failure:
            raise SearchError(str(failure)) from None

    return {
        PEAK_MEMORY: lambda network: memory(network).peak_bytes(precision),
        WEIGHTS: lambda network: memory(network).weight_bytes(precision),
    }
