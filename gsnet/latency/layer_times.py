"""Seconds of single layers: measured where the table has them, else interpolated."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gsnet.latency.device import TORCH
from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import InferredLayers, layer_group
from gsnet.latency.interpolation import LayerCurve, roofline
from gsnet.latency.layer import DEPTHWISE, LINEAR, Layer
from gsnet.latency.table import LatencyTable

# With fewer layers of a kind, kernel and stride than this, a search measures a missing one.
_FEW = 8
# The fraction of a table's layers that are slower, an element, than a kernel that only moves elements.
_FASTEST = 0.99
# How unsure the time is of weights that a classifier has beyond those that were timed, as a deviation of its logarithm:
# convolutions tell it, and weights that no cache holds take three times as long as others.
_UNSURE = 0.8
# Entries that a memory of worked-out times holds before it starts anew.
LARGEST_MEMORY = 200_000


class LayerTimes:
    """Seconds of layers at one batch size and precision: measured where the table has them, else interpolated.

    A table that was imported holds convolutions alone; what lies between them is then taken to move its elements as fast
    as the table's fastest layers do. inferred: where layers were inferred from networks, what tells those of no network.
    """

    def __init__(self, table: LatencyTable, precision: str, batch: int, inferred: InferredLayers | None = None) -> None:
        self._table, self._precision, self._inferred = table, precision, inferred
        self._measured = table.layers(precision, batch)
        self._worked_out: dict[Layer, float] = {}
        self._groups: dict[tuple, list[Layer]] = {}
        for layer in self._measured:
            self._groups.setdefault(layer_group(layer), []).append(layer)
        self._curves: dict[tuple, LayerCurve] = {}
        self._cannot_run: set[Layer] = set()
        self._seconds_an_element: float | None = None
        self._seconds_a_weight: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not self._measured

    @property
    def classes(self) -> list[int]:
        """Numbers of classes of the classifiers that were timed, rising."""
        return sorted({layer.out_channels for layer in self._groups.get((LINEAR, 1, 1, 0), ())})

    def seconds(self, layer: Layer) -> float:
        """Of one layer. Raises LatencyError for a kind of layer that the table does not have."""
        known = self._measured.get(layer) or self._worked_out.get(layer)
        if known is None:
            if len(self._worked_out) > LARGEST_MEMORY:
                self._worked_out.clear()
            known = self._worked_out[layer] = self._work_out(layer)
        return known

    def spread(self, layer: Layer) -> float:
        """Standard deviation of the logarithm of an interpolated time."""
        curve = self._curve(layer) if layer not in self._measured else None
        if curve is None:
            return 0.0
        nearest = self._nearest_classifier(layer)
        spread = curve.spread(nearest) if nearest not in self._measured else 0.0
        if nearest == layer:
            return spread
        seconds = self.seconds(layer)
        return math.hypot(spread, _UNSURE * abs(seconds - self.seconds(nearest)) / seconds)

    def is_missing(self, layer: Layer, tolerance: float) -> bool:
        """Whether a layer was not measured and interpolating it is less certain than `tolerance` (`spread`)."""
        if layer in self._measured or layer in self._worked_out or layer in self._cannot_run:
            return False
        if tolerance == 0 or len(self._groups.get(layer_group(layer), ())) < _FEW:
            return True
        return self._curve(layer) is None or self.spread(layer) > tolerance

    def add(self, measured: Mapping[Layer, float | None]) -> None:
        """Take in what was measured since. What was interpolated before stays as it was."""
        for layer, seconds in measured.items():
            if seconds is None:
                self._cannot_run.add(layer)
                continue
            self._measured[layer] = seconds
            self._groups.setdefault(layer_group(layer), []).append(layer)
            self._curves.pop(layer_group(layer), None)

    def _work_out(self, layer: Layer) -> float:
        inferred = self._inferred is not None and self._inferred.tells(layer)
        of_its_kind = self._inferred if inferred else self._curve(layer)
        if of_its_kind is None:
            return self._by_bandwidth(layer)
        nearest = self._nearest_classifier(layer)
        if nearest == layer:
            return of_its_kind.seconds(layer)
        # Classifiers of one number of classes do not tell what a weight takes: what varies among them is all proportional.
        seconds, more = self.seconds(nearest), layer.out_channels - nearest.out_channels
        # Weights that a smaller one lacks take that part of the time at most.
        least = seconds * min(1.0, layer.out_channels / nearest.out_channels)
        return max(seconds + more * layer.in_channels * self._of_a_weight(), least)

    def _nearest_classifier(self, layer: Layer) -> Layer:
        """The layer itself, unless it is a classifier of more or fewer classes than any that was timed."""
        classes = self.classes if layer.kind == LINEAR else []
        if not classes:
            return layer
        return layer._replace(out_channels=min(max(layer.out_channels, classes[0]), classes[-1]))

    def _of_a_weight(self) -> float:
        """Seconds that a weight takes which is used once an image: as in dense convolutions, and as an element that is read."""
        if self._seconds_a_weight is None:
            dense = {one: s for one, s in self._measured.items() if one.is_convolution and one.kind != DEPTHWISE}
            priced = dense or {one: s for one, s in self._measured.items() if one.kind == LINEAR}
            _, operation, read, _, weight = roofline(list(priced), list(priced.values()))
            batch = next(iter(priced)).batch
            self._seconds_a_weight = max(batch * operation + weight, read)
        return self._seconds_a_weight

    def _curve(self, layer: Layer) -> LayerCurve | None:
        group = layer_group(layer)
        layers = self._groups.get(group)
        if layers and group not in self._curves:
            self._curves[group] = LayerCurve(layers, [self._measured[one] for one in layers])
        return self._curves.get(group)

    def _by_bandwidth(self, layer: Layer) -> float:
        if layer.is_convolution or not self._table.fuses:
            raise LatencyError(f"{self._table.path} holds no layer like {layer} at {self._precision}: {self._advice()}")
        if self._seconds_an_element is None:
            speeds = sorted(_elements(one) / seconds for one, seconds in self._measured.items() if one.is_convolution)
            self._seconds_an_element = 1 / speeds[int(_FASTEST * (len(speeds) - 1))]
        return _elements(layer) * self._seconds_an_element

    def _advice(self) -> str:
        """How a table comes to a kind of layer that it lacks: only torch's layers are measured alone, at hand."""
        if not self._table.runtime:
            return "import a library that covers it, too"
        build = "build a table that covers it, from a network that begins alike"
        return f"measure it with --measure_missing, or {build}" if self._table.runtime == TORCH else build


def _elements(layer: Layer) -> int:
    read = layer.in_channels * layer.height * layer.width
    return layer.batch * (read + layer.out_channels * layer.out_height**2)
