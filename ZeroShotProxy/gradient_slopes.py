"""Mean squared slopes of activations: what stays of a squared gradient on its way back through one."""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from ZeroShotProxy.mean_field_activations import SQRT_2PI, edgeworth_moments, scale_mean
from ZeroShotProxy.mean_field_kernel import excess
from ZeroShotProxy.mean_field_map import FOURTH, MEAN, OFFSET, THIRD, VARIANCE

RECTIFIER = -1
# Nodes of the quadrature, and how far they reach.
_NODES, _REACH = 600, 15.0
_VARIANCE_STEP = 0.1


@compiled
def slope_of(function: int, x: float) -> float:
    """The derivative of a smooth function (`PlainNet.mean_field.Smooth`)."""
    if function == 0:
        return 0.0 if x < -3 else 1.0 if x > 3 else (2 * x + 3) / 6
    sigmoid = 1 / (1 + math.exp(-x))
    return sigmoid * (1 - sigmoid) if function == 2 else sigmoid + x * sigmoid * (1 - sigmoid)


@compiled
def mean_slopes(function: int, mean: float, variance: float) -> tuple[float, float]:
    """E f'(x)^2 and E f'(x) of a smooth function, x normal."""
    deviation = math.sqrt(variance)
    # Slopes change where x is small: nodes lie there however wide the distribution is.
    reach = min(9 * deviation, _REACH)
    step = 2 * reach / _NODES
    centre = mean if reach < _REACH else 0.0
    square = first = 0.0
    for node in range(_NODES + 1):
        x = centre - reach + node * step
        z = (x - mean) / deviation
        weight = math.exp(-0.5 * z * z)
        slope = slope_of(function, x)
        square += weight * slope * slope
        first += weight * slope
    scale = step / (deviation * SQRT_2PI)
    square, first = square * scale, first * scale
    if reach == _REACH and function != 2:
        # Further to the right the slope is 1.
        beyond = 0.5 * math.erfc((_REACH - mean) / (deviation * math.sqrt(2)))
        square, first = square + beyond, first + beyond
    return square, first


def _table() -> np.ndarray:
    """For each smooth function behind BN: E f'^2, (E f')^2, and half the second derivative of the first by the variance."""
    z = np.linspace(-9, 9, _NODES + 1)
    weight = (z[1] - z[0]) * np.exp(-0.5 * z * z) / SQRT_2PI
    rows = []
    for function in range(3):

        def slopes(variance: float, function: int = function) -> np.ndarray:
            return _slopes(function, math.sqrt(variance) * z)

        square = (weight * slopes(1.0) ** 2).sum()
        around = (weight * (slopes(1 + _VARIANCE_STEP) ** 2 + slopes(1 - _VARIANCE_STEP) ** 2)).sum()
        rows.append((square, (weight * slopes(1.0)).sum() ** 2, (around - 2 * square) / (2 * _VARIANCE_STEP**2)))
    return np.array(rows)


def _slopes(function: int, x: np.ndarray) -> np.ndarray:
    """`slope_of` of many values, without compiling anything."""
    if function == 0:
        return np.where(x > 3, 1.0, np.where(x < -3, 0.0, (2 * x + 3) / 6))
    sigmoid = 1 / (1 + np.exp(-x))
    return sigmoid * (1 - sigmoid) * (1.0 if function == 2 else x) + (0.0 if function == 2 else sigmoid)


BEHIND_BN = _table()


@compiled
def smooth_slopes(function: int) -> float:
    """(E f')^2 of a smooth function behind BN."""
    return BEHIND_BN[function, 1]


@compiled
def forward_slope(state: np.ndarray, base: int, function: int) -> float:
    """E f'^2 over a group of channels before an activation; of a rectifier, the chance to be positive."""
    variance = state[base + VARIANCE] + state[base + OFFSET]
    if function == RECTIFIER:
        if variance <= 0:
            return 1.0 if state[base + MEAN] > 0 else 0.0
        if state[base + MEAN] == 0 and state[base + THIRD] == 0:
            # As behind every BN: what the series gives, too.
            return 0.5
        deviation = math.sqrt(variance)
        skewness = state[base + THIRD] / (variance * deviation)
        chance = edgeworth_moments(state[base + MEAN] / deviation, skewness, state[base + FOURTH] / variance**2)[0]
        return min(1.0, max(0.0, chance))
    if variance <= 0:
        return slope_of(function, state[base + MEAN]) ** 2
    if state[base + MEAN] != 0 or abs(variance - 1) > 1e-9:
        return mean_slopes(function, state[base + MEAN], variance)[0]
    # Norms that vary from position to position make some variances larger and others smaller.
    kurtosis = excess(state) * (1 + state[base + FOURTH] / (3 * variance * variance))
    return BEHIND_BN[function, 0] + BEHIND_BN[function, 2] * 8 * (1 - scale_mean(kurtosis))
