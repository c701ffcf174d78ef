"""What a sliding window over a map leaves of fluctuations and profiles; docs/zen_closed_form.md derives the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from PlainNet.compiling import compiled, inlined, unfolded
from ZeroShotProxy.four_numbers import ZEROS, Four, four, not_negative, plus, plus_times, put, roots, times, total
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
    RUNS,
    SIZE,
    SPARE,
    VARIANCE,
    WINDOW_TOO_LARGE,
)

# The sums over the taps of what they see, k^2 where no tap meets the border: of the variance, of the squared mean, of the runs'
# squared difference.
Sums = tuple[float, float, float]


@compiled
def averaged(lag: float, kernel: int) -> float:
    """Share of a fluctuation's variance that stays after averaging over a k x k window; its lags are Gaussian."""
    if kernel == 1:
        return 1.0
    total = float(kernel)
    share = 1 / total
    if lag > 1e-9:
        # exp(-d^2 / (2 lag)) by its ratios, each the square of the first times the one before.
        ratio = math.exp(-1 / (2 * lag))
        square = ratio * ratio
        value = 1.0
        for distance in range(1, kernel):
            value *= ratio
            ratio *= square
            total += 2 * (kernel - distance) * value
    mean = total * share * share
    return mean * mean


@compiled
def moved(lag: float, kernel: int, stride: int) -> float:
    """A lag variance after a k x k window, whose own lags are triangular, and a stride."""
    if kernel > 1:
        lag += (kernel * kernel - 1) * (1 / 6)
    return lag if stride == 1 else lag / (stride * stride)


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
def room_of(state: np.ndarray) -> int:
    """Positions for which a map's row has room."""
    return (state.size - PROFILE - SPARE) // PROFILE_ROWS


@compiled
def sums_of_four(values: np.ndarray, place: int, kernel: int) -> Four:
    """Sums over four neighbouring windows."""
    sums = four(values, place)
    for tap in range(1, kernel):
        sums = plus(sums, four(values, place + tap))
    return sums


@compiled
def sum_of_one(values: np.ndarray, place: int, kernel: int) -> float:
    """The sum over one window."""
    result = values[place]
    for tap in range(1, kernel):
        result += values[place + tap]
    return result


@compiled
def tap_means(padded: np.ndarray, first: float, kernel: int, stride: int, out: int, means: np.ndarray) -> float:
    """The mean of padded values that each tap sees over all positions; returns the sum of their squares.

    first: the sum of those that the first tap sees.
    """
    squares, share, last = 0.0, 1 / out, (out - 1) * stride
    for tap in range(kernel):
        mean = first * share
        if tap >= stride:
            # What the tap one stride before sees, but for one position at either end.
            before = tap - stride
            mean = means[before] + (padded[tap + last] - padded[before]) * share
        elif tap:
            seen = 0.0
            for position in range(out):
                seen += padded[position * stride + tap]
            mean = seen * share
        means[tap] = mean
        squares += mean * mean
    return squares


@unfolded
def changes_through(state: np.ndarray, size: int, kernel: int, stride: int, out: int, kept: float) -> float:
    """The profile of the runs' squared difference behind windows; the root of the last of `Sums`.

    size: of the map before them. The variance's profile behind them stands already.
    """
    room, padding = room_of(state), (kernel - 1) // 2
    sums, padded = state[PROFILE + 2 * room :], state[PROFILE + 3 * room :]
    for index in range(padding):
        padded[index] = padded[size + padding + index] = 0.0
    for position in range(size):
        padded[padding + position] = state[PROFILE + size + position]
    whole = out // 4 * 4 if stride == 1 else 0
    all_sums = ZEROS
    for place in range(0, whole, 4):
        change = sums_of_four(padded, place, kernel)
        put(sums, place, change)
        all_sums = plus(all_sums, change)
    mean = total(all_sums)
    for position in range(whole, out):
        sums[position] = sum_of_one(padded, position * stride, kernel)
        mean += sums[position]
    mean *= 1 / out
    relative = (1 - kept) / mean
    for place in range(0, whole, 4):
        change = plus_times(times(kept, four(padded, padding + place)), relative, four(sums, place))
        put(state, PROFILE + out + place, change)
    for position in range(whole, out):
        state[PROFILE + out + position] = kept * padded[padding + position] + relative * sums[position]
    return mean


@unfolded
def through_windows(state: np.ndarray, kernel: int, stride: int, out: int, kept: float) -> Sums:
    """`slide` where a window fits. out: height of what is behind it."""
    size, room, padding = int(state[SIZE]), room_of(state), (kernel - 1) // 2
    # The room behind the profiles: sums over windows, then the profile and its root between zeros, the taps' means.
    padded = room + LARGEST_KERNEL
    value_sums, values = state[PROFILE + 2 * room :], state[PROFILE + 3 * room :]
    roots_of, means = values[padded:], values[2 * padded :]
    for index in range(padding):
        end = size + padding + index
        values[index] = roots_of[index] = values[end] = roots_of[end] = 0.0
    for position in range(size):
        values[padding + position] = state[PROFILE + position]
    for position in range(size):
        roots_of[padding + position] = math.sqrt(state[PROFILE + position])
    # Behind a stride, neighbours come from places that are not next to each other.
    whole = out // 4 * 4 if stride == 1 else 0
    all_values, seen = ZEROS, ZEROS
    for place in range(0, whole, 4):
        value = sums_of_four(values, place, kernel)
        put(value_sums, place, value)
        all_values, seen = plus(all_values, value), plus(seen, four(roots_of, place))
    value_mean, first = total(all_values), total(seen)
    for position in range(whole, out):
        place = position * stride
        value_sums[position] = sum_of_one(values, place, kernel)
        value_mean += value_sums[position]
        first += roots_of[place]
    share = 1 / out
    value_mean *= share
    square = tap_means(roots_of, first, kernel, stride, out, means)
    # Channel means add the square of what a position misses of them: sum over taps of (mean - mean on average)^2.
    constant = constant_share(state)
    scale = 1 / (value_mean * value_mean - constant * square * square)
    level, factor, missing = constant * square * square * scale, value_mean * scale, -2 * constant * square * scale
    new = 1 - kept
    levels, root_sums = (level, level, level, level), ZEROS
    for place in range(0, whole, 4):
        seen = ZEROS
        for tap in range(kernel):
            seen = plus_times(seen, means[tap], four(roots_of, place + tap))
        # Rounding must not bring it below 0.
        behind = not_negative(plus_times(plus_times(levels, factor, four(value_sums, place)), missing, seen))
        put(state, PROFILE + place, plus_times(times(kept, four(values, padding + place)), new, behind))
        root_sums = plus(root_sums, roots(behind))
    root_sum = total(root_sums)
    for position in range(whole, out):
        one = 0.0
        for tap in range(kernel):
            one += means[tap] * roots_of[position * stride + tap]
        one = max(0.0, level + factor * value_sums[position] + missing * one)
        state[PROFILE + position] = kept * values[padding + position] + new * one
        root_sum += math.sqrt(one)
    state[SIZE], state[ROOT] = out, kept * state[ROOT] + new * root_sum * share
    if state[RUNS] < 2:
        return value_mean * value_mean, square * square, 1.0
    change_mean = changes_through(state, size, kernel, stride, out, kept)
    return value_mean * value_mean, square * square, change_mean * change_mean


@compiled
def through_any(state: np.ndarray, kernel: int, stride: int, out: int, kept: float) -> Sums:
    """`through_windows` for kernels that are not common."""
    return through_windows(state, kernel, stride, out, kept)


def windows_of(kernel: int) -> Callable[[np.ndarray, int, int, float], Sums]:
    """`through_windows` for one kernel, so that loops over its taps are unrolled."""
    # For a plain integer, numba would go through all of it once more for each kernel; LLVM sees the number either way.
    taps: Any = np.int64(kernel)

    @compiled
    def through(state: np.ndarray, stride: int, out: int, kept: float) -> Sums:
        return through_windows(state, taps, stride, out, kept)

    return through


through_3, through_5, through_7 = windows_of(3), windows_of(5), windows_of(7)


@inlined
def slide(state: np.ndarray, kernel: int, stride: int, kept: float) -> tuple[int, float, float, float]:
    """Replace the profiles by those behind a zero-padded window; (failure, `Sums`).

    kept: share that stays of the profiles before, where the stride is 1.
    """
    if kernel == 1 and stride == 1:
        square = state[ROOT] * state[ROOT]
        return DONE, 1.0, square * square, 1.0
    out = (int(state[SIZE]) + (kernel - 1) // 2 * 2 - kernel) // stride + 1
    if out < 1 or kernel > LARGEST_KERNEL:
        return WINDOW_TOO_LARGE, 0.0, 0.0, 0.0
    if kernel == 3:
        inside, inside_mean, changed = through_3(state, stride, out, kept)
    elif kernel == 5:
        inside, inside_mean, changed = through_5(state, stride, out, kept)
    elif kernel == 7:
        inside, inside_mean, changed = through_7(state, stride, out, kept)
    else:
        inside, inside_mean, changed = through_any(state, kernel, stride, out, kept)
    return DONE, inside, inside_mean, changed
