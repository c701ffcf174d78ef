"""The gradient with respect to a map of a random network, as a row of numbers, and how such rows are cut and joined.

A row holds, in its header:
- COUNT, SIZE: how many groups of channels there are, and the height of the map;
- CONSTANT: the share of the squared gradient that is the same at all positions of an image, where that is followed;
- POSITIVE: how much larger it is where the map is positive than on average;
- NORMED: log of how much larger it is where the squared norm of a position is, E(n q) / E n E q, n that norm;
- ALONG, KERNEL: gradients of two channels whose maps have correlation r have correlation -ALONG r, since BN takes more
  from directions in which the map varies more; KERNEL, the window that read the map.
Then, for each group, its channels and the mean squared gradient of one element. Then the profile along one axis, whose
mean is 1: the squared gradient at a position is the product of two of its values.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled

COUNT, SIZE, CONSTANT, POSITIVE, NORMED, ALONG, KERNEL = range(7)
HEADER = 7
CHANNELS, SQUARE = 0, 1
FIELDS = 2
GROUPS = 64
PROFILE = HEADER + GROUPS * FIELDS


def gradient_room(stack: int, resolution: int) -> np.ndarray:
    """Rows for the gradients of that many maps up to that height, and three to work in."""
    return np.zeros((stack + 3, PROFILE + 2 * resolution))


@compiled
def first_gradient(gradient: np.ndarray, channels: float, size: int, constant: float) -> None:
    """Of a random linear function of the pooled map: the same for all channels and positions.

    constant: 1, or 0 where what is the same at all positions is not followed.
    """
    gradient[COUNT], gradient[SIZE], gradient[CONSTANT] = 1, size, constant
    gradient[POSITIVE] = gradient[KERNEL] = 1.0
    gradient[NORMED] = gradient[ALONG] = 0.0
    gradient[HEADER + CHANNELS], gradient[HEADER + SQUARE] = channels, 1.0
    for position in range(PROFILE, PROFILE + size):
        gradient[position] = 1.0


@compiled
def sum_over_channels(gradient: np.ndarray) -> float:
    """The squared gradient at an average position."""
    total = 0.0
    for index in range(int(gradient[COUNT])):
        base = HEADER + index * FIELDS
        total += gradient[base + CHANNELS] * gradient[base + SQUARE]
    return total


@compiled
def log_norm(gradient: np.ndarray) -> float:
    """Logarithm of the gradient's norm."""
    total = sum_over_channels(gradient) * gradient[SIZE] * gradient[SIZE]
    return 0.5 * math.log(total) if total > 0 else -math.inf


@compiled
def copy_gradient(source: np.ndarray, target: np.ndarray) -> None:
    """Copy what a gradient uses of its row."""
    for index in range(HEADER + int(source[COUNT]) * FIELDS):
        target[index] = source[index]
    for index in range(PROFILE, PROFILE + int(source[SIZE])):
        target[index] = source[index]


@compiled
def copy_groups(source: np.ndarray, target: np.ndarray) -> None:
    """Copy all of a gradient but its profile."""
    for index in range(HEADER + int(source[COUNT]) * FIELDS):
        target[index] = source[index]


@compiled
def append_group(gradient: np.ndarray, channels: float, square: float) -> bool:
    """Add a group after the last one, or widen that where it is alike; whether there was room."""
    if channels <= 0:
        return True
    count = int(gradient[COUNT])
    base = HEADER + count * FIELDS
    if count and gradient[base - FIELDS + SQUARE] == square:
        gradient[base - FIELDS + CHANNELS] += channels
        return True
    if count == GROUPS:
        return False
    gradient[base + CHANNELS], gradient[base + SQUARE] = channels, square
    gradient[COUNT] = count + 1
    return True


@compiled
def set_one_group(gradient: np.ndarray, channels: float, square: float) -> None:
    """All channels alike."""
    gradient[COUNT] = 1
    gradient[HEADER + CHANNELS], gradient[HEADER + SQUARE] = channels, square


@compiled
def scale_all(gradient: np.ndarray, factor: float) -> None:
    """Every squared gradient times a factor."""
    for index in range(int(gradient[COUNT])):
        gradient[HEADER + index * FIELDS + SQUARE] *= factor


@compiled
def scale_groups(gradient: np.ndarray, pairs: np.ndarray, count: int, work: np.ndarray) -> bool:
    """Squared gradients times factors, which stand behind the number of channels that they are for in `pairs`."""
    if count == 1 and gradient[COUNT] == 1:
        gradient[HEADER + SQUARE] *= pairs[1]
        return True
    copy_groups(gradient, work)
    gradient[COUNT] = 0
    mine, left = HEADER, work[HEADER + CHANNELS]
    end = HEADER + int(work[COUNT]) * FIELDS
    for index in range(count):
        wanted = pairs[2 * index]
        while wanted > 0 and mine < end:
            taken = min(wanted, left)
            if not append_group(gradient, taken, work[mine + SQUARE] * pairs[2 * index + 1]):
                return False
            wanted -= taken
            left -= taken
            if left <= 0:
                mine += FIELDS
                left = work[mine + CHANNELS] if mine < end else 0.0
    return True


@compiled
def keep_channels(gradient: np.ndarray, upper: np.ndarray, channels: float) -> bool:
    """Leave the first channels, and give all others to `upper`: the gradients of two maps that were set side by side."""
    copy_gradient(gradient, upper)
    upper[COUNT] = 0
    groups, gradient[COUNT] = int(gradient[COUNT]), 0
    for index in range(groups):
        base = HEADER + index * FIELDS
        width, square = gradient[base + CHANNELS], gradient[base + SQUARE]
        first = min(channels, width)
        channels -= first
        # Never more groups than were read: what is read next still stands.
        append_group(gradient, first, square)
        if not append_group(upper, width - first, square):
            return False
    return True


@compiled
def put_behind(first: np.ndarray, second: np.ndarray) -> bool:
    """The second gradient's channels behind those of the first, which becomes that of both."""
    blend(first, second)
    for index in range(int(second[COUNT])):
        base = HEADER + index * FIELDS
        if not append_group(first, second[base + CHANNELS], second[base + SQUARE]):
            return False
    return True


@compiled
def blend(first: np.ndarray, second: np.ndarray) -> None:
    """Header and profile of two gradients together, weighted by their squares, into the first."""
    one, other = sum_over_channels(first), sum_over_channels(second)
    weight = one / (one + other) if one + other > 0 else 0.5
    kernel = first[KERNEL] if weight * first[ALONG] >= (1 - weight) * second[ALONG] else second[KERNEL]
    for field in range(CONSTANT, HEADER):
        first[field] = weight * first[field] + (1 - weight) * second[field]
    first[KERNEL] = kernel
    for position in range(PROFILE, PROFILE + int(first[SIZE])):
        first[position] = weight * first[position] + (1 - weight) * second[position]


@compiled
def add_gradient(first: np.ndarray, second: np.ndarray, work: np.ndarray) -> bool:
    """The gradient of a map that was used twice: random weights make both parts independent, so that squares add."""
    blend(first, second)
    if first[COUNT] == 1 and second[COUNT] == 1:
        first[HEADER + SQUARE] += second[HEADER + SQUARE]
        return True
    copy_groups(first, work)
    first[COUNT] = 0
    one, other = HEADER, HEADER
    end, other_end = HEADER + int(work[COUNT]) * FIELDS, HEADER + int(second[COUNT]) * FIELDS
    left, other_left = work[one + CHANNELS], second[other + CHANNELS]
    while one < end and other < other_end:
        taken = min(left, other_left)
        if not append_group(first, taken, work[one + SQUARE] + second[other + SQUARE]):
            return False
        left -= taken
        other_left -= taken
        if left <= 0:
            one += FIELDS
            left = work[one + CHANNELS] if one < end else 0.0
        if other_left <= 0:
            other += FIELDS
            other_left = second[other + CHANNELS] if other < other_end else 0.0
    return True
