"""How much of a map is the same at all positions of an image, and what windows leave of what is the same.

docs/gradient_growth.md derives the rules. A gate is worked out from means over positions, and its gradient is a sum over
positions: both depend on what does not average out. Networks without gates and pooling need none of it.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled, unfolded
from PlainNet.mean_field import Step
from ZeroShotProxy.gradient_layout import FIRST, HEIGHT, KEPT, NUMBER, OTHER
from ZeroShotProxy.gradient_norms import of_image
from ZeroShotProxy.gradient_slopes import smooth_slopes
from ZeroShotProxy.gradient_windows import tap_sums
from ZeroShotProxy.mean_field_joins import spread, width
from ZeroShotProxy.mean_field_kernel import ONE
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    COVARIANCE,
    FIELDS,
    HEADER,
    MEAN,
    SIZE,
    STACK,
    VARIANCE,
)

# Where its notes begin, behind those of norms: a number for each map of the stack.
STEADY = 2 * STACK


@compiled
def window_shares(size: int, out: int, kernel: int, stride: int) -> tuple[float, float]:
    """Of what is the same at all positions, what a zero-padded window keeps: of a map, and of a gradient on its way back.

    A tap adds its weight at the positions that it sees, and taps have independent weights: n_t of `out` positions behind the
    window, or of `size` before it. The square of the mean over positions is sum n_t^2 / (positions sum n_t) of the mean square,
    along one axis.
    """
    if kernel == 1 and stride == 1:
        return 1.0, 1.0
    total, squares = tap_sums(size, out, kernel, stride)
    behind, before = squares / (total * out), squares / (total * size)
    return behind * behind, before * before


@compiled
def alike_in_pairs(share: float) -> float:
    """P(both positive) of two standard normal numbers with this correlation, over the value 1 / 2 at 1, from 0 at 0."""
    return 2 / math.pi * math.asin(min(1.0, share))


@compiled
def mean_spread(state: np.ndarray) -> float:
    """Mean variance of a channel."""
    return spread(state) / width(state)


@compiled
def mean_square_of_means(state: np.ndarray) -> float:
    """Mean over channels of the squared mean."""
    total = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        total += state[base + CHANNELS] * state[base + MEAN] * state[base + MEAN]
    return total / width(state)


@compiled
def steady_behind(kind: int, function: int, record: np.ndarray, share: float, image: float, state: np.ndarray) -> float:
    """The share behind an activation: its linear part keeps it, and of the rest the square.

    image: relative variance of the norms of images. Those have different means behind an activation: a rectifier's grow as the
    root of the squared norm, others about as itself.
    """
    if int(state[SIZE]) == 1:
        return 1.0
    behind = mean_spread(state)
    linear = record[FIRST] * record[FIRST] if kind == Step.RECTIFY else smooth_slopes(function)
    linear = min(1.0, linear * record[KEPT] / behind)
    power = 0.25 if kind == Step.RECTIFY else 1.0
    means = power * image * mean_square_of_means(state) / behind
    return min(1.0, linear * share + (1 - linear) * share * share + means)


@compiled
def steady_gate(state: np.ndarray, gates: np.ndarray, share: float) -> float:
    """The share of a map times a gate, which is the same at all positions but not for all images."""
    mean, variance = gates[HEADER + MEAN], gates[HEADER + VARIANCE]
    square = variance + mean * mean
    own, steady = mean_spread(state), mean_square_of_means(state)
    taken = steady * mean * mean
    return ((share * own + steady) * square - taken) / ((own + steady) * square - taken)


@compiled
def pool_steadily(state: np.ndarray, window: int, share: float) -> None:
    """Behind average pooling, in place: what is the same at all positions does not average out."""
    factor = share * window * window + 1 - share
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        state[base + VARIANCE] *= factor
        state[base + COVARIANCE] *= factor


@unfolded
def write_steady(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """Before a step: what a gradient needs to know of what is the same at all positions.

    notes: for each map of the stack, what `gradient_norms` notes of it, and the part of its variance that is the same at all
    positions of an image.
    """
    row = int(order[top])
    state = stack[row]
    if kind == Step.RECTIFY or kind == Step.SMOOTH:
        record[OTHER] = 1.0 if state[SIZE] == 1 else notes[STEADY + row]
        record[KEPT] = mean_spread(state)
    elif kind == Step.ADD or kind == Step.CONCATENATE:
        below = int(order[top - 1])
        share = record[KEPT]
        notes[STEADY + below] = share * notes[STEADY + below] + (1 - share) * notes[STEADY + row]
    elif kind == Step.GATE:
        below = int(order[top - 1])
        notes[STEADY + below] = steady_gate(stack[below], state, notes[STEADY + below])


@unfolded
def note_steady(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """After a step, and after what becomes of norms, the rest of that."""
    row = int(order[top])
    state = stack[row]
    height, size = int(record[HEIGHT]), int(state[SIZE])
    if kind == Step.DENSE or kind == Step.DEPTHWISE or kind == Step.GHOST:
        first = NUMBER if kind == Step.DEPTHWISE else NUMBER + 1
        behind, before = window_shares(height, size, int(record[first]), int(record[first + 1]))
        if kind == Step.GHOST:
            # Half of the channels go through a window more.
            cheap = 0.5 + 0.5 * window_shares(size, size, int(record[NUMBER + 3]), ONE)[0]
            behind, before = behind * cheap, before * cheap
        notes[STEADY + row] *= behind
        record[KEPT] = before
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        image = of_image(notes, row, size)
        notes[STEADY + row] = steady_behind(kind, int(record[NUMBER]), record, notes[STEADY + row], image, state)
    elif kind == Step.COPY or kind == Step.SPLIT:
        notes[STEADY + row] = notes[STEADY + int(order[top - 1])]
    elif kind == Step.AVERAGE_POOL:
        window = height // size
        share = notes[STEADY + row]
        pool_steadily(state, window, share)
        notes[STEADY + row] /= share + (1 - share) / (window * window)
