"""The machine that runs the steps of `PlainNet.mean_field` on a stack of maps, and what is read off its last map."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from ZeroShotProxy import mean_field_kernel as kernel
from ZeroShotProxy.mean_field_activations import compiled, njit, scale_mean
from ZeroShotProxy.mean_field_kernel import (
    CHANGE,
    CHANNELS,
    COUNT,
    COVARIANCE,
    DONE,
    FIELDS,
    FOURTH,
    GROUPS,
    HEADER,
    LAG,
    LOG_SCALE,
    MEAN,
    NO_POSITIONS,
    NORM,
    OFFSET,
    OVERLAP,
    PROFILE,
    PROFILE_ROWS,
    SHAPES_DIFFER,
    SIZE,
    STACK,
    THIRD,
    TOO_DEEP,
    TOO_MANY_GROUPS,
    UNEVEN_POOLING,
    VARIANCE,
    activate,
    averaged,
    dense,
    depthwise,
    normalise,
)

FAILURES = {
    TOO_DEEP: "its branches are nested too deeply",
    TOO_MANY_GROUPS: "its maps have channels of more kinds than the closed form tells apart",
    kernel.WINDOW_TOO_LARGE: "a window does not fit its map",
    SHAPES_DIFFER: "the maps of a sum or concatenation differ in shape",
    UNEVEN_POOLING: "there is no mean-field rule for pooling into windows that overlap",
    NO_POSITIONS: "its maps have no position",
}


@compiled
def step(stack: np.ndarray, top: int, numbers: np.ndarray) -> tuple[int, int]:
    """Carry out one step; (failure, index of the topmost map)."""
    kind = int(numbers[0])
    state = stack[top]
    if kind == 0:
        return dense(state, int(numbers[1]), int(numbers[2]), int(numbers[3]), int(numbers[4])), top
    if kind == 1:
        return depthwise(state, int(numbers[1]), int(numbers[2])), top
    if (kind == 5 or kind == 6) and top + 1 == STACK:
        return TOO_DEEP, top
    if kind == 2:
        normalise(state, numbers[1])
    elif kind == 3:
        activate(state, -1)
    elif kind == 4:
        activate(state, int(numbers[1]))
    elif kind == 5:
        copy(stack, top)
        top += 1
    elif kind == 6:
        copy(stack, top)
        drop_first_channels(stack[top + 1], numbers[1])
        keep_first_channels(state, numbers[1])
        top += 1
    elif kind == 7:
        swap(stack, top)
    elif kind == 8:
        return add(stack[top - 1], state), top - 1
    elif kind == 9:
        return concatenate(stack[top - 1], state), top - 1
    elif kind == 10:
        keep_first_channels(state, numbers[1])
    elif kind == 11:
        return deinterleave(state), top
    elif kind == 12:
        return average_pool(state, int(numbers[1])), top
    elif kind == 13:
        gate(stack[top - 1], state)
        top -= 1
    return DONE, top


@compiled
def log_difference(state: np.ndarray) -> float:
    """log E sum |f - f'|. A Gaussian difference has a mean absolute value of sqrt(2 / pi) of its deviation."""
    total = 0.0
    for index in range(int(state[COUNT])):
        group = state[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        change = group[CHANGE]
        if change == 0:
            change = 2 * math.sqrt(max(0.0, group[VARIANCE] - group[COVARIANCE]) / math.pi)
        total += group[CHANNELS] * change
    size = int(state[SIZE])
    deviation = np.sqrt(state[PROFILE + size : PROFILE + 2 * size]).sum()
    total *= scale_mean(1 + state[kernel.CHANGE_NORM]) * deviation * deviation
    return math.log(total) if total > 0 else -math.inf


@compiled
def copy(stack: np.ndarray, top: int) -> None:
    """A second copy on top; its BN sum starts at 0 because the sums of joined maps add."""
    used = PROFILE + 2 * int(stack[top, SIZE])
    stack[top + 1, :used] = stack[top, :used]
    stack[top + 1, LOG_SCALE] = 0.0


@compiled
def swap(stack: np.ndarray, top: int) -> None:
    used = PROFILE + 2 * int(max(stack[top, SIZE], stack[top - 1, SIZE]))
    for index in range(used):
        stack[top, index], stack[top - 1, index] = stack[top - 1, index], stack[top, index]


@compiled
def keep_first_channels(state: np.ndarray, channels: float) -> None:
    for index in range(int(state[COUNT])):
        place = HEADER + index * FIELDS + CHANNELS
        if state[place] >= channels:
            state[place] = channels
            state[COUNT] = index + 1
            return
        channels -= state[place]


@compiled
def drop_first_channels(state: np.ndarray, channels: float) -> None:
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
    added[:] = group
    added[CHANNELS] = channels
    state[COUNT] = count + 1
    return DONE


@compiled
def deinterleave(state: np.ndarray) -> int:
    """Channels in even positions first, then those in odd positions."""
    count = int(state[COUNT])
    before = state[HEADER : HEADER + count * FIELDS].copy()
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
def add(lower: np.ndarray, upper: np.ndarray) -> int:
    """The sum of maps that random weights make independent, in place of the lower one: cumulants add."""
    if lower[SIZE] != upper[SIZE] or width(lower) != width(upper):
        return SHAPES_DIFFER
    weight = spread(lower)
    other = spread(upper)
    norm = (lower[NORM] * weight**2 + upper[NORM] * other**2) / (weight + other) ** 2
    overlap = (lower[OVERLAP] * weight**2 + upper[OVERLAP] * other**2) / (weight + other) ** 2
    blend(lower, upper, weight, other)
    lower[NORM], lower[OVERLAP] = norm, overlap
    before = lower[HEADER : HEADER + int(lower[COUNT]) * FIELDS].copy()
    lower[COUNT] = 0
    left = right = 0
    total = np.zeros(FIELDS)
    while left < before.size // FIELDS and right < int(upper[COUNT]):
        one = before[left * FIELDS : (left + 1) * FIELDS]
        two = upper[HEADER + right * FIELDS : HEADER + (right + 1) * FIELDS]
        channels = min(one[CHANNELS], two[CHANNELS])
        total[:] = one + two
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
    kept = averaged(state[LAG], window)
    for index in range(int(state[COUNT])):
        group = state[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        group[VARIANCE] *= kept
        group[COVARIANCE] *= kept
        group[THIRD] = group[CHANGE] = 0.0
        group[FOURTH] *= kept**3
    state[NORM] *= averaged(state[kernel.NORM_LAG], window)
    state[OVERLAP] *= averaged(state[kernel.OVERLAP_LAG], window)
    for lag in (LAG, kernel.NORM_LAG, kernel.OVERLAP_LAG):
        state[lag] = kernel.moved(state[lag], window, window)
    state[SIZE] = out
    state[PROFILE : PROFILE + 2 * out] = 1.0
    state[kernel.ROOT] = 1.0
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


@compiled
def run_steps(steps: np.ndarray, resolution: int, gamma: float, channels: int) -> tuple[int, float, float]:
    """(failure, log sum |f - f'|, BN sum) of a network's steps on standard normal images x beside x + gamma e.

    Both runs are normalised by the first BN, hence the covariance 1 / sqrt(1 + gamma^2).
    """
    stack = np.empty((STACK, PROFILE + PROFILE_ROWS * resolution))
    first = stack[0]
    first[: HEADER + FIELDS] = 0.0
    first[kernel.ROOT] = 1.0
    first[COUNT], first[SIZE] = 1, resolution
    first[HEADER + CHANNELS], first[HEADER + VARIANCE] = channels, 1.0
    first[HEADER + COVARIANCE] = 1 / math.sqrt(1 + gamma * gamma)
    first[kernel.CHANGE_OWN] = kernel.LINEAR_CHANGE
    first[PROFILE:] = 1.0
    top = 0
    for row in range(steps.shape[0]):
        failure, top = step(stack, top, steps[row])
        if failure:
            return failure, 0.0, 0.0
    return DONE, log_difference(stack[top]), stack[top, LOG_SCALE]


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`run_steps` with its machine code in a cache that a change of any of the three files renews.

    numba looks at the file of the cached function alone, and at what the function closes over: hence the version.
    """

    def run(steps: np.ndarray, resolution: int, gamma: float, channels: int) -> tuple[int, float, float]:
        if version == 0:
            return DONE, 0.0, 0.0
        return run_steps(steps, resolution, gamma, channels)

    return njit(run, cache=True, error_model="numpy") if njit else run


def _source_version() -> int:
    folder = Path(__file__).parent
    sources = [(folder / f"mean_field_{name}.py").read_bytes() for name in ("activations", "kernel", "machine")]
    return zlib.crc32(b"".join(sources)) or 1


run = _kept_on_disk(_source_version())
