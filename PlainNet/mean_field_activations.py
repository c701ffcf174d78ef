"""Mean-field rules of pointwise functions.

Sources: Cho and Saul 2009 for the rectifier's covariance (arc-cosine kernel of degree 1); Daniely et al. 2016 for the
Hermite expansion of any other function's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from PlainNet.mean_field import Group, State, Texture

# The median position of a log-normal norm lies where a rectifier's centred second moment reacts less than in proportion; to
# first order that lowers the norm's relative variance r to r / (1 + SATURATION r).
SATURATION = 0.145
# The share of a channel's correlation between neighbours that a rectifier or a swish passes on, in terms of reach.
REACH_KEPT = 0.7
SQRT_2PI = math.sqrt(2 * math.pi)
NODES = 96
TERMS = 40


def rectified(state: State) -> State:
    """max(x, 0)."""
    return _activated(state, _rectified_group)


def smooth(state: State, function: Callable[[float], float]) -> State:
    """A pointwise function, by quadrature."""
    return _activated(state, lambda group, excess: _smooth_group(group, excess, function))


def _activated(state: State, rule: Callable[[Group, float], tuple[Group, float]]) -> State:
    texture = state.texture
    groups: list[Group] = []
    gain = 0.0
    for group in state.groups:
        after, linear = rule(group, texture.excess)
        groups.append(after)
        gain += group.channels * linear
    gain /= state.channels
    changed = Texture(
        texture.norm / (1 + SATURATION * texture.norm),
        texture.norm_reach,
        texture.overlap * gain * gain,
        texture.overlap_reach,
        1 + REACH_KEPT * (texture.reach - 1),
    )
    return State(tuple(groups), state.size, state.diffusion, changed, state.log_scale)


def _rectified_group(group: Group, excess: float) -> tuple[Group, float]:
    variance = group.variance + group.offset
    covariance = group.covariance + group.offset
    scale = math.sqrt(variance)
    a = group.mean / scale
    skew, kurtosis = group.third / (variance * scale), group.fourth / (variance * variance)
    # E s of a log-normal scale s with E s^2 = 1 and E s^4 = excess.
    shrink = (excess * (1 + kurtosis / 3)) ** -0.125
    narrow = a / shrink
    density = math.exp(-0.5 * a * a) / SQRT_2PI
    mass = 0.5 * (1 + math.erf(a / math.sqrt(2)))
    narrow_density = math.exp(-0.5 * narrow * narrow) / SQRT_2PI
    narrow_mass = 0.5 * (1 + math.erf(narrow / math.sqrt(2)))
    # Gram-Charlier terms of the third cumulant: E f He_3 / 6 with f = x+ and x+^2.
    mean = a * narrow_mass + shrink * narrow_density - skew / 6 * a * density
    second = (1 + a * a) * mass + a * density + skew / 3 * density
    change = max(0.0, variance - covariance) / variance
    kept = change * mass - math.exp(-0.5 * a * a) * _kernel_deficit(change)
    spread = second - mean * mean
    third, fourth = _rectified_cumulants(a, mass, density)
    linear = mass * mass / spread
    own = 1 + kurtosis / 3
    fourth = ((fourth / spread**2 + 3) * own - 3) * spread * spread if a == 0 else fourth
    power = variance
    return (
        Group(
            group.channels,
            mean * scale,
            spread * power,
            (spread - kept) * power,
            0.0,
            third * power * scale,
            fourth * power * power,
        ),
        linear,
    )


def _kernel_deficit(change: float) -> float:
    """By how much the arc-cosine kernel loses less than change / 2 between correlation 1 and 1 - change."""
    rho = max(-1.0, 1 - change)
    kernel = (math.sqrt(max(0.0, 1 - rho * rho)) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)
    return change / 2 - (0.5 - kernel)


def _rectified_cumulants(a: float, mass: float, density: float) -> tuple[float, float]:
    first = a * mass + density
    second = (1 + a * a) * mass + a * density
    third = (a**3 + 3 * a) * mass + (a * a + 2) * density
    fourth = (a**4 + 6 * a * a + 3) * mass + (a**3 + 5 * a) * density
    variance = second - first * first
    central_third = third - 3 * first * second + 2 * first**3
    central_fourth = fourth - 4 * first * third + 6 * first * first * second - 3 * first**4
    return central_third, central_fourth - 3 * variance * variance


class Moments(NamedTuple):
    """A function of a Gaussian: mean, second moment, third and fourth central moments, Hermite weights.

    curvature, second_curvature: change of the first two moments with the variance's relative variance.
    """

    mean: float
    second: float
    third: float
    fourth: float
    hermite: tuple[float, ...]
    curvature: float
    second_curvature: float


def _smooth_group(group: Group, excess: float, function: Callable[[float], float]) -> tuple[Group, float]:
    variance = group.variance + group.offset
    covariance = group.covariance + group.offset
    moments = gaussian_moments(function, group.mean, variance)
    total = excess * (1 + group.fourth / (3 * variance * variance))
    fluctuation = 8 * (1 - total**-0.125)
    mean = moments.mean + moments.curvature * fluctuation
    spread = moments.second + moments.second_curvature * fluctuation - mean * mean
    rho = covariance / variance
    power, change = 1.0, 0.0
    for weight in moments.hermite:
        power *= rho
        change += weight * (1 - power)
    change *= spread / sum(moments.hermite)
    linear = moments.hermite[0] / sum(moments.hermite)
    own = spread * spread
    return Group(group.channels, mean, spread, spread - change, 0.0, moments.third, moments.fourth - 3 * own), linear


@lru_cache(maxsize=4_096)
def gaussian_moments(function: Callable[[float], float], mean: float, variance: float) -> Moments:
    """Moments of function(x), x normal, by the trapezoidal rule (exponentially accurate for a Gaussian weight)."""
    first, second, third, fourth, hermite = _integrals(function, mean, variance)
    step = 0.25
    up = _integrals(function, mean, variance * (1 + step))
    down = _integrals(function, mean, variance * (1 - step))
    curvature = (up[0] - 2 * first + down[0]) / (2 * step * step)
    second_curvature = (up[1] - 2 * second + down[1]) / (2 * step * step)
    return Moments(first, second, third, fourth, hermite, curvature, second_curvature)


def _integrals(
    function: Callable[[float], float], mean: float, variance: float
) -> tuple[float, float, float, float, tuple[float, ...]]:
    step, scale = 18.0 / NODES / 4, math.sqrt(variance)
    nodes = [(index - 2 * NODES) * step for index in range(4 * NODES + 1)]
    weights = [step * math.exp(-0.5 * z * z) / SQRT_2PI for z in nodes]
    values = [function(mean + scale * z) for z in nodes]
    first = sum([w * f for w, f in zip(weights, values, strict=True)])
    second = sum([w * f * f for w, f in zip(weights, values, strict=True)])
    third = sum([w * (f - first) ** 3 for w, f in zip(weights, values, strict=True)])
    fourth = sum([w * (f - first) ** 4 for w, f in zip(weights, values, strict=True)])
    before, now = [1.0] * len(nodes), nodes
    hermite = []
    for order in range(1, TERMS + 1):
        coefficient = sum([w * f * h for w, f, h in zip(weights, values, now, strict=True)])
        hermite.append(coefficient * coefficient)
        # Normalised Hermite polynomials: sqrt(n + 1) h_{n+1} = z h_n - sqrt(n) h_{n-1}.
        root, previous = math.sqrt(order + 1), math.sqrt(order)
        before, now = now, [(z * h - previous * g) / root for z, h, g in zip(nodes, now, before, strict=True)]
    return first, second, third, fourth, tuple(hermite)


def hard_swish(x: float) -> float:
    """x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)."""
    return x * min(max(x + 3, 0.0), 6.0) / 6


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + math.exp(-x))


def swish(x: float) -> float:
    """x sigmoid(x)."""
    return x * sigmoid(x)
