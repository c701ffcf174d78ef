"""Mean-field rules that copy, cut, join, pool and gate maps; see `ZeroShotProxy.mean_field_map` for what a map is."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled, inlined
from ZeroShotProxy.mean_field_map import (
    CHANGE,
    CHANNELS,
    COUNT,
    COVARIANCE,
    DONE,
    FIELDS,
    FOURTH,
    GROUPS,
    HEADER,
    LOG_SCALE,
    MEAN,
    NORM,
    NORM_LAG,
    OFFSET,
    OVERLAP,
    OVERLAP_LAG,
    PROFILE,
    ROOT,
    RUNS,
    SHAPES_DIFFER,
    SIZE,
    THIRD,
    TOO_MANY_GROUPS,
    UNEVEN_POOLING,
    VARIANCE,
)
from ZeroShotProxy.mean_field_windows import averaged, moved


@compiled
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """A second copy; its BN sum starts at 0 because the sums of joined maps add."""
    transfer(source, target)
    target[LOG_SCALE] = 0.0


@compiled
def transfer(source: np.ndarray, target: np.ndarray) -> None:
    """Copy what a map uses of its row."""
    for index in range(HEADER + int(source[COUNT]) * FIELDS):
        target[index] = source[index]
    for index in range(PROFILE, PROFILE + int(source[RUNS]) * int(source[SIZE])):
        target[index] = source[index]


@compiled
def keep_first_channels(state: np.ndarray, channels: float) -> None:
    """Cut a map down to its first channels, in place."""
    for index in range(int(state[COUNT])):
        place = HEADER + index * FIELDS + CHANNELS
        if state[place] >= channels:
            state[place] = channels
            state[COUNT] = index + 1
            return
        channels -= state[place]


@compiled
def split(state: np.ndarray, upper: np.ndarray, channels: float) -> None:
    """Move the first channels into a map of their own; its BN sum starts at 0, as that of a `copy`."""
    kept = taken = 0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        first = min(channels, state[base + CHANNELS])
        others = state[base + CHANNELS] - first
        channels -= first
        if first > 0:
            target = HEADER + taken * FIELDS
            for field in range(FIELDS):
                upper[target + field] = state[base + field]
            upper[target + CHANNELS] = first
            taken += 1
        if others > 0:
            target = HEADER + kept * FIELDS
            for field in range(FIELDS):
                state[target + field] = state[base + field]
            state[target + CHANNELS] = others
            kept += 1
    for field in range(HEADER):
        upper[field] = state[field]
    for position in range(PROFILE, PROFILE + int(state[RUNS]) * int(state[SIZE])):
        upper[position] = state[position]
    state[COUNT], upper[COUNT], upper[LOG_SCALE] = kept, taken, 0.0


@inlined
def append(state: np.ndarray, row: np.ndarray, base: int, channels: float) -> int:
    """Add the group that stands at `base` in a row after the last one, or widen that where it is of the same kind."""
    if channels == 0:
        return DONE
    count = int(state[COUNT])
    end = HEADER + count * FIELDS
    if count and is_alike(state, end - FIELDS, row, base):
        state[end - FIELDS + CHANNELS] += channels
        return DONE
    if count == GROUPS:
        return TOO_MANY_GROUPS
    for field in range(FIELDS):
        state[end + field] = row[base + field]
    state[end + CHANNELS] = channels
    state[COUNT] = count + 1
    return DONE


@inlined
def is_alike(state: np.ndarray, base: int, row: np.ndarray, other: int) -> bool:
    """Whether two groups have channels of the same kind: the one at `base`, and that at `other` in another row."""
    for field in range(1, FIELDS):  # noqa: SIM110 - numba compiles no generators
        if state[base + field] != row[other + field]:
            return False
    return True


@compiled
def deinterleave(state: np.ndarray, odd: np.ndarray) -> int:
    """Channels in even positions first, then those in odd positions. odd: room for the map's groups."""
    position = evens = odds = 0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        channels = int(state[base + CHANNELS])
        even = (channels + 1 - position % 2) // 2
        position += channels
        if even < channels:
            for field in range(FIELDS):
                odd[odds * FIELDS + field] = state[base + field]
            odd[odds * FIELDS + CHANNELS] = channels - even
            odds += 1
        if even:
            target = HEADER + evens * FIELDS
            for field in range(FIELDS):
                state[target + field] = state[base + field]
            state[target + CHANNELS] = even
            evens += 1
    state[COUNT] = evens
    for base in range(0, odds * FIELDS, FIELDS):
        if append(state, odd, base, odd[base + CHANNELS]):
            return TOO_MANY_GROUPS
    return DONE


@compiled
def concatenate(lower: np.ndarray, upper: np.ndarray) -> int:
    """Maps side by side, in place of the lower one."""
    if lower[SIZE] != upper[SIZE]:
        return SHAPES_DIFFER
    blend(lower, upper, width(lower), width(upper))
    for index in range(int(upper[COUNT])):
        base = HEADER + index * FIELDS
        if append(lower, upper, base, upper[base + CHANNELS]):
            return TOO_MANY_GROUPS
    return DONE


@compiled
def add(lower: np.ndarray, upper: np.ndarray, before: np.ndarray) -> int:
    """The sum of maps that random weights make independent, in place of the lower one: cumulants add.

    before: room for the groups of a map and one more.
    """
    if lower[SIZE] != upper[SIZE] or width(lower) != width(upper):
        return SHAPES_DIFFER
    weight = spread(lower)
    other = spread(upper)
    norm = (lower[NORM] * weight**2 + upper[NORM] * other**2) / (weight + other) ** 2
    overlap = (lower[OVERLAP] * weight**2 + upper[OVERLAP] * other**2) / (weight + other) ** 2
    blend(lower, upper, weight, other)
    lower[NORM], lower[OVERLAP] = norm, overlap
    one, one_end = 0, int(lower[COUNT]) * FIELDS
    two, two_end = HEADER, HEADER + int(upper[COUNT]) * FIELDS
    for index in range(one_end):
        before[index] = lower[HEADER + index]
    lower[COUNT] = 0
    total = GROUPS * FIELDS
    while one < one_end and two < two_end:
        channels = min(before[one + CHANNELS], upper[two + CHANNELS])
        for field in range(FIELDS):
            before[total + field] = before[one + field] + upper[two + field]
        before[total + CHANGE] = 0.0
        if append(lower, before, total, channels):
            return TOO_MANY_GROUPS
        before[one + CHANNELS] -= channels
        upper[two + CHANNELS] -= channels
        if before[one + CHANNELS] == 0:
            one += FIELDS
        if upper[two + CHANNELS] == 0:
            two += FIELDS
    return DONE


@compiled
def width(state: np.ndarray) -> float:
    """The number of channels of a map."""
    total = 0.0
    for index in range(int(state[COUNT])):
        total += state[HEADER + index * FIELDS + CHANNELS]
    return total


@compiled
def spread(state: np.ndarray) -> float:
    """Sum of the channels' variances."""
    total = 0.0
    for index in range(int(state[COUNT])):
        total += state[HEADER + index * FIELDS + CHANNELS] * state[HEADER + index * FIELDS + VARIANCE]
    return total


@compiled
def blend(lower: np.ndarray, upper: np.ndarray, weight: float, other: float) -> None:
    """Texture and profile of two joined maps; their BN sums add."""
    share = weight / (weight + other)
    for field in range(NORM, HEADER):
        lower[field] = share * lower[field] + (1 - share) * upper[field]
    for field in range(PROFILE, PROFILE + int(lower[RUNS]) * int(lower[SIZE])):
        lower[field] = share * lower[field] + (1 - share) * upper[field]
    lower[LOG_SCALE] += upper[LOG_SCALE]


@compiled
def average_pool(state: np.ndarray, out: int) -> int:
    """Adaptive average pooling: what is alike within a window stays, the rest averages out."""
    size = int(state[SIZE])
    if out < 1 or size % out:
        return UNEVEN_POOLING
    window = size // out
    kept = 1 / (window * window)
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        state[base + VARIANCE] *= kept
        state[base + COVARIANCE] *= kept
        state[base + THIRD] = state[base + CHANGE] = 0.0
        state[base + FOURTH] *= kept**3
    state[NORM] *= averaged(state[NORM_LAG], window)
    state[OVERLAP] *= averaged(state[OVERLAP_LAG], window)
    for lag in (NORM_LAG, OVERLAP_LAG):
        state[lag] = moved(state[lag], window, window)
    state[SIZE] = out
    for position in range(PROFILE, PROFILE + 2 * out):
        state[position] = 1.0
    state[ROOT] = 1.0
    return DONE


@compiled
def gate(state: np.ndarray, gates: np.ndarray) -> None:
    """The map times a gate that is the same at all positions of an image: moments of a product of independent factors."""
    factor = gates[HEADER : HEADER + FIELDS]
    mean, square = factor[MEAN], factor[MEAN] ** 2
    for index in range(int(state[COUNT])):
        group = state[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        squared_mean = group[MEAN] ** 2
        group[VARIANCE] = (group[VARIANCE] + squared_mean) * (factor[VARIANCE] + square) - squared_mean * square
        group[COVARIANCE] = (group[COVARIANCE] + squared_mean) * (factor[COVARIANCE] + square) - squared_mean * square
        group[CHANGE] = 0.0
        group[MEAN] *= mean
        group[OFFSET] *= square
        group[THIRD] *= mean * (square + 3 * factor[VARIANCE])
        group[FOURTH] *= square**2 + 6 * square * factor[VARIANCE] + 3 * factor[VARIANCE] ** 2
    state[LOG_SCALE] += gates[LOG_SCALE]
