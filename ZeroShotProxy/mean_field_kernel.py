"""Mean-field theory of random networks: carries out the steps of `PlainNet.mean_field` on numbers that describe a map.

docs/zen_closed_form.md derives every formula. Sources: Cho and Saul 2009 (arc-cosine kernel), Poole et al. 2016 and Yang et al.
2019 (mean field with BN), Hanin and Nica 2020 (finite width).

Compiled by numba where that is installed; without it everything works, about a hundred times slower.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from PlainNet.compiling import compiled, inlined
from ZeroShotProxy.mean_field_activations import rectified, smoothed
from ZeroShotProxy.mean_field_map import (
    CHANGE,
    CHANGE_NORM,
    CHANGE_OWN,
    CHANNELS,
    COUNT,
    COVARIANCE,
    DONE,
    FIELDS,
    FOURTH,
    HEADER,
    JITTER,
    LOG_SCALE,
    MEAN,
    NORM,
    NORM_LAG,
    OFFSET,
    OVERLAP,
    OVERLAP_LAG,
    PROFILE,
    RUNS,
    SIZE,
    THIRD,
    VARIANCE,
)
from ZeroShotProxy.mean_field_windows import averaged, moved, slide

# An argument of this type, where the same function is called with a variable elsewhere: for a literal number it would be
# compiled a second time.
ONE: Any = np.int64(1)
# Fitted, on networks other than those of the tests: the lag variance of what one channel adds to NORM and OVERLAP. Random
# weights make it 0 at infinite width; maps behind layers of 8 to 32 channels need about one pixel.
OWN_LAG = 1.0
# A rectifier's centred second moment is not proportional to the norm at a position. What it leaves of the relative variance r
# of a log-normal norm is r / (1 + SATURATION r) for small r, if the mean root is to come out right (by quadrature).
SATURATION = 0.08
# BN's running variance starts at 1 and moves by 0.1 towards the batch variance in each of two passes.
BN_KEPT, BN_MOVED = 0.81, 0.19

# Relative variance of a channel's squared difference: 2 for a Gaussian one, 3 E f'^4 / (E f'^2)^2 - 1 behind a function f,
# which is 5 for the rectifier and 5.1 for hard-swish.
LINEAR_CHANGE, ACTIVATED_CHANGE = 2.0, 5.0


@compiled
def cumulant_weights(terms: float) -> tuple[float, float]:
    """Of excess kurtosis and squared skewness in the fourth cumulant, less the squared third, of a sum.

    The sum of `terms` equal terms with normal weights w has unit variance. E sum w^4 / (sum w^2)^2 = 3 / (n + 2) and
    E (sum w^3)^2 / (sum w^2)^3 = 15 / ((n + 2)(n + 4)). The squared third belongs here because E |y| of an almost Gaussian y is
    lowered by fourth / 24 and raised by third^2 / 24.
    """
    return 3 / (terms + 2), -15 / ((terms + 2) * (terms + 4))


@compiled
def through_window(state: np.ndarray, base: int, inside: float, inside_mean: float, changed: float) -> None:
    """One channel's moments after a window of unit-variance weights, in place.

    Where the window reaches beyond the border it misses part of the mean: that varies over positions.
    """
    square = state[base + MEAN] * state[base + MEAN] + state[base + OFFSET]
    lost = (state[base + VARIANCE] - state[base + COVARIANCE]) * changed
    state[base + VARIANCE] = state[base + VARIANCE] * inside + square * (inside - inside_mean)
    state[base + COVARIANCE] = state[base + VARIANCE] - lost
    state[base + OFFSET] = square * inside_mean
    state[base + MEAN] = state[base + CHANGE] = 0.0


@compiled
def channel_sum(
    state: np.ndarray, base: int, inside: float, inside_mean: float, changed: float, weights: tuple[float, float]
) -> None:
    """A group of channels behind a depth-wise window, in place; `weights` are those of the cumulants."""
    inverse = 1 / state[base + VARIANCE]
    square = inverse * inverse
    excess, skewness = state[base + FOURTH] * square, state[base + THIRD] * state[base + THIRD] * square * inverse
    through_window(state, base, inside, inside_mean, changed)
    state[base + THIRD] = 0.0
    own = weights[0] * excess + weights[1] * skewness
    state[base + FOURTH] = own * state[base + VARIANCE] * state[base + VARIANCE]


@compiled
def depthwise(state: np.ndarray, kernel: int, stride: int) -> int:
    """A depthwise convolution, in place; returns why it failed, or `DONE`."""
    reached = min(kernel, int(state[SIZE]))
    failure, inside, inside_mean, changed = slide(state, kernel, stride, 0.0)
    if failure:
        return failure
    taps = float(reached * reached)
    weights = cumulant_weights(taps)
    width = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        channel_sum(state, base, inside, inside_mean, changed, weights)
        width += state[base + CHANNELS]
    kept = averaged(state[NORM_LAG], reached)
    state[NORM] *= kept
    state[CHANGE_NORM] *= kept
    state[OVERLAP] *= averaged(state[OVERLAP_LAG], reached)
    state[CHANGE_OWN] = LINEAR_CHANGE
    for lag in (NORM_LAG, OVERLAP_LAG):
        state[lag] = moved(state[lag], reached, stride)
    state[JITTER] += 1 / (taps * width)
    return DONE


@compiled
def ghost(state: np.ndarray, out_channels: int, kernel: int, stride: int, cheap_kernel: int) -> int:
    """A ghost convolution: `dense` to half of the channels, then what a depth-wise window makes of these beside them.

    The same as to copy, `depthwise`, concatenate and keep the first channels, without moving maps about.
    """
    half = (out_channels + 1) // 2
    failure = dense(state, half, kernel, stride, ONE)
    if failure:
        return failure
    reached = min(cheap_kernel, int(state[SIZE]))
    # Header and profiles are means of the two halves, which are as wide as each other before channels are left out.
    failure, inside, inside_mean, changed = slide(state, cheap_kernel, ONE, 0.5)
    if failure:
        return failure
    taps = float(reached * reached)
    base = HEADER + FIELDS
    for field in range(FIELDS):
        state[base + field] = state[HEADER + field]
    channel_sum(state, base, inside, inside_mean, changed, cumulant_weights(taps))
    state[base + CHANNELS] = out_channels - half
    state[COUNT] = 2
    kept = 0.5 + 0.5 * averaged(state[NORM_LAG], reached)
    state[NORM] *= kept
    state[CHANGE_NORM] *= kept
    state[OVERLAP] *= 0.5 + 0.5 * averaged(state[OVERLAP_LAG], reached)
    state[CHANGE_OWN] = 0.5 * state[CHANGE_OWN] + 0.5 * LINEAR_CHANGE
    for lag in (NORM_LAG, OVERLAP_LAG):
        state[lag] = 0.5 * state[lag] + 0.5 * moved(state[lag], reached, ONE)
    state[JITTER] += 0.5 / (taps * half)
    return DONE


@compiled
def dense(state: np.ndarray, out_channels: int, kernel: int, stride: int, parts: int) -> int:
    """A convolution over all channels, or all of each of `parts` groups, in place; returns why it failed, or `DONE`."""
    reached = min(kernel, int(state[SIZE]))
    failure, inside, inside_mean, changed = slide(state, kernel, stride, 0.0)
    if failure:
        return failure
    total = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        total += state[base + CHANNELS] * state[base + VARIANCE]
    variance = covariance = offset = own_norm = own_overlap = skewness = 0.0
    total_inverse = 1 / total
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        channels = state[base + CHANNELS]
        inverse = 1 / state[base + VARIANCE]
        square = inverse * inverse
        # The group's share of the sum of variances, and that share squared over its channels.
        relative = state[base + VARIANCE] * total_inverse
        share = channels * relative
        part = share * relative
        own_overlap += part
        own_norm += part * (2 + state[base + FOURTH] * square)
        skewness += share * state[base + THIRD] * state[base + THIRD] * square * inverse
        through_window(state, base, inside, inside_mean, changed)
        variance += channels * state[base + VARIANCE]
        covariance += channels * state[base + COVARIANCE]
        offset += channels * state[base + OFFSET]
    mix_texture(state, reached, stride, own_norm, own_overlap)
    state[JITTER] += state[OVERLAP] / out_channels
    variance /= parts
    terms = reached * reached / own_overlap / parts
    base = HEADER
    state[COUNT] = 1
    state[base + CHANNELS] = out_channels
    state[base + MEAN], state[base + VARIANCE], state[base + COVARIANCE] = 0.0, variance, covariance / parts
    state[base + OFFSET], state[base + THIRD], state[base + CHANGE] = offset / parts, 0.0, 0.0
    _, skewness_weight = cumulant_weights(terms)
    state[base + FOURTH] = skewness_weight * skewness * variance * variance
    return DONE


@inlined
def mix_texture(state: np.ndarray, kernel: int, stride: int, own_norm: float, own_overlap: float) -> None:
    """NORM and OVERLAP behind a window over all channels: what they shared, and what each brought of its own."""
    kept = averaged(OWN_LAG, kernel)
    passed = averaged(state[NORM_LAG], kernel)
    change = (1 + state[CHANGE_NORM] * passed) * (1 + state[CHANGE_OWN] * own_overlap * kept) - 1
    state[CHANGE_NORM], state[CHANGE_OWN] = change, LINEAR_CHANGE
    norm, own_norm = state[NORM] * passed, own_norm * kept
    overlap, own_overlap = state[OVERLAP] * averaged(state[OVERLAP_LAG], kernel), own_overlap * kept
    state[NORM] = norm + own_norm + norm * own_norm
    state[OVERLAP] = overlap + own_overlap
    lag = (norm * state[NORM_LAG] + own_norm * OWN_LAG) / (norm + own_norm)
    state[NORM_LAG] = moved(lag, kernel, stride)
    lag = (overlap * state[OVERLAP_LAG] + own_overlap * OWN_LAG) / (overlap + own_overlap)
    state[OVERLAP_LAG] = moved(lag, kernel, stride)


@compiled
def normalise(state: np.ndarray, epsilon: float) -> None:
    """BN: unit variance, and half the logarithm of the running variance into the score."""
    total = width = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        total += state[base + CHANNELS] * state[base + VARIANCE]
        width += state[base + CHANNELS]
        scale = 1 / (state[base + VARIANCE] + epsilon)
        state[base + COVARIANCE] *= scale
        state[base + THIRD] *= scale * math.sqrt(scale)
        state[base + FOURTH] *= scale * scale
        # Exactly 1 where it is 1: functions of a standard normal have been worked out before.
        state[base + VARIANCE] = 1.0 if epsilon == 0 else state[base + VARIANCE] * scale
        state[base + MEAN] = state[base + OFFSET] = state[base + CHANGE] = 0.0
    if state[RUNS] == 2:
        # Mean of the logarithm over draws of the weights, to second order.
        state[LOG_SCALE] += 0.5 * math.log(BN_KEPT + BN_MOVED * total / width / (1 + state[JITTER]))
    state[JITTER] = 0.0


@compiled
def excess(state: np.ndarray) -> float:
    """Kurtosis over 3 of a channel, 1 for a Gaussian: norms that vary raise it, joint Gaussians that overlap do not."""
    return (1 + state[NORM]) / (1 + 2 * state[OVERLAP])


@compiled
def activate(state: np.ndarray, function: int) -> None:
    """A pointwise function on every group; function -1 is the rectifier."""
    kurtosis = excess(state)
    gain = slope = width = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        state[base + VARIANCE] += state[base + OFFSET]
        state[base + COVARIANCE] += state[base + OFFSET]
        state[base + OFFSET] = 0.0
        linear, steepness = (
            rectified(state, base, kurtosis) if function < 0 else smoothed(state, base, kurtosis, function)
        )
        gain += state[base + CHANNELS] * linear
        slope += state[base + CHANNELS] * steepness
        width += state[base + CHANNELS]
    width_inverse = 1 / width
    gain *= width_inverse
    slope *= width_inverse
    state[CHANGE_NORM] *= slope * slope
    if state[RUNS] == 2:
        # Where the runs have parted for good, their difference follows the variance.
        size = int(state[SIZE])
        for position in range(PROFILE, PROFILE + size):
            state[position + size] = slope * state[position + size] + (1 - slope) * state[position]
    state[CHANGE_OWN] = ACTIVATED_CHANGE
    state[NORM] /= 1 + SATURATION * state[NORM]
    state[OVERLAP] *= gain * gain
