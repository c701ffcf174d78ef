"""Latency of a network value: a sum over its layers, in microseconds of computing and without torch.

A network's terms are the seconds of its dense convolutions, of its depth-wise ones and of everything between them, the number
of layers, and 1. Calibrated, the prediction is their sum with fitted coefficients; uncalibrated, the sum of the first three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from Latency.errors import LatencyError
from Latency.interpolation import LayerCurve
from Latency.layers import DEPTHWISE, Layer, Listing, classifier_layers, list_layers
from Latency.table import Calibration, Conditions, LatencyTable
from PlainNet import Block, Network, Style, SuperBlock
from PlainNet.block import PLAIN, made

TERMS = ("dense", "depthwise", "between", "layers", "network")
UNCALIBRATED = (1.0, 1.0, 1.0, 0.0, 0.0)
Terms = tuple[float, float, float, float]
# Times a chain of layers, and returns and keeps what was missing of them; None for one that cannot run.
Measure = Callable[[Sequence[Layer], Collection[Layer]], Mapping[Layer, float | None]]
# A search measures a missing layer where interpolation is less certain than this, and where so few tell what it takes.
UNCERTAIN = 0.2
_FEW = 8
# Weights of a uniform cost in a table's fastest layers: what a kernel that only moves elements reaches.
_FASTEST = 0.99
_LARGEST_MEMORY = 200_000


class Prediction(NamedTuple):
    """Seconds for one batch, and the standard deviation of their logarithm (0.08: right within 8 % two times of three)."""

    seconds: float
    spread: float


class LayerTimes:
    """Seconds of layers at one batch size and precision: measured where the table has them, else interpolated.

    A table that was imported holds convolutions alone; what lies between them is then taken to move its elements as fast
    as the table's fastest layers do.
    """

    def __init__(self, table: LatencyTable, precision: str, batch: int) -> None:
        self._table, self._precision = table, precision
        self._measured = table.layers(precision, batch)
        self._worked_out: dict[Layer, float] = {}
        self._groups: dict[tuple, list[Layer]] = {}
        for layer in self._measured:
            self._groups.setdefault(_group(layer), []).append(layer)
        self._curves: dict[tuple, LayerCurve] = {}
        self._cannot_run: set[Layer] = set()
        self._seconds_an_element: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not self._measured

    def seconds(self, layer: Layer) -> float:
        """Of one layer. Raises LatencyError for a kind of layer that the table does not have."""
        known = self._measured.get(layer) or self._worked_out.get(layer)
        if known is None:
            if len(self._worked_out) > _LARGEST_MEMORY:
                self._worked_out.clear()
            known = self._worked_out[layer] = self._work_out(layer)
        return known

    def spread(self, layer: Layer) -> float:
        """Standard deviation of the logarithm of an interpolated time."""
        curve = self._curve(layer) if layer not in self._measured else None
        return curve.spread(layer) if curve else 0.0

    def is_missing(self, layer: Layer, tolerance: float) -> bool:
        """Whether a layer was not measured and interpolating it is less certain than `tolerance` (`spread`)."""
        if layer in self._measured or layer in self._worked_out or layer in self._cannot_run:
            return False
        if tolerance == 0 or len(self._groups.get(_group(layer), ())) < _FEW:
            return True
        curve = self._curve(layer)
        return curve is None or curve.spread(layer) > tolerance

    def add(self, measured: Mapping[Layer, float | None]) -> None:
        """Take in what was measured since. What was interpolated before stays as it was."""
        for layer, seconds in measured.items():
            if seconds is None:
                self._cannot_run.add(layer)
                continue
            self._measured[layer] = seconds
            self._groups.setdefault(_group(layer), []).append(layer)
            self._curves.pop(_group(layer), None)

    def _work_out(self, layer: Layer) -> float:
        curve = self._curve(layer)
        return curve.seconds(layer) if curve else self._by_bandwidth(layer)

    def _curve(self, layer: Layer) -> LayerCurve | None:
        group = _group(layer)
        layers = self._groups.get(group)
        if layers and group not in self._curves:
            self._curves[group] = LayerCurve(layers, [self._measured[one] for one in layers])
        return self._curves.get(group)

    def _by_bandwidth(self, layer: Layer) -> float:
        if layer.is_convolution or not self._table.fuses:
            raise LatencyError(
                f"{self._table.path} holds no layer like {layer} at {self._precision}: measure it with "
                "--measure_missing, or build a table that covers it"
            )
        if self._seconds_an_element is None:
            speeds = sorted(_elements(one) / seconds for one, seconds in self._measured.items() if one.is_convolution)
            self._seconds_an_element = 1 / speeds[int(_FASTEST * (len(speeds) - 1))]
        return _elements(layer) * self._seconds_an_element


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
        self._fuses = table.fuses
        self._style = style
        self._num_classes = num_classes
        self._times = LayerTimes(table, conditions.precision, conditions.batch)
        if self._times.is_empty and measure is None:
            raise LatencyError(_nothing_measured(table, conditions.precision, conditions.batch))
        self._measure, self._tolerance = measure, tolerance
        self._coefficients = calibration.coefficients if calibration else UNCALIBRATED
        self._blocks: dict[tuple[str, int], tuple[float, int]] = {}
        self._units: dict[tuple, tuple[Terms, int]] = {}
        self._classifiers: dict[tuple[int, int], float] = {}

    def seconds(self, network: Network) -> float:
        """Seconds for one batch. Raises LatencyError."""
        size = self.conditions.resolution
        total = self._coefficients[-1]
        blocks = self._blocks
        for block in network.blocks:
            known = blocks.get((block.text, size))
            if known is None:
                self._complete(network)
                known = self._block(block, size)
            total += known[0]
            size = known[1]
        end = (network.out_channels, size)
        classifier = self._classifiers.get(end)
        if classifier is None:
            self._complete(network)
            layers = classifier_layers(*end, self.conditions.batch, self._num_classes)
            classifier = self._classifiers[end] = self._weigh(self._terms_of(layers))
        return total + classifier

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

    def layers(self, network: Network) -> list[Layer]:
        """The network's layers in order."""
        return list_layers(
            network,
            batch=self.conditions.batch,
            resolution=self.conditions.resolution,
            num_classes=self._num_classes,
            style=self._style,
            fuses=self._fuses,
        )

    def terms(self, network: Network) -> tuple[float, ...]:
        """The network's terms, in the order of TERMS."""
        return (*self._terms_of(self.layers(network)), 1.0)

    def _complete(self, network: Network) -> None:
        """Measure what the table lacks of a network, if it may be measured."""
        if self._measure is None:
            return
        chain = self.layers(network)
        missing = {layer for layer in chain if self._times.is_missing(layer, self._tolerance)}
        if missing:
            self._times.add(self._measure(chain, missing))

    def _block(self, block: Block, size: int) -> tuple[float, int]:
        if len(self._blocks) > _LARGEST_MEMORY:
            self._blocks.clear()
            self._units.clear()
        terms, out = self._first(block, size)
        seconds = self._weigh(terms)
        if isinstance(block, SuperBlock) and block.sub_layers > 1:
            later = made(type(block), (*block.later_layer(), 1))
            seconds += (block.sub_layers - 1) * self._weigh(self._unit(later, False, out)[0])
        self._blocks[block.text, size] = seconds, out
        return seconds, out

    def _first(self, block: Block, size: int) -> tuple[Terms, int]:
        if isinstance(block, SuperBlock) and block.sub_layers > 1:
            block = made(type(block), (*block.arguments[:-1], 1))
        return self._unit(block, True, size)

    def _unit(self, block: Block, first: bool, size: int) -> tuple[Terms, int]:
        """Terms of a block, or of the one layer of a super-block taken as a first or as a later one; size of its output."""
        key = (block.text, first, size)
        known = self._units.get(key)
        if known is None:
            listing = Listing(self.conditions.batch, self._style, self._fuses)
            inside = (
                block.layer(block.in_channels, block.stride, first, self._style)
                if isinstance(block, SuperBlock)
                else (block,)
            )
            _, out = listing.chain(inside, block.in_channels, size)
            known = self._units[key] = self._terms_of(listing.layers), out
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
        return dense, depthwise, between, float(len(layers))

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


def _group(layer: Layer) -> tuple:
    return layer.kind, layer.kernel_size, layer.stride, layer.fused


def _elements(layer: Layer) -> int:
    read = layer.in_channels * layer.height * layer.width
    return layer.batch * (read + layer.out_channels * layer.out_height**2)


def _nothing_measured(table: LatencyTable, precision: str, batch: int) -> str:
    have = "; ".join(f"{name} at batch {', '.join(map(str, sizes))}" for name, sizes in table.batches().items())
    return f"{table.path} holds no layer at {precision}, batch {batch}; it has {have or 'nothing'}"
