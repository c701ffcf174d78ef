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
def surround(values: np.ndarray, padding: int) -> None:
    """Zeros in place of the first and of the last `padding` values."""
    for index in range(padding):
        values[index] = values[values.size - 1 - index] = 0.0


@compiled
def window_sums(values: np.ndarray, kernel: int, stride: int, sums: np.ndarray) -> float:
    """Sums over windows of padded values; returns the sum of all of them.

    Four neighbours at a time, which the compiler takes as one: where each tap goes through all positions, every sum is stored
    and loaded again for the next tap.
    """
    whole = sums.size // 4 * 4 if stride == 1 else 0
    first = second = third = fourth = 0.0
    for position in range(0, whole, 4):
        one = two = three = four = 0.0
        for place in range(position, position + kernel):
            one += values[place]
            two += values[place + 1]
            three += values[place + 2]
            four += values[place + 3]
        sums[position], sums[position + 1], sums[position + 2], sums[position + 3] = one, two, three, four
        first += one
        second += two
        third += three
        fourth += four
    for position in range(whole, sums.size):
        one = 0.0
        for place in range(position * stride, position * stride + kernel):
            one += values[place]
        sums[position] = one
        first += one
    return (first + second) + (third + fourth)


@compiled
def add_window_sums(
    values: np.ndarray, weights: np.ndarray, kernel: int, stride: int, factor: float, sums: np.ndarray
) -> None:
    """Add to each sum `factor` times that of padded values over its window, weighted."""
    whole = sums.size // 4 * 4 if stride == 1 else 0
    for position in range(0, whole, 4):
        one = two = three = four = 0.0
        for tap in range(kernel):
            weight, place = weights[tap], position + tap
            one += weight * values[place]
            two += weight * values[place + 1]
            three += weight * values[place + 2]
            four += weight * values[place + 3]
        sums[position] += factor * one
        sums[position + 1] += factor * two
        sums[position + 2] += factor * three
        sums[position + 3] += factor * four
    for position in range(whole, sums.size):
        one = 0.0
        for tap in range(kernel):
            one += weights[tap] * values[position * stride + tap]
        sums[position] += factor * one


@compiled
def tap_means(root: np.ndarray, kernel: int, stride: int, out: int, means: np.ndarray) -> float:
    """The mean root that each tap sees, over all positions of the output, of padded roots; returns the sum of their squares."""
    square, share = 0.0, 1 / out
    for tap in range(kernel):
        if tap >= stride:
            # What the tap one stride before sees, but for one position at either end.
            means[tap] = means[tap - stride] + (root[tap + (out - 1) * stride] - root[tap - stride]) * share
        elif stride == 1:
            means[tap] = total(root[:out]) * share
        else:
            seen = 0.0
            for position in range(out):
                seen += root[position * stride + tap]
            means[tap] = seen * share
        square += means[tap] * means[tap]
    return square


@compiled
def room_of(state: np.ndarray) -> int:
    """Positions for which a map's row has room."""
    return (state.size - PROFILE - SPARE) // PROFILE_ROWS


@compiled
def through_windows(
    state: np.ndarray, kernel: int, stride: int, size: int, out: int
) -> tuple[float, float, float, float]:
    """`seen_through` where a window fits. size, out: heights of the map and of what is behind the window."""
    room, padding = room_of(state), (kernel - 1) // 2
    # The room: sums of the variance and of the change; then padded profiles and the taps' weights.
    work = state[PROFILE + 2 * room :]
    summed, changed = work[:out], work[room : room + out]
    around, wide = size + 2 * padding, room + LARGEST_KERNEL
    work = work[2 * room :]
    values, change, root = work[:around], work[wide : wide + around], work[2 * wide : 2 * wide + around]
    weights = work[3 * wide : 3 * wide + kernel]
    surround(values, padding)
    surround(change, padding)
    surround(root, padding)
    for position in range(size):
        values[padding + position] = state[PROFILE + position]
    for position in range(size):
        root[padding + position] = math.sqrt(state[PROFILE + position])
    for position in range(size):
        change[padding + position] = state[PROFILE + size + position]
    inside = window_sums(values, kernel, stride, summed) / out
    changed_inside = window_sums(change, kernel, stride, changed) / out
    inside_mean = tap_means(root, kernel, stride, out, weights)
    # Channel means add the square of what a position misses of them: sum over taps of (mean - mean on average)^2.
    constant = constant_share(state)
    scale = 1 / (inside * inside - constant * inside_mean * inside_mean)
    kept, square = inside * scale, constant * inside_mean * inside_mean * scale
    share = 1 / changed_inside
    for position in range(out):
        summed[position] = summed[position] * kept + square
    for position in range(out):
        changed[position] *= share
    add_window_sums(root, weights, kernel, stride, -2 * constant * inside_mean * scale, summed)
    root = values[:out]
    for position in range(out):
        # Rounding must not bring it below 0.
        summed[position] = max(0.0, summed[position])
        root[position] = math.sqrt(summed[position])
    return total(root) / out, inside * inside, inside_mean * inside_mean, changed_inside * changed_inside


@compiled
def seen_through(state: np.ndarray, kernel: int, stride: int) -> tuple[int, float, float, float, float]:
    """The profiles behind a zero-padded window, left in the room behind the map's own; 0 for their height if it does not fit.

    (height, mean root, sums over the taps of what they see.) The sums, k^2 where no tap meets the border: of the variance, of
    the squared mean, of the runs' squared difference.
    """
    size = int(state[SIZE])
    out = (size + (kernel - 1) // 2 * 2 - kernel) // stride + 1
    if out < 1 or kernel > LARGEST_KERNEL:
        return 0, 0.0, 0.0, 0.0, 0.0
    # Loops over the taps of the commonest windows are unrolled.
    if kernel == 3:
        root, inside, inside_mean, changed = through_windows(state, 3, stride, size, out)
    elif kernel == 5:
        root, inside, inside_mean, changed = through_windows(state, 5, stride, size, out)
    elif kernel == 7:
        root, inside, inside_mean, changed = through_windows(state, 7, stride, size, out)
    else:
        root, inside, inside_mean, changed = through_windows(state, kernel, stride, size, out)
    return out, root, inside, inside_mean, changed


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
