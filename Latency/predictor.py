"""Latency of a network value: a sum over its layers, in microseconds of computing and without torch.

A network's terms are the seconds of its dense convolutions, of its depth-wise ones and of everything between them, the number
of layers, and 1. Calibrated, the prediction is their sum with fitted coefficients; uncalibrated, the sum of the first three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
Measure = Callable[[Sequence[Layer]], Sequence[float | None]]
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
    as the table's fastest layers do. measure: times layers that the table lacks, which are then kept in it.
    """

    def __init__(self, table: LatencyTable, precision: str, batch: int, measure: Measure | None = None) -> None:
        self._table, self._precision, self._batch, self._measure = table, precision, batch, measure
        self._measured = table.layers(precision, batch)
        self._worked_out: dict[Layer, float] = {}
        if not self._measured and measure is None:
            raise LatencyError(_nothing_measured(table, precision, batch))
        self._groups: dict[tuple, list[Layer]] = {}
        for layer in self._measured:
            self._groups.setdefault(_group(layer), []).append(layer)
        self._curves: dict[tuple, LayerCurve] = {}
        self._seconds_an_element: float | None = None

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
        curve = self._curves.get(_group(layer)) if layer not in self._measured else None
        return curve.spread(layer) if curve else 0.0

    def _work_out(self, layer: Layer) -> float:
        if self._measure is not None:
            (seconds,) = self._measure([layer])
            self._table.add_layers(self._precision, [(layer, seconds)])
            if seconds is not None:
                return seconds
        group = _group(layer)
        if group not in self._curves:
            layers = self._groups.get(group)
            if not layers:
                return self._by_bandwidth(layer)
            self._curves[group] = LayerCurve(layers, [self._measured[one] for one in layers])
        return self._curves[group].seconds(layer)

    def _by_bandwidth(self, layer: Layer) -> float:
        if layer.is_convolution or not self._table.fuses:
            raise LatencyError(
                f"{self._table.path} holds no layer like {layer} at {self._precision}: measure it with "
                "benchmark_network_latency.py --measure_missing, or build a table that covers it"
            )
        if self._seconds_an_element is None:
            speeds = sorted(_elements(one) / seconds for one, seconds in self._measured.items() if one.is_convolution)
            self._seconds_an_element = 1 / speeds[int(_FASTEST * (len(speeds) - 1))]
        return _elements(layer) * self._seconds_an_element


class LatencyModel:
    """Predicts latencies of many networks that share blocks: the layers of a block are added up once for each map size."""

    def __init__(
        self,
        table: LatencyTable,
        conditions: Conditions,
        *,
        num_classes: int,
        style: Style = PLAIN,
        calibration: Calibration | None = None,
        measure: Measure | None = None,
    ) -> None:
        self.conditions = conditions
        self.calibration = calibration
        self._fuses = table.fuses
        self._style = style
        self._num_classes = num_classes
        self._times = LayerTimes(table, conditions.precision, conditions.batch, measure)
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
                known = self._block(block, size)
            total += known[0]
            size = known[1]
        end = (network.out_channels, size)
        classifier = self._classifiers.get(end)
        if classifier is None:
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
    path: str, source: str, conditions: Conditions, *, num_classes: int, style: Style = PLAIN
) -> LatencyModel:
    """The model for --latency_source "table" (plain sums) or "predict" (calibrated). Raises LatencyError."""
    from pathlib import Path

    with LatencyTable.open(Path(path)) as table:
        calibration = table.calibration(conditions) if source == "predict" else None
        if source == "predict" and calibration is None:
            raise LatencyError(
                f"{path} is not calibrated for {conditions}: run benchmark_network_latency.py --calibrate, "
                "or take its plain sums with --latency_source table"
            )
        return LatencyModel(table, conditions, num_classes=num_classes, style=style, calibration=calibration)


def _group(layer: Layer) -> tuple:
    return layer.kind, layer.kernel_size, layer.stride, layer.fused


def _elements(layer: Layer) -> int:
    read = layer.in_channels * layer.height * layer.width
    return layer.batch * (read + layer.out_channels * layer.out_height**2)


def _nothing_measured(table: LatencyTable, precision: str, batch: int) -> str:
    have = "; ".join(f"{name} at batch {', '.join(map(str, sizes))}" for name, sizes in table.batches().items())
    return f"{table.path} holds no layer at {precision}, batch {batch}; it has {have or 'nothing'}"
