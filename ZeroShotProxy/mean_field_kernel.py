"""Mean-field theory of random networks: carries out the steps of `PlainNet.mean_field` on numbers that describe a map.

A map is a row of numbers: a header, up to `GROUPS` groups of channels of one kind, and two profiles along one axis, of the
variance and of the squared difference between the runs. docs/zen_closed_form.md derives every formula. Sources: Cho and Saul
2009 (arc-cosine kernel), Poole et al. 2016 and Yang et al. 2019 (mean field with BN), Hanin and Nica 2020 (finite width).

Compiled by numba where that is installed; without it everything works, about a hundred times slower.
"""

from __future__ import annotations

import math

import numpy as np

from ZeroShotProxy.mean_field_activations import compiled, rectified, smoothed

# Header of a map. NORM: relative variance from position to position of the squared norm that all channels share. OVERLAP:
# mean squared correlation between two channels. *_LAG: variance, in squared pixels, of the distance over which these are
# alike. JITTER: half the relative variance of BN's statistic over draws of the weights. CHANGE_NORM: NORM of the difference
# between the clean and the perturbed run; CHANGE_OWN: what one channel adds to it. ROOT: mean square root of the profile.
COUNT, SIZE, LOG_SCALE, NORM, NORM_LAG, OVERLAP, OVERLAP_LAG, JITTER, CHANGE_NORM, CHANGE_OWN, ROOT = range(11)
HEADER = 11
# A group. OFFSET: variance over channels of a channel's own mean. THIRD, FOURTH: cumulants. CHANGE: mean absolute
# difference of the two runs, right behind a rectifier only; 0 elsewhere, where the difference is Gaussian.
CHANNELS, MEAN, VARIANCE, COVARIANCE, OFFSET, THIRD, FOURTH, CHANGE = range(8)
FIELDS = 8
GROUPS = 24
PROFILE = HEADER + GROUPS * FIELDS
# Rows of the map's height behind the groups: two profiles and room to work.
PROFILE_ROWS = 6
STACK = 12

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

DONE, TOO_MANY_GROUPS, WINDOW_TOO_LARGE, SHAPES_DIFFER, UNEVEN_POOLING, TOO_DEEP, NO_POSITIONS, NOT_JOINED = range(8)


@compiled
def averaged(lag: float, kernel: int) -> float:
    """Share of a fluctuation's variance that stays after averaging over a k x k window; its lags are Gaussian."""
    if kernel == 1:
        return 1.0
    total = float(kernel)
    if lag > 1e-9:
        # exp(-d^2 / (2 lag)) by its ratios, each the square of the first times the one before.
        ratio = math.exp(-1 / (2 * lag))
        square = ratio * ratio
        value = 1.0
        for distance in range(1, kernel):
            value *= ratio
            ratio *= square
            total += 2 * (kernel - distance) * value
    return (total / (kernel * kernel)) ** 2


@compiled
def moved(lag: float, kernel: int, stride: int) -> float:
    """A lag variance after a k x k window, whose own lags are triangular, and a stride."""
    return (lag + (kernel * kernel - 1) / 6) / (stride * stride)


@compiled
def constant_share(state: np.ndarray) -> float:
    """The share of the map's mean square that is constant over positions, its channels' means."""
    constant = total = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        square = state[base + CHANNELS] * (state[base + MEAN] * state[base + MEAN] + state[base + OFFSET])
        constant += square
        total += square + state[base + CHANNELS] * state[base + VARIANCE]
    return constant / total


@compiled
def total(numbers: np.ndarray) -> float:
    result = 0.0
    for index in range(numbers.size):
        result += numbers[index]
    return result


@compiled
def read_tap(
    summed: np.ndarray,
    changed: np.ndarray,
    seen: np.ndarray,
    profile: np.ndarray,
    change: np.ndarray,
    root: np.ndarray,
    positions: int,
) -> float:
    """Add what one tap reads to the sums of a window; the mean root that the tap sees, over all positions of the output."""
    deviation = total(root) / positions
    # A loop each: the compiler takes several positions at once where it can tell that two arrays do not overlap.
    for index in range(summed.size):
        summed[index] += profile[index]
    for index in range(changed.size):
        changed[index] += change[index]
    for index in range(seen.size):
        seen[index] += deviation * root[index]
    return deviation


@compiled
def slide(state: np.ndarray, kernel: int, stride: int) -> tuple[int, float, float, float]:
    """Replace the profiles by those behind a zero-padded window; sums over the taps of what they see.

    The sums, k^2 where no tap meets the border: of the variance, of the squared mean, of the runs' squared difference.
    """
    size = int(state[SIZE])
    if kernel == 1 and stride == 1:
        square = state[ROOT] * state[ROOT]
        return DONE, 1.0, square * square, 1.0
    padding = (kernel - 1) // 2
    out = (size + 2 * padding - kernel) // stride + 1
    if out < 1:
        return WINDOW_TOO_LARGE, 0.0, 0.0, 0.0
    # Room behind the profiles: sums of the profile, of the change and of the mean that a position sees; roots.
    room = (state.size - PROFILE) // PROFILE_ROWS
    profile, change = state[PROFILE : PROFILE + size], state[PROFILE + size : PROFILE + 2 * size]
    work = state[PROFILE + 2 * room :]
    summed, changed, seen = work[:out], work[room : room + out], work[2 * room : 2 * room + out]
    root = work[3 * room : 3 * room + size]
    for position in range(size):
        root[position] = math.sqrt(profile[position])
    for position in range(out):
        summed[position] = changed[position] = seen[position] = 0.0
    inside_mean = 0.0
    for tap in range(kernel):
        # Output positions whose tap lands inside the map, and the input positions that they read.
        begin = max(0, (padding - tap + stride - 1) // stride)
        end = min(out, (size - 1 + padding - tap) // stride + 1)
        if begin >= end:
            continue
        first, last = begin * stride - padding + tap, (end - 1) * stride - padding + tap
        to = slice(begin, end)
        if stride == 1:
            # Neighbours in memory: the compiler takes several at once.
            read = slice(first, last + 1)
            deviation = read_tap(summed[to], changed[to], seen[to], profile[read], change[read], root[read], out)
        else:
            apart = slice(first, last + 1, stride)
            deviation = read_tap(summed[to], changed[to], seen[to], profile[apart], change[apart], root[apart], out)
        inside_mean += deviation * deviation
    inside, changed_inside = total(summed) / out, total(changed) / out
    # Channel means add the square of what a position misses of them: sum over taps of (mean - mean on average)^2.
    constant = constant_share(state)
    scale = 1 / (inside * inside - constant * inside_mean * inside_mean)
    state[SIZE] = out
    profile, change = state[PROFILE : PROFILE + out], state[PROFILE + out : PROFILE + 2 * out]
    for position in range(out):
        around = constant * inside_mean * (inside_mean - 2 * seen[position])
        profile[position] = max(0.0, (summed[position] * inside + around) * scale)
    for position in range(out):
        change[position] = changed[position] / changed_inside
    root = work[3 * room : 3 * room + out]
    for position in range(out):
        root[position] = math.sqrt(profile[position])
    state[ROOT] = total(root) / out
    return DONE, inside * inside, inside_mean * inside_mean, changed_inside * changed_inside


@compiled
def own_cumulant(excess_kurtosis: float, squared_skewness: float, terms: float) -> float:
    """Fourth cumulant, less the squared third, of a unit-variance sum of `terms` equal terms with normal weights w.

    E sum w^4 / (sum w^2)^2 = 3 / (n + 2) and E (sum w^3)^2 / (sum w^2)^3 = 15 / ((n + 2)(n + 4)). The squared third belongs
    here because E |y| of an almost Gaussian y is lowered by fourth / 24 and raised by third^2 / 24.
    """
    return 3 * excess_kurtosis / (terms + 2) - 15 * squared_skewness / ((terms + 2) * (terms + 4))


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
def depthwise(state: np.ndarray, kernel: int, stride: int) -> int:
    reached = min(kernel, int(state[SIZE]))
    failure, inside, inside_mean, changed = slide(state, kernel, stride)
    if failure:
        return failure
    taps = float(reached * reached)
    width = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        variance = state[base + VARIANCE]
        excess, skewness = state[base + FOURTH] / variance**2, state[base + THIRD] ** 2 / variance**3
        through_window(state, base, inside, inside_mean, changed)
        state[base + THIRD] = 0.0
        state[base + FOURTH] = own_cumulant(excess, skewness, taps) * state[base + VARIANCE] ** 2
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
def dense(state: np.ndarray, out_channels: int, kernel: int, stride: int, parts: int) -> int:
    reached = min(kernel, int(state[SIZE]))
    failure, inside, inside_mean, changed = slide(state, kernel, stride)
    if failure:
        return failure
    total = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        total += state[base + CHANNELS] * state[base + VARIANCE]
    variance = covariance = offset = own_norm = own_overlap = skewness = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        channels = state[base + CHANNELS]
        share = channels * state[base + VARIANCE] / total
        own_overlap += share * share / channels
        own_norm += share * share / channels * (2 + state[base + FOURTH] / state[base + VARIANCE] ** 2)
        skewness += share * state[base + THIRD] ** 2 / state[base + VARIANCE] ** 3
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
    state[base + FOURTH] = own_cumulant(0.0, skewness, terms) * variance * variance
    return DONE


@compiled
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
    gain /= width
    slope /= width
    state[CHANGE_NORM] *= slope * slope
    # Where the runs have parted for good, their difference follows the variance.
    size = int(state[SIZE])
    for position in range(PROFILE, PROFILE + size):
        state[position + size] = slope * state[position + size] + (1 - slope) * state[position]
    state[CHANGE_OWN] = ACTIVATED_CHANGE
    state[NORM] /= 1 + SATURATION * state[NORM]
    state[OVERLAP] *= gain * gain
