"""Mean-field theory of random networks: carries out the steps of `PlainNet.mean_field` on numbers that describe a map.

A map is a row of numbers: a header, up to `GROUPS` groups of channels of one kind, and two profiles along one axis, of the
variance and of the squared difference between the runs. docs/zen_closed_form.md derives every formula. Sources: Cho and Saul
2009 (arc-cosine kernel), Poole et al. 2016 and Yang et al. 2019 (mean field with BN), Hanin and Nica 2020 (finite width).

Compiled by numba where that is installed; without it everything works, about a hundred times slower.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from ZeroShotProxy.mean_field_activations import rectified, smoothed

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
# Rows of the map's height behind the groups: two profiles and room to work, with a window's padding and weights besides.
PROFILE_ROWS = 6
LARGEST_KERNEL = 31
SPARE = 2 * LARGEST_KERNEL
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
    """Their sum, in four parts: additions that wait for each other are what a sum in one part costs."""
    one = two = three = four = 0.0
    whole = numbers.size // 4 * 4
    for index in range(0, whole, 4):
        one += numbers[index]
        two += numbers[index + 1]
        three += numbers[index + 2]
        four += numbers[index + 3]
    for index in range(whole, numbers.size):
        one += numbers[index]
    return (one + two) + (three + four)


@compiled
def padded(values: np.ndarray, padding: int, target: np.ndarray) -> None:
    """The values with that many zeros before and behind them."""
    for index in range(padding):
        target[index] = target[padding + values.size + index] = 0.0
    for index in range(values.size):
        target[padding + index] = values[index]


@compiled
def window_sums(values: np.ndarray, weights: np.ndarray, stride: int, sums: np.ndarray) -> None:
    """Weighted sums over windows of padded values; an odd number of weights.

    Three taps, then two at a time, and a loop each: the compiler takes several positions at once where they are neighbours.
    """
    kernel = weights.size
    if stride > 1 or kernel < 3:
        for position in range(sums.size):
            sums[position] = 0.0
            for tap in range(kernel):
                sums[position] += weights[tap] * values[position * stride + tap]
        return
    one, two, three = weights[0], weights[1], weights[2]
    for position in range(sums.size):
        sums[position] = one * values[position] + two * values[position + 1] + three * values[position + 2]
    for tap in range(3, kernel, 2):
        one, two = weights[tap], weights[tap + 1]
        for position in range(sums.size):
            sums[position] += one * values[position + tap] + two * values[position + tap + 1]


@compiled
def tap_means(root: np.ndarray, kernel: int, stride: int, out: int, means: np.ndarray) -> None:
    """The mean root that each tap sees, over all positions of the output, of padded roots."""
    if stride == 1:
        # A tap sees what its neighbour sees but for one position at either end.
        means[0] = total(root[:out])
        for tap in range(1, kernel):
            means[tap] = means[tap - 1] + root[tap + out - 1] - root[tap - 1]
    else:
        for tap in range(kernel):
            means[tap] = 0.0
            for position in range(out):
                means[tap] += root[position * stride + tap]
    for tap in range(kernel):
        means[tap] /= out


@compiled
def room_of(state: np.ndarray) -> int:
    """Positions for which a map's row has room."""
    return (state.size - PROFILE - SPARE) // PROFILE_ROWS


@compiled
def seen_through(state: np.ndarray, kernel: int, stride: int) -> tuple[int, float, float, float, float]:
    """The profiles behind a zero-padded window, left in the room behind the map's own; 0 for their height if it does not fit.

    (height, mean root, sums over the taps of what they see.) The sums, k^2 where no tap meets the border: of the variance, of
    the squared mean, of the runs' squared difference.
    """
    size = int(state[SIZE])
    padding = (kernel - 1) // 2
    out = (size + 2 * padding - kernel) // stride + 1
    if out < 1 or kernel > LARGEST_KERNEL:
        return 0, 0.0, 0.0, 0.0, 0.0
    # The room: sums of the profile, of the change and of the mean that a position sees; padded values; weights.
    room = room_of(state)
    profile, change = state[PROFILE : PROFILE + size], state[PROFILE + size : PROFILE + 2 * size]
    work = state[PROFILE + 2 * room :]
    summed, changed, seen = work[:out], work[room : room + out], work[2 * room : 2 * room + out]
    values = work[3 * room : 3 * room + size + 2 * padding]
    weights = work[4 * room + LARGEST_KERNEL : 4 * room + LARGEST_KERNEL + kernel]
    for tap in range(kernel):
        weights[tap] = 1.0
    padded(profile, padding, values)
    window_sums(values, weights, stride, summed)
    padded(change, padding, values)
    window_sums(values, weights, stride, changed)
    padded(profile, padding, values)
    for position in range(padding, padding + size):
        values[position] = math.sqrt(values[position])
    tap_means(values, kernel, stride, out, weights)
    window_sums(values, weights, stride, seen)
    inside_mean = 0.0
    for tap in range(kernel):
        inside_mean += weights[tap] * weights[tap]
    inside, changed_inside = total(summed) / out, total(changed) / out
    # Channel means add the square of what a position misses of them: sum over taps of (mean - mean on average)^2.
    constant = constant_share(state)
    scale = 1 / (inside * inside - constant * inside_mean * inside_mean)
    missed, square = -2 * constant * inside_mean, constant * inside_mean * inside_mean
    for position in range(out):
        summed[position] = max(0.0, (summed[position] * inside + square + missed * seen[position]) * scale)
    share = 1 / changed_inside
    for position in range(out):
        changed[position] *= share
    root = values[:out]
    for position in range(out):
        root[position] = math.sqrt(summed[position])
    return out, total(root) / out, inside * inside, inside_mean * inside_mean, changed_inside * changed_inside


@compiled
def slide(state: np.ndarray, kernel: int, stride: int) -> tuple[int, float, float, float]:
    """Replace the profiles by those behind a zero-padded window; (failure, the sums of `seen_through`)."""
    if kernel == 1 and stride == 1:
        square = state[ROOT] * state[ROOT]
        return DONE, 1.0, square * square, 1.0
    out, root, inside, inside_mean, changed = seen_through(state, kernel, stride)
    if out == 0:
        return WINDOW_TOO_LARGE, 0.0, 0.0, 0.0
    room = room_of(state)
    behind = PROFILE + 2 * room
    for position in range(out):
        state[PROFILE + position] = state[behind + position]
    for position in range(out):
        state[PROFILE + out + position] = state[behind + room + position]
    state[SIZE], state[ROOT] = out, root
    return DONE, inside, inside_mean, changed


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
    failure, inside, inside_mean, changed = slide(state, kernel, stride)
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
def ghost(state: np.ndarray, channels: float, kernel: int) -> int:
    """Append what a depth-wise window makes of a map of one group, and keep so many channels.

    The same as to copy, `depthwise`, concatenate and keep the first channels, without moving maps about.
    """
    reached = min(kernel, int(state[SIZE]))
    size, root, inside, inside_mean, changed = seen_through(state, kernel, 1)
    if size == 0:
        return WINDOW_TOO_LARGE
    taps = float(reached * reached)
    half = state[HEADER + CHANNELS]
    base = HEADER + FIELDS
    for field in range(FIELDS):
        state[base + field] = state[HEADER + field]
    channel_sum(state, base, inside, inside_mean, changed, cumulant_weights(taps))
    state[base + CHANNELS] = channels - half
    state[COUNT] = 2
    # Header and profiles are means of the two halves, which are as wide as each other before channels are left out.
    kept = 0.5 + 0.5 * averaged(state[NORM_LAG], reached)
    state[NORM] *= kept
    state[CHANGE_NORM] *= kept
    state[OVERLAP] *= 0.5 + 0.5 * averaged(state[OVERLAP_LAG], reached)
    state[CHANGE_OWN] = 0.5 * state[CHANGE_OWN] + 0.5 * LINEAR_CHANGE
    for lag in (NORM_LAG, OVERLAP_LAG):
        state[lag] = 0.5 * state[lag] + 0.5 * moved(state[lag], reached, 1)
    state[JITTER] += 0.5 / (taps * half)
    state[ROOT] = 0.5 * state[ROOT] + 0.5 * root
    room = room_of(state)
    behind = PROFILE + 2 * room
    for position in range(size):
        state[PROFILE + position] = 0.5 * state[PROFILE + position] + 0.5 * state[behind + position]
    behind += room
    for position in range(size):
        state[PROFILE + size + position] = 0.5 * state[PROFILE + size + position] + 0.5 * state[behind + position]
    return DONE


@compiled
def dense(state: np.ndarray, out_channels: int, kernel: int, stride: int, parts: int) -> int:
    """A convolution over all channels, or all of each of `parts` groups, in place; returns why it failed, or `DONE`."""
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
        inverse = 1 / state[base + VARIANCE]
        square = inverse * inverse
        # The group's share of the sum of variances, and that share squared over its channels.
        share = channels * state[base + VARIANCE] / total
        part = share * state[base + VARIANCE] / total
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
