"""Mean-field rules of pointwise functions, in place on one group of channels; see `ZeroShotProxy.mean_field_kernel`.

Sources: Cho and Saul 2009 for the rectifier's covariance (arc-cosine kernel of degree 1); Daniely et al. 2016 for the Hermite
expansion of any other function's.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled, inlined, rounded_each
from ZeroShotProxy.mean_field_map import CHANGE, COVARIANCE, FOURTH, MEAN, RUNS, SPARE, THIRD, VARIANCE

SQRT_2PI = math.sqrt(2 * math.pi)
# Trapezoidal rule on [-9, 9]; for a Gaussian weight its error falls faster than any power of the step.
NODES, NODE_STEP = 385, 18 / 384
HERMITE_TERMS = 40
NODES_AT = np.array([(node - NODES // 2) * NODE_STEP for node in range(NODES)])
WEIGHTS = np.array([NODE_STEP * math.exp(-0.5 * z * z) / SQRT_2PI for z in NODES_AT])


def _hermite_polynomials() -> np.ndarray:
    """Normalised Hermite polynomials at the nodes: (nodes, orders from 1). sqrt(n + 1) h_{n+1} = z h_n - sqrt(n) h_{n-1}."""
    found = np.empty((NODES, HERMITE_TERMS))
    before, polynomial = np.ones(NODES), NODES_AT
    for order in range(1, HERMITE_TERMS + 1):
        found[:, order - 1] = polynomial
        after = (NODES_AT * polynomial - math.sqrt(order) * before) / math.sqrt(order + 1)
        before, polynomial = polynomial, after
    return found


# Roots and quotients took nearly all of the time of a gate.
POLYNOMIALS = _hermite_polynomials()
# Third and fourth central moments of max(z, 0), z standard normal.
HALF_NORMAL_THIRD = 1 / SQRT_2PI**3 * 2 + 2 / SQRT_2PI - 1.5 / SQRT_2PI
HALF_NORMAL_FOURTH = 1.5 - 8 / SQRT_2PI**2 + 3 / SQRT_2PI**2 - 3 / SQRT_2PI**4
# Cumulants of one or two channels come to less than 0, of which there is no root. With this the variance behind a rectifier is
# positive whatever channels share, and networks as they are searched have more.
LEAST_KURTOSIS = 0.1
# Relative change of the variance by which second differences are taken.
VARIANCE_STEP = 0.25
# Columns of `moments`.
FIRST, SECOND, CENTRAL_THIRD, CENTRAL_FOURTH, FIRST_CURVATURE, SECOND_CURVATURE, LOSS = range(7)
SLOPE = LOSS + HERMITE_TERMS


@inlined
def rectified(state: np.ndarray, base: int, kurtosis: float) -> tuple[float, float]:
    """max(x, 0) of a channel that is nearly Gaussian at every position.

    Returns the squared linear part over the variance, and d log lost variance / d log lost variance before.

    kurtosis: that of the positions' scale, over 3; a log-normal scale s with E s^2 = 1, E s^4 = kurtosis has
    E s = kurtosis^(-1/8). Third and fourth cumulants enter by Edgeworth's series.
    """
    variance = state[base + VARIANCE]
    scale = math.sqrt(variance)
    a = state[base + MEAN] / scale
    skewness, excess = state[base + THIRD] / (variance * scale), state[base + FOURTH] / (variance * variance)
    if a == 0 and skewness == 0:
        own = kurtosis_of(excess / 3)
        return rectified_centred(state, base, scale_mean(kurtosis * own), own)
    moment = edgeworth_moments(a, skewness, excess)
    shrink = scale_mean(kurtosis)
    density, mass = gaussian(a)
    narrow_density, narrow_mass = gaussian(a / shrink)
    mean = moment[1] + a * (narrow_mass - mass) + shrink * narrow_density - density
    spread = moment[2] - mean * mean
    change = relative_change(state, base)
    lost, steepness = kernel_loss(change, moment[0], math.exp(-0.5 * a * a))
    third = moment[3] - 3 * mean * moment[2] + 2 * mean**3
    fourth = moment[4] - 4 * mean * moment[3] + 6 * mean * mean * moment[2] - 3 * mean**4 - 3 * spread * spread
    # Both runs are positive, or cross 0 symmetrically: E |y+ - y'+| is the share P(y > 0) of E |y - y'|.
    state[base + CHANGE] = moment[0] * 2 * math.sqrt(change / math.pi) * scale
    state[base + MEAN], state[base + VARIANCE], state[base + COVARIANCE] = (
        mean * scale,
        spread * variance,
        (spread - lost) * variance,
    )
    state[base + THIRD], state[base + FOURTH] = third * variance * scale, fourth * variance * variance
    return moment[0] * moment[0] / spread, steepness


@compiled
def edgeworth_moments(a: float, skewness: float, excess: float) -> tuple[float, float, float, float, float]:
    """P(y > 0) and E max(y, 0)^n, n = 1 to 4, of y with mean a, variance 1 and these cumulants.

    Edgeworth's series: to E f over a Gaussian come skewness / 6, excess / 24 and skewness^2 / 72 times the means of f's third,
    fourth and sixth derivative.
    """
    density, mass = gaussian(a)
    third, fourth, sixth = skewness / 6, excess / 24, skewness * skewness / 72
    square = a * a
    first = a * mass + density
    return (
        mass + density * (third * (square - 1) - fourth * a * (square - 3) - sixth * a * (square * (square - 10) + 15)),
        first + density * (-third * a + fourth * (square - 1) + sixth * (square * (square - 6) + 3)),
        (1 + square) * mass + a * density + 2 * density * (third - fourth * a - sixth * a * (square - 3)),
        (a * square + 3 * a) * mass
        + (square + 2) * density
        + 6 * (third * mass + density * (fourth + sixth * (square - 1))),
        (square * square + 6 * square + 3) * mass
        + (a * square + 5 * a) * density
        + 24 * (third * first + fourth * mass - sixth * a * density),
    )


@inlined
def rectified_centred(state: np.ndarray, base: int, shrink: float, own: float) -> tuple[float, float]:
    """`rectified` of a channel with mean 0 and no skewness, as behind every BN."""
    variance = state[base + VARIANCE]
    mean = shrink / SQRT_2PI
    spread = 0.5 - mean * mean
    change = relative_change(state, base)
    lost, steepness = kernel_loss(change, 0.5, 1.0)
    scale = math.sqrt(variance)
    # |y - y'| = |y+ - y'+| + |y- - y'-|, and both have the same mean.
    state[base + CHANGE] = math.sqrt(change * variance / math.pi)
    state[base + MEAN], state[base + VARIANCE], state[base + COVARIANCE] = (
        mean * scale,
        spread * variance,
        (spread - lost) * variance,
    )
    state[base + THIRD] = HALF_NORMAL_THIRD * variance * scale
    state[base + FOURTH] = (HALF_NORMAL_FOURTH * own - 3 * spread * spread) * variance * variance
    return 0.25 / spread, steepness


@compiled
def kurtosis_of(third_of_excess: float) -> float:
    """Kurtosis over 3, at least `LEAST_KURTOSIS`."""
    return max(1 + third_of_excess, LEAST_KURTOSIS)


@compiled
def scale_mean(kurtosis: float) -> float:
    """Mean of a log-normal scale whose square has mean 1 and mean square `kurtosis`: kurtosis^(-1/8)."""
    return 1 / math.sqrt(math.sqrt(math.sqrt(kurtosis)))


@compiled
def gaussian(x: float) -> tuple[float, float]:
    """Standard normal density and distribution function."""
    return math.exp(-0.5 * x * x) / SQRT_2PI, 0.5 * math.erfc(-x / math.sqrt(2))


@compiled
def relative_change(state: np.ndarray, base: int) -> float:
    """Half the squared difference of the runs over the variance, of a channel; 0 where one run is followed."""
    if state[RUNS] < 2:
        return 0.0
    return max(0.0, state[base + VARIANCE] - state[base + COVARIANCE]) / state[base + VARIANCE]


@compiled
def kernel_loss(change: float, mass: float, weight: float) -> tuple[float, float]:
    """What a rectified unit-variance channel loses of its covariance at correlation 1 - change, and that loss's elasticity.

    At mean 0 (mass 1/2, weight 1) this is the arc-cosine kernel. Elsewhere its deficit against change times P(y > 0) holds
    times exp(-a^2 / 2), to leading order. The derivative is the chance that both runs are positive.
    """
    if change <= 0:
        return 0.0, 1.0
    rho = max(-1.0, 1 - change)
    angle = math.acos(rho)
    kernel = (math.sqrt(max(0.0, 1 - rho * rho)) + rho * (math.pi - angle)) / (2 * math.pi)
    lost = change * mass - weight * (change / 2 - (0.5 - kernel))
    if lost <= 0:
        return 0.0, 1.0
    return lost, change / lost * max(0.0, mass - weight * angle / (2 * math.pi))


def evaluated_moments(function: int, mean: float, variance: float) -> np.ndarray:
    """Moments of function(x), x normal: mean, second, central third and fourth, curvatures, and two polynomials.

    function: 0 hard-swish (Howard et al. 2019), 1 swish, 2 sigmoid, as in `PlainNet.mean_field.Smooth`. Curvatures are second
    derivatives, halved, of the first two moments with respect to the relative variance.
    Of the covariance, correlation rho leaves sum a_n^2 rho^n with Hermite weights a_n. At LOSS stand the coefficients of what
    is lost, over 1 - rho: of sum a_n^2 (1 - rho^n) / (1 - rho), a polynomial in rho. At SLOPE those of the derivative.
    """
    result = np.zeros(SLOPE + HERMITE_TERMS)
    around = np.zeros((3, 2))
    value = NODES_AT
    for side in (-1, 1, 0):
        x = mean + math.sqrt(variance * (1 + side * VARIANCE_STEP)) * NODES_AT
        sigmoid = 1 / (1 + np.exp(-x))
        hard_swish = x * np.minimum(np.maximum(x + 3, 0.0), 6.0) / 6
        value = hard_swish if function == 0 else x * sigmoid if function == 1 else sigmoid
        around[side, 0], around[side, 1] = (WEIGHTS * value).sum(), (WEIGHTS * value * value).sum()
    first, second = around[0, 0], around[0, 1]
    result[FIRST], result[SECOND] = first, second
    result[CENTRAL_THIRD] = (WEIGHTS * (value - first) ** 3).sum()
    result[CENTRAL_FOURTH] = (WEIGHTS * (value - first) ** 4).sum()
    result[FIRST_CURVATURE] = (around[1, 0] + around[-1, 0] - 2 * first) / (2 * VARIANCE_STEP**2)
    result[SECOND_CURVATURE] = (around[1, 1] + around[-1, 1] - 2 * second) / (2 * VARIANCE_STEP**2)
    for order in range(1, HERMITE_TERMS + 1):
        share = (WEIGHTS * value * POLYNOMIALS[:, order - 1]).sum() ** 2
        result[LOSS : LOSS + order] += share
        result[SLOPE + order - 1] = order * share
    return result


def evaluated(function: int, x: float) -> float:
    """The value of a function that `evaluated_moments` knows."""
    if function == 0:
        return x * min(max(x + 3, 0.0), 6.0) / 6
    sigmoid = 1 / (1 + math.exp(-x))
    return x * sigmoid if function == 1 else sigmoid


def moments(function: int, mean: float, variance: float, result: np.ndarray) -> None:
    """`evaluated_moments` into a row that has room for them, to the same rounding.

    Number by number, since numba takes a fifth of all its time for functions of whole arrays.
    """
    for place in range(SLOPE + HERMITE_TERMS):
        result[place] = 0.0
    for side in (-1, 1, 0):
        scale, first, second = math.sqrt(variance * (1 + side * VARIANCE_STEP)), 0.0, 0.0
        for node in range(NODES):
            weight, value = WEIGHTS[node], evaluated(function, mean + scale * NODES_AT[node])
            first += weight * value
            second += weight * value * value
        if side:
            result[FIRST_CURVATURE] += first
            result[SECOND_CURVATURE] += second
        else:
            result[FIRST], result[SECOND] = first, second
    first, second = result[FIRST], result[SECOND]
    result[FIRST_CURVATURE] = (result[FIRST_CURVATURE] - 2 * first) / (2 * VARIANCE_STEP**2)
    result[SECOND_CURVATURE] = (result[SECOND_CURVATURE] - 2 * second) / (2 * VARIANCE_STEP**2)
    scale = math.sqrt(variance)
    for node in range(NODES):
        weight, value = WEIGHTS[node], evaluated(function, mean + scale * NODES_AT[node])
        result[CENTRAL_THIRD] += weight * (value - first) ** 3
        result[CENTRAL_FOURTH] += weight * (value - first) ** 4
        weighted = weight * value
        for order in range(HERMITE_TERMS):
            result[SLOPE + order] += weighted * POLYNOMIALS[node, order]
    for order in range(1, HERMITE_TERMS + 1):
        share = result[SLOPE + order - 1] ** 2
        for lower in range(LOSS, LOSS + order):
            result[lower] += share
        result[SLOPE + order - 1] = order * share


evaluated, moments = rounded_each(evaluated), rounded_each(moments)

# Almost every smooth activation follows a BN: its input is standard normal.
AFTER_BN = np.stack([evaluated_moments(function, 0.0, 1.0) for function in range(3)])


@inlined
def smoothed(state: np.ndarray, base: int, kurtosis: float, function: int) -> tuple[float, float]:
    """A smooth function of a channel, like `rectified`."""
    variance = state[base + VARIANCE]
    centred = state[base + MEAN] == 0 and variance == 1
    table = AFTER_BN[function]
    if not centred:
        # The end of the row is room to work.
        table = state[state.size - SPARE :]
        moments(function, state[base + MEAN], variance, table)
    fluctuation = 8 * (1 - scale_mean(kurtosis * kurtosis_of(state[base + FOURTH] / (3 * variance * variance))))
    mean = table[FIRST] + table[FIRST_CURVATURE] * fluctuation
    spread = table[SECOND] + table[SECOND_CURVATURE] * fluctuation - mean * mean
    state[base + MEAN], state[base + VARIANCE], state[base + CHANGE] = mean, spread, 0.0
    state[base + THIRD], state[base + FOURTH] = table[CENTRAL_THIRD], table[CENTRAL_FOURTH] - 3 * spread * spread
    linear = table[SLOPE] / table[LOSS]
    if state[RUNS] < 2:
        state[base + COVARIANCE] = spread
        return linear, 1.0
    rho = state[base + COVARIANCE] / variance
    # Four terms at a time, whose powers do not wait for each other.
    power, square = 1.0, rho * rho
    fourth = square * square
    lost = slope = 0.0
    for order in range(0, HERMITE_TERMS, 4):
        place = LOSS + order
        lost += power * ((table[place] + table[place + 1] * rho) + (table[place + 2] + table[place + 3] * rho) * square)
        place = SLOPE + order
        slope += power * (
            (table[place] + table[place + 1] * rho) + (table[place + 2] + table[place + 3] * rho) * square
        )
        power *= fourth
    state[base + COVARIANCE] = spread - (1 - rho) * lost * spread / table[LOSS]
    return linear, slope / lost
