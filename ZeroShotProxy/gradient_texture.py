"""How much of a map is the same at all positions of an image, and what windows leave of what is the same.

docs/gradient_growth.md derives the rules. A gate is worked out from means over positions, and its gradient is a sum over
positions: both depend on what does not average out.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from PlainNet.mean_field import Smooth, Step
from ZeroShotProxy.gradient_layout import FIRST, HEIGHT, KEPT, NUMBER, OTHER, PASSED, WIDTH
from ZeroShotProxy.gradient_slopes import BEHIND_BN, SPREAD_ELASTICITY, SQUARE_ELASTICITY, smooth_slopes
from ZeroShotProxy.mean_field_joins import spread, width
from ZeroShotProxy.mean_field_kernel import ONE, SATURATION
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    COVARIANCE,
    FIELDS,
    FOURTH,
    HEADER,
    MEAN,
    OVERLAP,
    OVERLAP_LAG,
    SIZE,
    STACK,
    VARIANCE,
)
from ZeroShotProxy.mean_field_windows import averaged, moved

# Where notes begin: a number for each map of the stack.
STEADY, NORM, LAG = 0, STACK, 2 * STACK
# Behind squeeze-and-excitation: E sigmoid^2 as a power of the squared norm before it, and that as a power of the pooled map's.
GATE_POWER = float(BEHIND_BN[Smooth.SIGMOID, SQUARE_ELASTICITY])
HARD_SWISH_POWER = float(BEHIND_BN[Smooth.HARD_SWISH, SPREAD_ELASTICITY])


@compiled
def window_shares(size: int, out: int, kernel: int, stride: int) -> tuple[float, float]:
    """Of what is the same at all positions, what a zero-padded window keeps: of a map, and of a gradient on its way back.

    A tap adds its weight at the positions that it sees, and taps have independent weights: n_t of `out` positions behind the
    window, or of `size` before it. The square of the mean over positions is sum n_t^2 / (positions sum n_t) of the mean square,
    along one axis.
    """
    if kernel == 1 and stride == 1:
        return 1.0, 1.0
    padding = (kernel - 1) // 2
    total = squares = 0.0
    for tap in range(kernel):
        # Positions q with 0 <= stride q + tap - padding < size.
        first = max(0, (padding - tap + stride - 1) // stride)
        last = min(out - 1, (size - 1 + padding - tap) // stride)
        seen = float(max(0, last - first + 1))
        total += seen
        squares += seen * seen
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
def of_image(notes: np.ndarray, row: int, size: float) -> float:
    """The part of a map's relative variance of norms that an average over all positions keeps."""
    return notes[NORM + row] * averaged(notes[LAG + row], int(size))


@compiled
def own_norm(state: np.ndarray) -> float:
    """What a map's channels, each with its own fluctuation, add to the relative variance of the squared norm at a position."""
    total = spread(state)
    own = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        share = state[base + VARIANCE] / total
        own += state[base + CHANNELS] * (2 * share * share + state[base + FOURTH] / (total * total))
    return own


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
def write_texture(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """Before a step: what a gradient needs to know of what is the same at all positions, and of norms.

    notes: for each map of the stack, the part of its variance that is the same at all positions of an image; the relative
    variance of the squared norms of positions; their lag variance.
    """
    row = int(order[top])
    state = stack[row]
    size = state[SIZE]
    if kind == Step.RECTIFY or kind == Step.SMOOTH:
        record[OTHER] = 1.0 if size == 1 else notes[STEADY + row]
        record[PASSED] = math.log1p(notes[NORM + row])
        record[KEPT] = mean_spread(state)
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
        below = int(order[top - 1])
        share = record[KEPT]
        notes[STEADY + below] = share * notes[STEADY + below] + (1 - share) * notes[STEADY + row]
        record[PASSED], record[WIDTH] = join_norms(notes, below, row, share, size)
    elif kind == Step.GATE:
        below = int(order[top - 1])
        size = stack[below][SIZE]
        record[PASSED] = math.log1p(notes[NORM + below])
        record[KEPT] = math.log1p(of_image(notes, below, size))
        notes[STEADY + below] = steady_gate(stack[below], state, notes[STEADY + below])
        follow_gate(notes, below, row, size)


@compiled
def note_texture(
    kind: int, record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, notes: np.ndarray
) -> None:
    """After a step, the rest of that."""
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
            record[PASSED] *= ghost_norms(notes, row, int(min(record[NUMBER + 3], size)))
        notes[STEADY + row] *= behind
        record[KEPT] = before
        if kind != Step.DEPTHWISE:
            norm = notes[NORM + row]
            record[PASSED] = record[PASSED] / norm if norm > 0 else 0.0
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        if kind == Step.SMOOTH:
            power = BEHIND_BN[int(record[NUMBER]), SPREAD_ELASTICITY]
            notes[NORM + row] = math.expm1(power * power * record[PASSED])
        notes[NORM + row] /= 1 + SATURATION * notes[NORM + row]
        image = of_image(notes, row, size)
        notes[STEADY + row] = steady_behind(kind, int(record[NUMBER]), record, notes[STEADY + row], image, state)
    elif kind == Step.COPY or kind == Step.SPLIT:
        for field in (STEADY, NORM, LAG):
            notes[field + row] = notes[field + int(order[top - 1])]
    elif kind == Step.AVERAGE_POOL:
        window = height // size
        share = notes[STEADY + row]
        pool_steadily(state, window, share)
        notes[STEADY + row] /= share + (1 - share) / (window * window)
        overlap = pooled_overlap(record[PASSED])
        state[OVERLAP] = overlap
        # Pooled channels are nearly Gaussian, and the norm of those that overlap varies by 2 e.
        norm = notes[NORM + row] * averaged(notes[LAG + row], window)
        notes[NORM + row] = (1 + norm) * (1 + 2 * overlap) - 1
        notes[LAG + row] = moved(notes[LAG + row], window, window)


@compiled
def ghost_norms(notes: np.ndarray, row: int, kernel: int) -> float:
    """Beside the dense half, one that a window makes of it: norms are means of both, in place.

    Returns the covariance of the joint norm with the dense half's, over the latter's variance.
    """
    kept = averaged(notes[LAG + row], kernel)
    notes[NORM + row] *= 0.25 + 0.75 * kept
    notes[LAG + row] = 0.5 * notes[LAG + row] + 0.5 * moved(notes[LAG + row], kernel, ONE)
    return 0.5 + 0.5 * kept
