"""Latency of a network value: a sum over its layers, in microseconds of computing and without torch.

A network's terms are the seconds of its dense convolutions, of its depth-wise ones and of everything between them, the number
of layers, and 1. What weights take besides, where layers were inferred, is between. Calibrated, the prediction is their sum
with fitted coefficients; uncalibrated, the sum of the first three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import weights_of
from gsnet.latency.layer import DEPTHWISE, REGULAR, Layer
from gsnet.latency.layer_times import LARGEST_MEMORY, LayerTimes
from gsnet.latency.layers import Listing, classifier_layers, list_layers
from gsnet.latency.records import Calibration, Conditions
from gsnet.latency.table import LatencyTable
from PlainNet import Block, Network, Style, SuperBlock
from PlainNet.block import made
from PlainNet.style import PLAIN
from PlainNet.super_blocks import layer_of

TERMS = ("dense", "depthwise", "between", "layers", "network")
UNCALIBRATED = (1.0, 1.0, 1.0, 0.0, 0.0)
# Of layers: the first four of these, and their weights.
Terms = tuple[float, float, float, float, float]
# Times a chain of layers, and returns and keeps what was missing of them; None for one that cannot run.
Measure = Callable[[Sequence[Layer], Collection[Layer]], Mapping[Layer, float | None]]
# A search measures a missing layer where interpolation is less certain than this.
UNCERTAIN = 0.2


class Prediction(NamedTuple):
    """Seconds for one batch, and the standard deviation of their logarithm (0.08: right within 8 % two times of three)."""

    seconds: float
    spread: float


class LatencyModel:
    """Predicts latencies of many networks that share blocks: the layers of a block are added up once for each map size.

    measure: times layers that the table lacks, in the chain of the network in which they are met, where interpolating
    them is less certain than `tolerance`; 0 measures all of them.
    """

    def __init__(
        self,
        table: LatencyTable,
        conditions: Conditions,
        *,
        num_classes: int,
        style: Style = PLAIN,
        calibration: Calibration | None = None,
        measure: Measure | None = None,
        tolerance: float = 0.0,
    ) -> None:
        self.conditions = conditions
        self.calibration = calibration
        self._fuses, self._rewrites, self._of_table = table.fuses, table.rewrites, table.warnings
        self._style = style
        self._num_classes = num_classes
        self._inferred = table.inferred(conditions)
        self._times = LayerTimes(table, conditions.precision, conditions.batch, self._inferred)
        if self._times.is_empty and measure is None:
            raise LatencyError(_nothing_measured(table, conditions.precision, conditions.batch))
        self._measure, self._tolerance = measure, tolerance
        self._coefficients = calibration.coefficients if calibration else UNCALIBRATED
        self._blocks: dict[tuple, tuple[float, float, int, bool]] = {}
        self._units: dict[tuple, tuple[Terms, int, bool]] = {}
        self._classifiers: dict[tuple[int, int], tuple[float, float]] = {}

    def seconds(self, network: Network) -> float:
        """Seconds for one batch. Raises LatencyError."""
        size, channels = self.conditions.resolution, network.in_channels
        total, weights, blocks = self._coefficients[-1], 0.0, self._blocks
        # Whether a convolution comes right before, in which a library may fold what follows.
        behind = False
        for block in network.blocks:
            known = blocks.get((block.key, channels, size, behind))
            if known is None:
                self._complete(network)
                known = self._block(block, channels, size, behind)
            total += known[0]
            weights += known[1]
            _, _, size, behind = known
            channels = channels if block.any_width else block.out_channels
        end = (channels, size)
        classifier = self._classifiers.get(end)
        if classifier is None:
            self._complete(network)
            layers = classifier_layers(*end, self.conditions.batch, self._num_classes)
            terms = self._terms_of(layers)
            classifier = self._classifiers[end] = self._weigh(terms), terms[-1]
        return total + classifier[0] + self._coefficients[2] * self._of_weights(weights + classifier[1])

    def seconds_per_image(self, network: Network) -> float:
        """`seconds` divided by the batch size: the unit of budgets."""
        return self.seconds(network) / self.conditions.batch

    def predict(self, network: Network) -> Prediction:
        """Seconds for one batch with an error bar: the calibration's leave-one-out spread and the interpolation's own."""
        seconds = self.seconds(network)
        layers = self.layers(network)
        errors = [self._times.seconds(layer) * self._times.spread(layer) for layer in layers]
        interpolation = math.sqrt(sum(error**2 for error in errors)) / max(sum(map(self._times.seconds, layers)), 1e-12)
        fitted = self.calibration.spread if self.calibration else 0.0
        return Prediction(seconds, math.hypot(fitted, interpolation))

    @property
    def beyond_timed(self) -> str:
        """A sentence where the number of classes lies beyond the table's classifiers; empty where it does not."""
        classes = self._times.classes
        if not classes:
            return "the table has no classifier, whose weights are left out"
        if classes[0] <= self._num_classes <= classes[-1]:
            return ""
        timed = str(classes[0]) if len(classes) == 1 else f"{classes[0]} to {classes[-1]}"
        return f"a classifier of {self._num_classes} is worked out from those of {timed} classes and from convolutions' weights"

    def warnings(self) -> list[str]:
        """What is to be known of all predictions, in sentences."""
        return [*self._of_table, *([self.beyond_timed] if self.beyond_timed else [])]

    def layers(self, network: Network) -> list[Layer]:
        """The network's layers in order."""
        return list_layers(
            network,
            batch=self.conditions.batch,
            resolution=self.conditions.resolution,
            num_classes=self._num_classes,
            style=self._style,
            fuses=self._fuses,
            rewrites=self._rewrites,
        )

    def terms(self, network: Network) -> tuple[float, ...]:
        """The network's terms, in the order of TERMS."""
        dense, depthwise, between, layers, weights = self._terms_of(self.layers(network))
        return dense, depthwise, between + self._of_weights(weights), layers, 1.0

    def _complete(self, network: Network) -> None:
        """Measure what the table lacks of a network, if it may be measured."""
        if self._measure is None:
            return
        chain = self.layers(network)
        missing = {layer for layer in chain if self._times.is_missing(layer, self._tolerance)}
        if missing:
            self._times.add(self._measure(chain, missing))

    def _block(self, block: Block, channels: int, size: int, behind: bool) -> tuple[float, float, int, bool]:
        """Seconds and weights of a block, the size of its output, and whether it ends with a convolution."""
        if len(self._blocks) > LARGEST_MEMORY:
            self._blocks.clear()
            self._units.clear()
        terms, out, ends = self._first(block, channels, size, behind)
        seconds, weights = self._weigh(terms), terms[-1]
        if isinstance(block, SuperBlock) and block.sub_layers > 1:
            later = made(type(block), (*block.later_layer(), 1))
            second, _, last = self._unit(later, False, later.in_channels, out, ends)
            seconds, weights = seconds + self._weigh(second), weights + second[-1]
            if block.sub_layers > 2:
                more, _, last = self._unit(later, False, later.in_channels, out, last)
                seconds += (block.sub_layers - 2) * self._weigh(more)
                weights += (block.sub_layers - 2) * more[-1]
            ends = last
        known = self._blocks[block.key, channels, size, behind] = seconds, weights, out, ends
        return known

    def _first(self, block: Block, channels: int, size: int, behind: bool) -> tuple[Terms, int, bool]:
        if isinstance(block, SuperBlock) and block.sub_layers > 1:
            block = made(type(block), (*block.arguments[:-1], 1))
        return self._unit(block, True, channels, size, behind)

    def _unit(self, block: Block, first: bool, channels: int, size: int, behind: bool) -> tuple[Terms, int, bool]:
        """`_block` in terms, or of the one layer of a super-block taken as a first or as a later one."""
        key = (block.key, first, channels, size, behind)
        known = self._units.get(key)
        if known is None:
            listing = Listing(self.conditions.batch, self._style, self._fuses, self._rewrites)
            if behind:
                listing.add(REGULAR, channels, size)
            before = len(listing.layers)
            inside = (
                layer_of(block, block.in_channels, block.stride, first, self._style)
                if isinstance(block, SuperBlock)
                else (block,)
            )
            _, out = listing.chain(inside, channels, size)
            # Without folding nothing depends on what comes before.
            ends = self._fuses and bool(listing.layers) and listing.layers[-1].is_convolution
            known = self._units[key] = self._terms_of(listing.layers[before:]), out, ends
        return known

    def _terms_of(self, layers: Sequence[Layer]) -> Terms:
        dense = depthwise = between = 0.0
        for layer in layers:
            seconds = self._times.seconds(layer)
            if not layer.is_convolution:
                between += seconds
            elif layer.kind == DEPTHWISE:
                depthwise += seconds
            else:
                dense += seconds
        return dense, depthwise, between, float(len(layers)), weights_of(layers)

    def _of_weights(self, weights: float) -> float:
        return self._inferred.of_weights(weights) if self._inferred else 0.0

    def _weigh(self, terms: Terms) -> float:
        c, t = self._coefficients, terms
        return c[0] * t[0] + c[1] * t[1] + c[2] * t[2] + c[3] * t[3]


def open_model(
    path: str,
    source: str,
    conditions: Conditions,
    *,
    num_classes: int,
    style: Style = PLAIN,
    measure: Measure | None = None,
) -> LatencyModel:
    """The model for --latency_source "table" (plain sums) or "predict" (calibrated). Raises LatencyError.

    measure: for layers of which the table knows too little.
    """
    with LatencyTable.open(Path(path)) as table:
        calibration = table.calibration(conditions) if source == "predict" else None
        if source == "predict" and calibration is None:
            raise LatencyError(
                f"{path} is not calibrated for {conditions}: run benchmark_network_latency.py --calibrate, "
                "or take its plain sums with --latency_source table"
            )
        return LatencyModel(
            table,
            conditions,
            num_classes=num_classes,
            style=style,
            calibration=calibration,
            measure=measure,
            tolerance=UNCERTAIN,
        )


def _nothing_measured(table: LatencyTable, precision: str, batch: int) -> str:
    have = "; ".join(f"{name} at batch {', '.join(map(str, sizes))}" for name, sizes in table.batches().items())
    return f"{table.path} holds no layer at {precision}, batch {batch}; it has {have or 'nothing'}"
