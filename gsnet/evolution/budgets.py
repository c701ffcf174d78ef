"""Budgets: what a candidate may cost, checked on its value, cheapest first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gsnet.evolution.compiled_costs import count
from PlainNet import Block, Network, Style
from PlainNet.block import PLAIN, Figures
from PlainNet.step_table import StepTable

_LARGEST_CACHE = 100_000
# What a history can hold, with room for a classifier. A figure beyond it is over any budget that a machine could keep.
LARGEST_FIGURE = 2**62


class NetworkCosts(NamedTuple):
    """What one network costs: layers, then parameters, flops, memory access and the largest feature map in elements.

    `latency` is in seconds an image, and NaN where it is not known. figures: as in a row of the history.
    """

    layers: int
    parameters: int
    flops: int
    memory_access: int
    peak_feature_map: int
    latency: float = math.nan
    figures: str = ""


class CostModel:
    """Costs of many networks, at one resolution, as `Network.cost` counts them.

    Networks of super-blocks whose layers have templates are counted by compiled code. Of any others, each block is counted once
    for each map size.
    """

    def __init__(self, resolution: int, num_classes: int, style: Style = PLAIN) -> None:
        self.resolution = resolution
        self.num_classes = num_classes
        self.style = style
        self._table = StepTable(style)
        self._calls: dict[str, bytes] = {}
        self._known: dict[int, dict[str, Figures]] = {}
        # Whoever makes a network asks for its costs, and then whoever judges it.
        self._latest: tuple[Network | None, NetworkCosts] = None, NetworkCosts(0, 0, 0, 0, 0)

    def costs(self, network: Network) -> NetworkCosts:
        """The network's costs, its classifier's included."""
        if network is self._latest[0]:
            return self._latest[1]
        width, parameters, flops, memory_access, peak = self._counted_in_steps(network)
        if not width:
            width = network.out_channels
            parameters, flops, memory_access, peak = self._counted_in_blocks(network)
        # The classifier: a linear layer with bias on the pooled vector.
        classes = self.num_classes
        weights = width * classes
        costs = NetworkCosts(
            network.layers,
            parameters + weights + classes,
            flops + weights,
            memory_access + weights + width + classes,
            max(peak, classes),
        )
        self._latest = network, costs
        return costs

    def _counted_in_steps(self, network: Network) -> Figures:
        """Width of the last map, parameters, flops, memory access and largest map.

        All 0 where a layer has no template, or where the figures are beyond what compiled integers hold.
        """
        known = self._calls
        calls = [known[block.text] if block.text in known else self._call(block) for block in network.blocks]
        if not all(calls):
            return 0, 0, 0, 0, 0
        return count(b"".join(calls), self._table.rows, network.blocks[0].in_channels, self.resolution)

    def _call(self, block: Block) -> bytes:
        """Where the steps of the block are found; empty where its layers have no template."""
        if len(self._calls) > _LARGEST_CACHE:
            self._calls.clear()
        call = self._calls[block.text] = self._table.template_call(block) or b""
        return call

    def _counted_in_blocks(self, network: Network) -> tuple[int, int, int, int]:
        """Parameters, flops, memory access and largest map, each `LARGEST_FIGURE` at most."""
        size, known = self.resolution, self._known
        parameters = flops = memory_access = peak = 0
        for block in network.blocks:
            at_size = known.get(size)
            figures = at_size.get(block.text) if at_size else None
            if figures is None:
                figures = self._count(block, size)
            parameters += figures[0]
            flops += figures[1]
            memory_access += figures[2]
            if figures[3] > peak:
                peak = figures[3]
            size = figures[4]
        top = LARGEST_FIGURE
        return min(parameters, top), min(flops, top), min(memory_access, top), min(peak, top)

    def _count(self, block: Block, size: int) -> Figures:
        at_size = self._known.setdefault(size, {})
        if len(at_size) > _LARGEST_CACHE:
            at_size.clear()
        figures = block.figures(size, self.style)
        at_size[block.text] = figures
        return figures


class PredictedLatency:
    """Adds to costs the latency that a table gives for a network's value, for candidates within all other budgets."""

    name, option = "latency", "--budget_latency"

    def __init__(self, seconds_per_image: Callable[[Network], float], limit: float | None) -> None:
        self._seconds_per_image = seconds_per_image
        self.limit = math.inf if limit is None else limit

    def added_to(self, costs: NetworkCosts, network: Network) -> NetworkCosts:
        """The costs with the network's latency."""
        return costs._replace(latency=self._seconds_per_image(network))


@dataclass(frozen=True)
class Budget:
    """An upper limit. `option` is the flag that sets it, `unit` is for messages."""

    name: str
    option: str
    unit: str
    limit: float
    measure: Callable[[NetworkCosts], float]


_KNOWN_BUDGETS: dict[str, tuple[str, str, Callable[[NetworkCosts], float]]] = {
    "layers": ("--max_layers", "layers", lambda costs: costs.layers),
    "parameters": ("--budget_model_size", "parameters", lambda costs: costs.parameters),
    "flops": ("--budget_flops", "FLOPs", lambda costs: costs.flops),
    "memory access": ("--budget_mac", "elements of memory access", lambda costs: costs.memory_access),
}


def make_budgets(
    max_layers: int | None = None,
    budget_model_size: float | None = None,
    budget_flops: float | None = None,
    budget_mac: float | None = None,
) -> tuple[Budget, ...]:
    """The budgets that are set, in the order in which they are checked."""
    limits = dict(zip(_KNOWN_BUDGETS, (max_layers, budget_model_size, budget_flops, budget_mac), strict=True))
    return tuple(
        Budget(name, *_KNOWN_BUDGETS[name][:2], limit, _KNOWN_BUDGETS[name][2])
        for name, limit in limits.items()
        if limit is not None
    )


def first_exceeded(budgets: tuple[Budget, ...], costs: NetworkCosts) -> Budget | None:
    """The first budget that the costs exceed, or None."""
    for budget in budgets:
        if budget.measure(costs) > budget.limit:
            return budget
    return None
