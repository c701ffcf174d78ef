"""What a search is made of, from its settings: population, budgets, costs, latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsnet.evolution.budgets import Budget, CostModel, PredictedLatency, make_budgets
from gsnet.evolution.ensemble import EnsemblePopulation, aggregate_of
from gsnet.evolution.population import Population
from gsnet.evolution.scorer import latency_conditions
from gsnet.evolution.settings import OBJECTIVES, SearchError, SearchSettings
from gsnet.evolution.survival import ParetoPopulation
from gsnet.latency.building import measure_missing
from gsnet.latency.predictor import LatencyModel, open_model
from PlainNet import Network, StructureError, Style
from SearchSpace.least_width import narrowest, narrowest_block, widened


def make_population(settings: SearchSettings) -> Population | ParetoPopulation | EnsemblePopulation:
    """Plain eviction of the lowest score, or survival by several objectives or several proxies."""
    aggregate = aggregate_of(settings)
    if aggregate:
        return EnsemblePopulation(settings.population_size, aggregate.rule)
    if settings.objectives == ("score",):
        return Population(settings.population_size)
    return ParetoPopulation(settings.population_size, settings.objectives, (*OBJECTIVES, *settings.figures))


def search_budgets(settings: SearchSettings) -> tuple[Budget, ...]:
    """The budgets that are checked on a network's value."""
    return make_budgets(settings.max_layers, settings.budget_model_size, settings.budget_flops, settings.budget_mac)


def cost_model(settings: SearchSettings) -> CostModel:
    """Counts what the deployed network costs: residual links are part of it, whatever the proxy leaves out."""
    style = Style(use_se=settings.use_se, no_BN=settings.no_BN)
    return CostModel(settings.input_image_size, settings.num_classes, style)


def predicted_latency(settings: SearchSettings) -> PredictedLatency | None:
    """What gives latencies from a table, where they are asked for and not measured. Raises LatencyError."""
    if not settings.watches_latency or settings.measures_latency:
        return None
    model = latency_model(settings)
    return PredictedLatency(model.seconds_per_image, settings.budget_latency)


def latency_model(settings: SearchSettings) -> LatencyModel:
    """The table's model under the search's conditions. Raises LatencyError."""
    conditions, measure = latency_conditions(settings), None
    if settings.measure_missing:
        measure = measure_missing(Path(settings.latency_table or ""), settings.device, conditions.precision)
    return open_model(
        settings.latency_table or "",
        settings.latency_source or "",
        conditions,
        num_classes=settings.num_classes,
        style=Style(use_se=settings.use_se, no_BN=settings.no_BN),
        measure=measure,
    )


def within_budgets(settings: SearchSettings, starts: Sequence[Network]) -> tuple[Network, ...]:
    """Those of the structures to start from that meet the budgets. Raises SearchError where none does, with what it breaks."""
    costs, budgets = cost_model(settings), search_budgets(settings)
    broken: dict[Network, list[str]] = {}
    for network in starts:
        figures = costs.costs(network)
        broken[network] = [
            f"{b.measure(figures):,.0f} {b.unit} where {b.option} allows {b.limit:,.0f}"
            for b in budgets
            if b.measure(figures) > b.limit
        ]
        if settings.min_width and narrowest(block := narrowest_block(network)) < settings.min_width:
            broken[network].append(
                f"a width of {narrowest(block)} in {block} where --min_width asks for {settings.min_width}"
            )
    fitting = tuple(network for network, reasons in broken.items() if not reasons)
    if starts and not fitting:
        which, whose = "The initial structure breaks", "it"
        if len(starts) > 1:
            which, whose = f"All {len(starts)} initial structures break", "the first"
        raise SearchError(
            f"{which} the budgets: {whose} has {' and '.join(broken[starts[0]])}{_wider(settings, starts[0])}"
        )
    return fitting


def _wider(settings: SearchSettings, start: Network) -> str:
    """What to start from in place of a structure that is too narrow, in words."""
    if not settings.min_width or narrowest(narrowest_block(start)) >= settings.min_width:
        return ""
    try:
        return f"; as wide as that it is {widened(start, settings.min_width)}"
    except StructureError:
        return ""
