"""What a sliding window over a map leaves of fluctuations and profiles; docs/zen_closed_form.md derives the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from PlainNet.compiling import compiled, inlined
from ZeroShotProxy.four_numbers import ZEROS, four, not_negative, plus, plus_times, put, roots, times, total
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


@inlined
def through_windows(state: np.ndarray, kernel: int, stride: int, out: int, kept: float) -> Sums:
    """`slide` where a window fits. out: height of what is behind it."""
    room = room_of(state)
    padded = room + LARGEST_KERNEL
    value_sums, change_sums, work = (
        state[PROFILE + 2 * room :],
        state[PROFILE + 3 * room :],
        state[PROFILE + 4 * room :],
    )
    padded_values, padded_changes, padded_roots, weights = work, work[padded:], work[2 * padded :], work[3 * padded :]
    size, padding = int(state[SIZE]), (kernel - 1) // 2
    for index in range(padding):
        end = size + padding + index
        padded_values[index] = padded_changes[index] = padded_roots[index] = 0.0
        padded_values[end] = padded_changes[end] = padded_roots[end] = 0.0
    for position in range(size):
        padded_values[padding + position] = state[PROFILE + position]
    for position in range(size):
        padded_roots[padding + position] = math.sqrt(state[PROFILE + position])
    for position in range(size):
        padded_changes[padding + position] = state[PROFILE + size + position]
    # A stride's neighbours are not next to each other.
    whole = out // 4 * 4 if stride == 1 else 0
    values, changes, seen = ZEROS, ZEROS, ZEROS
    for place in range(0, whole, 4):
        value, change = four(padded_values, place), four(padded_changes, place)
        for tap in range(1, kernel):
            value = plus(value, four(padded_values, place + tap))
            change = plus(change, four(padded_changes, place + tap))
        put(value_sums, place, value)
        put(change_sums, place, change)
        values, changes, seen = plus(values, value), plus(changes, change), plus(seen, four(padded_roots, place))
    value_sum, change_sum, seen_sum = total(values), total(changes), total(seen)
    for position in range(whole, out):
        place = position * stride
        one, other = padded_values[place], padded_changes[place]
        for tap in range(1, kernel):
            one += padded_values[place + tap]
            other += padded_changes[place + tap]
        value_sums[position], change_sums[position] = one, other
        value_sum += one
        change_sum += other
        seen_sum += padded_roots[place]
    share = 1 / out
    value_mean, change_mean = value_sum * share, change_sum * share
    means, last = 0.0, (out - 1) * stride
    for tap in range(kernel):
        mean = seen_sum * share
        if tap >= stride:
            # What the tap one stride before sees, but for one position at either end.
            before = tap - stride
            mean = weights[before] + (padded_roots[tap + last] - padded_roots[before]) * share
        elif tap:
            tap_sum = 0.0
            for position in range(out):
                tap_sum += padded_roots[position * stride + tap]
            mean = tap_sum * share
        weights[tap] = mean
        means += mean * mean
    # Channel means add the square of what a position misses of them: sum over taps of (mean - mean on average)^2.
    constant = constant_share(state)
    scale = 1 / (value_mean * value_mean - constant * means * means)
    level, missing, relative = constant * means * means * scale, -2 * constant * means * scale, 1 / change_mean
    scale *= value_mean
    moved = 1 - kept
    relative *= moved
    levels, root_sums = (level, level, level, level), ZEROS
    for place in range(0, whole, 4):
        missed = ZEROS
        for tap in range(kernel):
            missed = plus_times(missed, weights[tap], four(padded_roots, place + tap))
        behind = plus_times(plus_times(levels, scale, four(value_sums, place)), missing, missed)
        # Rounding must not bring it below 0.
        behind = not_negative(behind)
        ahead, change = (
            times(kept, four(padded_values, padding + place)),
            times(kept, four(padded_changes, padding + place)),
        )
        put(state, PROFILE + place, plus_times(ahead, moved, behind))
        put(state, PROFILE + out + place, plus_times(change, relative, four(change_sums, place)))
        root_sums = plus(root_sums, roots(behind))
    root_sum = total(root_sums)
    for position in range(whole, out):
        lacking = 0.0
        for tap in range(kernel):
            lacking += weights[tap] * padded_roots[position * stride + tap]
        one = max(0.0, level + scale * value_sums[position] + missing * lacking)
        state[PROFILE + position] = kept * padded_values[padding + position] + moved * one
        state[PROFILE + out + position] = kept * padded_changes[padding + position] + relative * change_sums[position]
        root_sum += math.sqrt(one)
    state[SIZE], state[ROOT] = out, kept * state[ROOT] + moved * root_sum * share
    return value_mean * value_mean, means * means, change_mean * change_mean


@compiled
def through_any(state: np.ndarray, kernel: int, stride: int, out: int, kept: float) -> Sums:
    """`through_windows` for kernels that are not common."""
    return through_windows(state, kernel, stride, out, kept)


def windows_of(kernel: int) -> Callable[[np.ndarray, int, int, float], Sums]:
    """`through_windows` for one kernel, so that loops over its taps are unrolled."""

    @compiled
    def through(state: np.ndarray, stride: int, out: int, kept: float) -> Sums:
        return through_windows(state, kernel, stride, out, kept)

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
