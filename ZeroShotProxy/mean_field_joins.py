"""Mean-field rules that copy, cut, join, pool and gate maps; see `ZeroShotProxy.mean_field_map` for what a map is."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled
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
    for index in range(PROFILE, PROFILE + 2 * int(source[SIZE])):
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
def drop_first_channels(state: np.ndarray, channels: float) -> None:
    """Take the first channels off a map, in place."""
    kept = 0
    for index in range(int(state[COUNT])):
        source = HEADER + index * FIELDS
        dropped = min(channels, state[source + CHANNELS])
        channels -= dropped
        if dropped < state[source + CHANNELS]:
            target = HEADER + kept * FIELDS
            for field in range(FIELDS):
                state[target + field] = state[source + field]
            state[target + CHANNELS] -= dropped
            kept += 1
    state[COUNT] = kept


@compiled
def append(state: np.ndarray, group: np.ndarray, channels: float) -> int:
    """Add a group after the last one, or widen that where it is of the same kind."""
    if channels == 0:
        return DONE
    count = int(state[COUNT])
    if count:
        last = state[HEADER + (count - 1) * FIELDS : HEADER + count * FIELDS]
        same = True
        for field in range(1, FIELDS):
            same = same and last[field] == group[field]
        if same:
            last[CHANNELS] += channels
            return DONE
    if count == GROUPS:
        return TOO_MANY_GROUPS
    added = state[HEADER + count * FIELDS : HEADER + (count + 1) * FIELDS]
    for field in range(FIELDS):
        added[field] = group[field]
    added[CHANNELS] = channels
    state[COUNT] = count + 1
    return DONE


@compiled
def deinterleave(state: np.ndarray, before: np.ndarray) -> int:
    """Channels in even positions first, then those in odd positions. before: room for the map's groups."""
    count = int(state[COUNT])
    for index in range(count * FIELDS):
        before[index] = state[HEADER + index]
    state[COUNT] = 0
    for parity in range(2):
        position = 0
        for index in range(count):
            group = before[index * FIELDS : (index + 1) * FIELDS]
            channels = int(group[CHANNELS])
            share = (channels + (position + parity + 1) % 2) // 2
            if append(state, group, share):
                return TOO_MANY_GROUPS
            position += channels
    return DONE


@compiled
def concatenate(lower: np.ndarray, upper: np.ndarray) -> int:
    """Maps side by side, in place of the lower one."""
    if lower[SIZE] != upper[SIZE]:
        return SHAPES_DIFFER
    blend(lower, upper, width(lower), width(upper))
    for index in range(int(upper[COUNT])):
        group = upper[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        if append(lower, group, group[CHANNELS]):
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
    count = int(lower[COUNT])
    for index in range(count * FIELDS):
        before[index] = lower[HEADER + index]
    lower[COUNT] = 0
    left = right = 0
    total = before[GROUPS * FIELDS : (GROUPS + 1) * FIELDS]
    while left < count and right < int(upper[COUNT]):
        one = before[left * FIELDS : (left + 1) * FIELDS]
        two = upper[HEADER + right * FIELDS : HEADER + (right + 1) * FIELDS]
        channels = min(one[CHANNELS], two[CHANNELS])
        for field in range(FIELDS):
            total[field] = one[field] + two[field]
        total[CHANGE] = 0.0
        if append(lower, total, channels):
            return TOO_MANY_GROUPS
        one[CHANNELS] -= channels
        two[CHANNELS] -= channels
        left += one[CHANNELS] == 0
        right += two[CHANNELS] == 0
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
    for field in range(PROFILE, PROFILE + 2 * int(lower[SIZE])):
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
        group = state[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        group[VARIANCE] *= kept
        group[COVARIANCE] *= kept
        group[THIRD] = group[CHANGE] = 0.0
        group[FOURTH] *= kept**3
    state[NORM] *= averaged(state[NORM_LAG], window)
    state[OVERLAP] *= averaged(state[OVERLAP_LAG], window)
    for lag in (NORM_LAG, OVERLAP_LAG):
        state[lag] = moved(state[lag], window, window)
    state[SIZE] = out
    state[PROFILE : PROFILE + 2 * out] = 1.0
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
