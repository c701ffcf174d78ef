"""From measured layers of one kind to any layer of that kind, in log space.

First a roofline is fitted: seconds = a + b flops + c input + d output + e weights, all coefficients at least 0, by relative
error. What it leaves, in log space, is interpolated between measured layers by a Gaussian process over the logarithms of
widths and map height (kriging; Rasmussen and Williams 2006, section 2.2). Far from every measured layer the roofline
remains, and the error bar says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gsnet.latency.layer import DEPTHWISE, Layer

_LENGTHS = (0.7, 1.2, 2.0, 3.5)
_NOISES = (0.03, 0.1, 0.3)
_POINTS_FOR_TUNING = 200
# Convolution kernels work on channels in blocks of this many.
CHANNEL_BLOCK = 16


class LayerCurve:
    """Seconds of any layer of one kind, kernel, stride, batch and device, from the measured ones.

    layers: at least one; seconds: as many positive figures.
    """

    def __init__(self, layers: Sequence[Layer], seconds: Sequence[float]) -> None:
        self._coefficients = roofline(layers, seconds)
        rooflines = np.array([roofline_terms(layer) for layer in layers])
        residuals = np.log(np.array(seconds, dtype=np.float64)) - np.log(rooflines @ self._coefficients)
        self._offset = float(np.median(residuals))
        self._residuals = residuals - self._offset
        self._points = np.array([_position(layer) for layer in layers])
        self._points_squared = (self._points**2).sum(axis=1)
        self._variance = max(float(np.mean(self._residuals**2)), 1e-6)
        self._length, self._noise = self._tune()
        self._weights = np.linalg.solve(self._covariance, self._residuals)

    def seconds(self, layer: Layer) -> float:
        """The predicted time of a layer."""
        base = float(np.dot(np.array(roofline_terms(layer)), self._coefficients))
        return base * math.exp(self._offset + float(np.dot(self._nearness(layer), self._weights)))

    def spread(self, layer: Layer) -> float:
        """Standard deviation of the logarithm of the predicted time."""
        near = self._nearness(layer)
        left = 1.0 - float(near @ self._inverse @ near)
        return math.sqrt(self._variance * max(left, 0.0))

    def _nearness(self, layer: Layer) -> np.ndarray:
        position = _position(layer)
        squares = self._points_squared + position @ position - 2.0 * (self._points @ position)
        return np.exp(squares * (-0.5 / self._length**2))

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self._covariance)

    @cached_property
    def _covariance(self) -> np.ndarray:
        return _covariance(self._points, self._length, self._noise)

    def _tune(self) -> tuple[float, float]:
        """Length and noise (relative to the residuals' variance) with the best leave-one-out likelihood."""
        step = -(-len(self._points) // _POINTS_FOR_TUNING)
        points, residuals = self._points[::step], self._residuals[::step]
        if len(points) < 4:
            return _LENGTHS[1], _NOISES[1]
        return max(
            ((length, noise) for length in _LENGTHS for noise in _NOISES),
            key=lambda pair: _leave_one_out(points, residuals, self._variance, *pair),
        )


def roofline(layers: Sequence[Layer], seconds: Sequence[float]) -> np.ndarray:
    """(5,) seconds of each unit of `roofline_terms`, all of them at least 0, fitted to layers by relative error."""
    terms, times = np.array([roofline_terms(layer) for layer in layers]), np.array(seconds, dtype=np.float64)
    scale = terms.max(axis=0)
    scale[scale == 0] = 1.0
    return non_negative_least_squares(terms / scale / times[:, None], np.ones(len(times))) / scale


def roofline_terms(layer: Layer) -> tuple[float, float, float, float, float]:
    """1, multiply-accumulates in whole blocks of channels, and elements read, written and of weights."""
    out_positions = layer.batch * layer.out_height**2
    read = layer.batch * layer.in_channels * layer.height * layer.width
    written = layer.out_channels * out_positions
    if layer.kind == DEPTHWISE:
        weights = layer.in_channels * layer.kernel_size**2
        return 1.0, weights * out_positions, read, written, weights
    if not layer.is_convolution:
        weights = layer.in_channels * layer.out_channels if layer.kind == "Linear" else 0
        return 1.0, layer.batch * weights, read, written, weights
    inner, outer = layer.in_channels // layer.groups, layer.out_channels
    window = layer.kernel_size**2
    # The image's few channels are not padded to a block.
    padded = inner if inner < CHANNEL_BLOCK // 4 else in_blocks(inner)
    return 1.0, padded * in_blocks(outer) * window * out_positions, read, written, inner * outer * window


def in_blocks(channels: int) -> int:
    """Channels rounded up to whole blocks."""
    return -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK


def _position(layer: Layer) -> np.ndarray:
    return np.log2(np.array((layer.in_channels, layer.out_channels, layer.height), dtype=np.float64))


def _covariance(points: np.ndarray, length: float, noise: float) -> np.ndarray:
    norms = (points**2).sum(axis=1)
    squares = norms[:, None] + norms[None] - 2.0 * (points @ points.T)
    return np.exp(squares * (-0.5 / length**2)) + noise * np.eye(len(points))


def _leave_one_out(points: np.ndarray, residuals: np.ndarray, variance: float, length: float, noise: float) -> float:
    """Log predictive probability of each residual from all others (Rasmussen and Williams 2006, equation 5.10)."""
    inverse = np.linalg.inv(_covariance(points, length, noise))
    spreads = variance / np.diag(inverse)
    errors = inverse @ residuals / np.diag(inverse)
    return float(-0.5 * np.sum(np.log(spreads) + errors**2 / spreads))


def non_negative_least_squares(a: np.ndarray, b: np.ndarray, sweeps: int = 2_000) -> np.ndarray:
    """x >= 0 that minimises |a x - b|, by cyclic coordinate descent; a is (rows, few columns)."""
    gram, target = a.T @ a, a.T @ b
    x = np.zeros(a.shape[1])
    for _ in range(sweeps):
        before = x.copy()
        for j in np.flatnonzero(np.diag(gram) > 0):
            x[j] = max(0.0, x[j] + (target[j] - gram[j] @ x) / gram[j, j])
        if np.abs(x - before).max() <= 1e-9 * max(np.abs(x).max(), 1e-300):
            break
    return x
