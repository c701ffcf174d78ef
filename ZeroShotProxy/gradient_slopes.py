"""Mean squared slopes of activations: what stays of a squared gradient on its way back through one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from PlainNet.compiling import compiled
from PlainNet.mean_field import Step
from ZeroShotProxy.mean_field_activations import SQRT_2PI, edgeworth_moments, kurtosis_of, scale_mean
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
    """For each smooth function behind BN, by norms' relative squares nu.

    E f'^2, (E f')^2, half the second derivative of the first by nu, (E f')^2 over the variance of f; at nu = 1 the powers
    d log / d log nu of E (f - m)^2, m the mean there, and of E f^2.
    """
    rows = []
    for function in range(3):
        square, around = _mean(_slopes, function, 1.0), 0.0
        for side in (-1, 1):
            around += _mean(_slopes, function, 1 + side * _VARIANCE_STEP)
        first = (_WEIGHT * _slopes(function, _Z)).sum() ** 2
        mean = (_WEIGHT * _values(function, _Z)).sum()

        def from_mean(function: int, x: np.ndarray, mean: float = mean) -> np.ndarray:
            return _values(function, x) - mean

        variance, centred = _mean(_values, function, 1.0) - mean * mean, _elasticity(from_mean, function)
        curvature = (around - 2 * square) / (2 * _VARIANCE_STEP**2)
        rows.append((square, first, curvature, first / variance, centred, _elasticity(_values, function)))
    return np.array(rows)


def _mean(values: Callable[[int, np.ndarray], np.ndarray], function: int, variance: float) -> float:
    """E values^2 of a normal number with this variance."""
    return float((_WEIGHT * values(function, math.sqrt(variance) * _Z) ** 2).sum())


def _elasticity(values: Callable[[int, np.ndarray], np.ndarray], function: int) -> float:
    """d log E values^2 / d log variance at variance 1."""
    up, down = _mean(values, function, 1 + _VARIANCE_STEP), _mean(values, function, 1 - _VARIANCE_STEP)
    return math.log(up / down) / math.log((1 + _VARIANCE_STEP) / (1 - _VARIANCE_STEP))


def _values(function: int, x: np.ndarray) -> np.ndarray:
    """A smooth function of many values."""
    if function == 0:
        return x * np.clip(x + 3, 0, 6) / 6
    sigmoid = 1 / (1 + np.exp(-x))
    return sigmoid if function == 2 else x * sigmoid


def _slopes(function: int, x: np.ndarray) -> np.ndarray:
    """`slope_of` of many values, without compiling anything."""
    if function == 0:
        return np.where(x > 3, 1.0, np.where(x < -3, 0.0, (2 * x + 3) / 6))
    sigmoid = 1 / (1 + np.exp(-x))
    return sigmoid * (1 - sigmoid) * (1.0 if function == 2 else x) + (0.0 if function == 2 else sigmoid)


_Z = np.linspace(-9, 9, _NODES + 1)
_WEIGHT = (_Z[1] - _Z[0]) * np.exp(-0.5 * _Z * _Z) / SQRT_2PI
BEHIND_BN = _table()
# Logarithms of E f'^2 at these logarithms of the variance.
_LARGEST_LOG, _LOG_STEP = 4.0, 0.25
_LOG_SLOPES = np.array(
    [
        [
            math.log(_mean(_slopes, function, math.exp(place * _LOG_STEP - _LARGEST_LOG)))
            for place in range(int(2 * _LARGEST_LOG / _LOG_STEP) + 1)
        ]
        for function in range(3)
    ]
)
LINEAR, SPREAD_ELASTICITY, SQUARE_ELASTICITY = 3, 4, 5
# Of the rectifier's variance behind BN, the part of what is linear: (1 / 2)^2 / (1 / 2 - 1 / 2 pi).
RECTIFIED_LINEAR = 0.25 / (0.5 - 0.5 / math.pi)


def _beside_parameters() -> np.ndarray:
    """What gradients of BN's scale and shift need of the activation f behind it; x standard normal, relative to E f'^2.

    For each smooth function, then for the rectifier: (E f')^2, (E f' x)^2, E (f' x)^2, and the part of the variance of f' and
    of f' x that goes along with f.
    """
    slopes = [_slopes(function, _Z) for function in range(3)] + [np.heaviside(_Z, 0.5)]
    values = [_values(function, _Z) for function in range(3)] + [np.maximum(_Z, 0)]
    rows = []
    for slope, value in zip(slopes, values, strict=True):
        around = value - (_WEIGHT * value).sum()
        square, variance = (_WEIGHT * slope**2).sum(), (_WEIGHT * around**2).sum()
        means = [(_WEIGHT * slope).sum() ** 2, (_WEIGHT * slope * _Z).sum() ** 2, (_WEIGHT * (slope * _Z) ** 2).sum()]
        along = [(_WEIGHT * around * factor).sum() ** 2 / variance for factor in (slope, slope * _Z)]
        rows.append(np.array([*means, *along]) / square)
    return np.array(rows)


BESIDE_PARAMETERS = _beside_parameters()


@compiled
def smooth_slopes(function: int) -> float:
    """(E f')^2 of a smooth function behind BN."""
    return BEHIND_BN[function, 1]


@compiled
def linear_part(kind: int, function: int) -> float:
    """Of an activation's variance behind BN, the part of what is linear."""
    return RECTIFIED_LINEAR if kind == Step.RECTIFY else BEHIND_BN[function, LINEAR]


@compiled
def tilted(function: int, log_variance: float) -> tuple[float, float]:
    """E f'^2 at a variance over that at 1, and its elasticity there; between neighbouring values of a table, a power."""
    place = (min(max(log_variance, -_LARGEST_LOG), _LARGEST_LOG - 1e-9) + _LARGEST_LOG) / _LOG_STEP
    below = int(place)
    one, other = _LOG_SLOPES[function, below], _LOG_SLOPES[function, below + 1]
    level = one + (other - one) * (place - below)
    return math.exp(level - _LOG_SLOPES[function, int(_LARGEST_LOG / _LOG_STEP)]), (other - one) / _LOG_STEP


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
    kurtosis = excess(state) * kurtosis_of(state[base + FOURTH] / (3 * variance * variance))
    return BEHIND_BN[function, 0] + BEHIND_BN[function, 2] * 8 * (1 - scale_mean(kurtosis))
