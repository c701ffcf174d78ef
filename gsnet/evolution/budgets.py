"""Budgets: what a candidate may cost, checked on its value, cheapest first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gsnet.evolution.compiled_costs import NOT_COUNTED, count
from PlainNet import Block, Network, Style
from PlainNet.block import PLAIN, Figures
from PlainNet.step_table import StepTable

# Blocks of one map size.
_LARGEST_CACHE = 20_000
# What a history can hold, with room for a classifier. A figure beyond it is over any budget that a machine could keep.
LARGEST_FIGURE = 2**62


class NetworkCosts(NamedTuple):
    """What one network costs: layers, then parameters, flops, memory access and the elements of its largest output
    of a convolution or linear layer.

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

    Each block is counted once for each map size: by compiled code where its layers have templates, otherwise by expansion.
    """

    def __init__(self, resolution: int, num_classes: int, style: Style = PLAIN) -> None:
        self.resolution = resolution
        self.num_classes = num_classes
        self.style = style
        self._table = StepTable(style)
        self._known: defaultdict[int, dict[str, Figures]] = defaultdict(dict)
        # Whoever makes a network asks for its costs, and then whoever judges it.
        self._latest: tuple[Network | None, NetworkCosts] = None, NetworkCosts(0, 0, 0, 0, 0)

    def costs(self, network: Network) -> NetworkCosts:
        """The network's costs, its classifier's included. What its blocks cost is `LARGEST_FIGURE` at most."""
        if network is self._latest[0]:
            return self._latest[1]
        size = self.resolution
        known = self._known[size]
        parameters = flops = memory_access = peak = 0
        for block in network.blocks:
            figures = known.get(block.key) or self._count(block, size)
            parameters += figures[0]
            flops += figures[1]
            memory_access += figures[2]
            if figures[3] > peak:
                peak = figures[3]
            if figures[4] != size:
                size = figures[4]
                known = self._known[size]
        # The classifier: a linear layer with bias on the pooled vector.
        width, classes, top = network.out_channels, self.num_classes, LARGEST_FIGURE
        weights = width * classes
        costs = NetworkCosts(
            network.layers,
            min(parameters, top) + weights + classes,
            min(flops, top) + weights,
            min(memory_access, top) + weights + width + classes,
            max(min(peak, top), classes),
        )
        self._latest = network, costs
        return costs

    def _count(self, block: Block, size: int) -> Figures:
        known = self._known[size]
        if len(known) > _LARGEST_CACHE:
            known.clear()
        call = self._table.template_call(block)
        figures = NOT_COUNTED
        if call:
            figures = count(np.frombuffer(bytearray(call)), self._table.rows, block.in_channels, size)
        if not figures[4]:
            figures = block.figures(size, self.style)
        known[block.key] = figures
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
