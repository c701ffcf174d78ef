"""How much the squared norm of a map varies from position to position and from image to image, step by step.

docs/gradient_growth.md derives the rules. Slopes of curved activations and of gates are larger where norms are.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled, unfolded
from PlainNet.mean_field import Smooth, Step
from ZeroShotProxy.gradient_layout import HEIGHT, KEPT, NUMBER, PASSED, WIDTH
from ZeroShotProxy.gradient_slopes import BEHIND_BN, SPREAD_ELASTICITY, SQUARE_ELASTICITY
from ZeroShotProxy.mean_field_kernel import ONE, SATURATION
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    FIELDS,
    FOURTH,
    HEADER,
    OVERLAP,
    OVERLAP_LAG,
    SIZE,
    STACK,
    VARIANCE,
)
from ZeroShotProxy.mean_field_windows import averaged, moved

# Where notes begin, a number for each map of the stack: relative variance of the squared norms of positions, and its lags'.
NORM, LAG = 0, STACK
# Behind squeeze-and-excitation: E sigmoid^2 as a power of the squared norm before it, and that as a power of the pooled map's.
GATE_POWER = float(BEHIND_BN[Smooth.SIGMOID, SQUARE_ELASTICITY])
HARD_SWISH_POWER = float(BEHIND_BN[Smooth.HARD_SWISH, SPREAD_ELASTICITY])


@compiled
def of_image(notes: np.ndarray, row: int, size: float) -> float:
    """The part of a map's relative variance of norms that an average over all positions keeps."""
    return notes[NORM + row] * averaged(notes[LAG + row], int(size))


@compiled
def own_norm(state: np.ndarray) -> float:
    """What a map's channels, each with its own fluctuation, add to the relative variance of the squared norm at a position."""
    total = own = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        channels, variance = state[base + CHANNELS], state[base + VARIANCE]
        total += channels * variance
        own += channels * (2 * variance * variance + state[base + FOURTH])
    return own / (total * total)


@compiled
def mix_norms(notes: np.ndarray, row: int, own: float, kernel: int, stride: int) -> float:
    """Through a convolution over all channels, in place; what is left of the relative variance before."""
    left = notes[NORM + row] * averaged(notes[LAG + row], kernel)
    own /= kernel * kernel
    both = left + own + left * own
    lag = left / (left + own) * notes[LAG + row] if left > 0 else 0.0
    notes[NORM + row], notes[LAG + row] = both, moved(lag, kernel, stride)
    return left


@compiled
def join_norms(notes: np.ndarray, below: int, row: int, share: float, size: float) -> tuple[float, float]:
    """Of two maps that become one, in place of the one below.

    Returns covariances of either's norm with the joint one, over its variance. share: that of the one below. Norms of whole
    images are taken as the same in both maps, all else as independent.
    """
    one, other = notes[NORM + below], notes[NORM + row]
    alike = math.sqrt(of_image(notes, below, size) * of_image(notes, row, size))
    first, second = share * one + (1 - share) * alike, share * alike + (1 - share) * other
    both = share * first + (1 - share) * second
    notes[LAG + below] = share * notes[LAG + below] + (1 - share) * notes[LAG + row]
    notes[NORM + below] = both
    return (first / both, second / both) if both > 0 else (1.0, 1.0)


@compiled
def pooled_overlap(summed: float) -> float:
    """Mean squared correlation of two channels' averages over a window.

    summed: that of the channels, times the positions over which they are alike. Averages of P positions have variances of
    1 / P, and covariances whose squares are the sum over these positions over P^2: correlations do not average out. A
    channel's own variance is spread as much.
    """
    return summed / (1 + summed)


@compiled
def follow_gate(notes: np.ndarray, gated: int, gate: int, size: float) -> None:
    """How norms vary behind a gate, in place: a sigmoid's square is larger in images whose pooled maps are.

    Those go through a hard-swish and a sigmoid, and logarithms add.
    """
    before, image = math.log1p(notes[NORM + gated]), math.log1p(of_image(notes, gated, size))
    own = math.log1p(notes[NORM + gate])
    more = 2 * GATE_POWER * HARD_SWISH_POWER * image + GATE_POWER * GATE_POWER * own
    # What is the same at all positions has a lag as large as the map.
    if before + more > 0:
        notes[LAG + gated] = (before * notes[LAG + gated] + more * size * size) / (before + more)
    notes[NORM + gated] = math.expm1(before + more)


@compiled
def ghost_norms(notes: np.ndarray, row: int, kernel: int) -> float:
    """Beside the dense half, one that a window makes of it: norms are means of both, in place.

    Returns the covariance of the joint norm with the dense half's, over the latter's variance.
    """
    kept = averaged(notes[LAG + row], kernel)
    notes[NORM + row] *= 0.25 + 0.75 * kept
    notes[LAG + row] = 0.5 * notes[LAG + row] + 0.5 * moved(notes[LAG + row], kernel, ONE)
    return 0.5 + 0.5 * kept


@unfolded
def write_norms(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """Before a step: what a gradient needs to know of norms."""
    row = int(order[top])
    state = stack[row]
    size = state[SIZE]
    if kind == Step.SMOOTH:
        record[PASSED] = math.log1p(notes[NORM + row])
    elif kind == Step.DENSE or kind == Step.GHOST:
        kernel, stride = int(min(record[NUMBER + 1], size)), int(record[NUMBER + 2])
        record[PASSED] = mix_norms(notes, row, own_norm(state), kernel, stride)
    elif kind == Step.DEPTHWISE:
        kernel = int(min(record[NUMBER], size))
        notes[NORM + row] *= averaged(notes[LAG + row], kernel)
        notes[LAG + row] = moved(notes[LAG + row], kernel, int(record[NUMBER + 1]))
    elif kind == Step.AVERAGE_POOL:
        window = int(size) // int(record[NUMBER])
        record[PASSED] = state[OVERLAP] * window * window * averaged(state[OVERLAP_LAG], window)
    elif kind == Step.ADD or kind == Step.CONCATENATE:
        record[PASSED], record[WIDTH] = join_norms(notes, int(order[top - 1]), row, record[KEPT], size)
    elif kind == Step.GATE:
        below = int(order[top - 1])
        size = stack[below][SIZE]
        record[PASSED] = math.log1p(notes[NORM + below])
        record[KEPT] = math.log1p(of_image(notes, below, size))
        follow_gate(notes, below, row, size)


@unfolded
def note_norms(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """After a step, the rest of that."""
    row = int(order[top])
    state = stack[row]
    if kind == Step.DENSE or kind == Step.GHOST:
        if kind == Step.GHOST:
            record[PASSED] *= ghost_norms(notes, row, int(min(record[NUMBER + 3], state[SIZE])))
        norm = notes[NORM + row]
        record[PASSED] = record[PASSED] / norm if norm > 0 else 0.0
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        if kind == Step.SMOOTH:
            power = BEHIND_BN[int(record[NUMBER]), SPREAD_ELASTICITY]
            notes[NORM + row] = math.expm1(power * power * record[PASSED])
        notes[NORM + row] /= 1 + SATURATION * notes[NORM + row]
    elif kind == Step.COPY or kind == Step.SPLIT:
        below = int(order[top - 1])
        notes[NORM + row], notes[LAG + row] = notes[NORM + below], notes[LAG + below]
    elif kind == Step.AVERAGE_POOL:
        window = int(record[HEIGHT]) // int(state[SIZE])
        state[OVERLAP] = overlap = pooled_overlap(record[PASSED])
        # Pooled channels are nearly Gaussian, and the norm of those that overlap varies by 2 e.
        norm = notes[NORM + row] * averaged(notes[LAG + row], window)
        notes[NORM + row] = (1 + norm) * (1 + 2 * overlap) - 1
        notes[LAG + row] = moved(notes[LAG + row], window, window)
