"""What a sliding window over a map leaves of fluctuations and profiles; docs/zen_closed_form.md derives the formulas."""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    DONE,
    FIELDS,
    HEADER,
    LARGEST_KERNEL,
    MEAN,
    OFFSET,
    PROFILE,
    PROFILE_ROWS,
    ROOT,
    SIZE,
    SPARE,
    VARIANCE,
    WINDOW_TOO_LARGE,
)


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
