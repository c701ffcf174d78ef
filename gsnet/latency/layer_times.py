"""Seconds of single layers: measured where the table has them, else interpolated."""

from __future__ import annotations

from collections.abc import Mapping

from gsnet.latency.device import TORCH
from gsnet.latency.errors import LatencyError
from gsnet.latency.interpolation import LayerCurve
from gsnet.latency.layers import Layer
from gsnet.latency.table import LatencyTable

# With fewer layers of a kind, kernel and stride than this, a search measures a missing one.
_FEW = 8
# The fraction of a table's layers that are slower, an element, than a kernel that only moves elements.
_FASTEST = 0.99
# Entries that a memory of worked-out times holds before it starts anew.
LARGEST_MEMORY = 200_000


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
            if len(self._worked_out) > LARGEST_MEMORY:
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
            build = "build a table that covers it, from a network that begins alike"
            # A runtime's layers are inferred from whole networks: none is measured alone.
            advice = f"measure it with --measure_missing, or {build}" if self._table.runtime in ("", TORCH) else build
            raise LatencyError(f"{self._table.path} holds no layer like {layer} at {self._precision}: {advice}")
        if self._seconds_an_element is None:
            speeds = sorted(_elements(one) / seconds for one, seconds in self._measured.items() if one.is_convolution)
            self._seconds_an_element = 1 / speeds[int(_FASTEST * (len(speeds) - 1))]
        return _elements(layer) * self._seconds_an_element


def _group(layer: Layer) -> tuple:
    return layer.kind, layer.kernel_size, layer.stride, layer.fused


def _elements(layer: Layer) -> int:
    read = layer.in_channels * layer.height * layer.width
    return layer.batch * (read + layer.out_channels * layer.out_height**2)
