"""The machine that runs the steps of `PlainNet.mean_field` on a stack of maps, and what is read off its last map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from PlainNet import compiling, mean_field, step_table
from PlainNet.compiling import compiled, kept_on_disk, source_version
from PlainNet.mean_field import Step
from PlainNet.step_table import CALL_WIDTH, ROW_WIDTH, numbers_of
from ZeroShotProxy import four_numbers
from ZeroShotProxy.mean_field_activations import scale_mean
from ZeroShotProxy.mean_field_joins import (
    add,
    average_pool,
    concatenate,
    copy,
    deinterleave,
    gate,
    keep_first_channels,
    split,
    transfer,
)
from ZeroShotProxy.mean_field_kernel import LINEAR_CHANGE, activate, dense, depthwise, ghost, normalise
from ZeroShotProxy.mean_field_map import (
    CHANGE,
    CHANGE_NORM,
    CHANGE_OWN,
    CHANNELS,
    COUNT,
    COVARIANCE,
    DONE,
    FIELDS,
    HEADER,
    LOG_SCALE,
    NO_POSITIONS,
    NOT_JOINED,
    PROFILE,
    PROFILE_ROWS,
    ROOT,
    RUNS,
    SHAPES_DIFFER,
    SIZE,
    SPARE,
    STACK,
    TOO_DEEP,
    TOO_MANY_GROUPS,
    UNEVEN_POOLING,
    VARIANCE,
    WINDOW_TOO_LARGE,
)

# `activate` of a variable function takes this type; for a literal number it would be compiled a second time.
RECTIFIER: Any = np.int64(-1)
ZERO: Any = np.int64(0)

FAILURES = {
    TOO_DEEP: "its branches are nested too deeply",
    TOO_MANY_GROUPS: "its maps have channels of more kinds than the closed form tells apart",
    WINDOW_TOO_LARGE: "a window does not fit its map",
    SHAPES_DIFFER: "the maps of a sum or concatenation differ in shape",
    UNEVEN_POOLING: "there is no mean-field rule for pooling into windows that overlap",
    NO_POSITIONS: "its maps have no position",
    NOT_JOINED: "a block leaves more than one map behind",
}


@compiled
def step(stack: np.ndarray, order: np.ndarray, top: int, kind: int, numbers: np.ndarray) -> tuple[int, int]:
    """Carry out one step; (failure, place of the topmost map). The map at a place lies in row `order[place]` of the stack."""
    state = stack[int(order[top])]
    if kind == Step.DENSE:
        return dense(state, int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3])), top
    if kind == Step.DEPTHWISE:
        return depthwise(state, int(numbers[0]), int(numbers[1])), top
    if kind == Step.NORMALISE:
        normalise(state, numbers[0])
    elif kind == Step.RECTIFY:
        activate(state, RECTIFIER)
    elif kind == Step.SMOOTH:
        activate(state, int(numbers[0]))
    elif kind == Step.COPY or kind == Step.SPLIT:
        if top + 1 == STACK:
            return TOO_DEEP, top
        top += 1
        if kind == Step.SPLIT:
            split(state, stack[int(order[top])], numbers[0])
        else:
            copy(state, stack[int(order[top])])
    elif kind == Step.SWAP:
        order[top], order[top - 1] = order[top - 1], order[top]
    elif kind == Step.ADD:
        return add(stack[int(order[top - 1])], state, stack[STACK]), top - 1
    elif kind == Step.CONCATENATE:
        return concatenate(stack[int(order[top - 1])], state), top - 1
    elif kind == Step.FIRST_CHANNELS:
        keep_first_channels(state, numbers[0])
    elif kind == Step.DEINTERLEAVE:
        return deinterleave(state, stack[STACK]), top
    elif kind == Step.AVERAGE_POOL:
        return average_pool(state, int(numbers[0])), top
    elif kind == Step.GATE:
        top -= 1
        gate(stack[int(order[top])], state)
    elif kind == Step.GHOST:
        return ghost(state, int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3])), top
    return DONE, top


@compiled
def log_difference(state: np.ndarray) -> float:
    """log E sum |f - f'|. A Gaussian difference has a mean absolute value of sqrt(2 / pi) of its deviation."""
    total = deviation = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        change = state[base + CHANGE]
        if change == 0:
            change = 2 * math.sqrt(max(0.0, state[base + VARIANCE] - state[base + COVARIANCE]) / math.pi)
        total += state[base + CHANNELS] * change
    size = int(state[SIZE])
    for position in range(PROFILE + size, PROFILE + 2 * size):
        deviation += math.sqrt(state[position])
    total *= scale_mean(1 + state[CHANGE_NORM]) * deviation * deviation
    return math.log(total) if total > 0 else -math.inf


def first_map(resolution: int, gamma: float, channels: int) -> np.ndarray:
    """Standard normal images x beside x + gamma e, as a map; (1, PROFILE + 2 resolution).

    Both runs are normalised by the first BN, hence the covariance 1 / sqrt(1 + gamma^2). gamma: 0 where no score is wanted, and
    x alone is followed.
    """
    first = np.zeros(PROFILE + 2 * resolution)
    first[ROOT], first[RUNS] = 1.0, 2 if gamma else 1
    first[COUNT], first[SIZE] = 1, resolution
    first[HEADER + CHANNELS], first[HEADER + VARIANCE] = channels, 1.0
    first[HEADER + COVARIANCE] = 1 / math.sqrt(1 + gamma * gamma)
    first[CHANGE_OWN] = LINEAR_CHANGE
    first[PROFILE:] = 1.0
    return first.reshape(1, -1)


@compiled
def run_calls(
    calls: np.ndarray, rows: np.ndarray, maps: np.ndarray, row: int, kept: np.ndarray, stack: np.ndarray
) -> tuple[int, float, float]:
    """(failure, log sum |f - f'|, BN sum) of blocks from the map in `maps[row]` on.

    calls, rows: of a `PlainNet.step_table.StepTable`, a call for each block. The maps behind the first blocks are copied into
    the rows of `kept`: a network that begins alike starts from there. stack: room to work, from `room`.
    """
    order, numbers = stack[STACK + 1], stack[STACK + 2]
    for place in range(STACK):
        order[place] = place
    transfer(maps[row], stack[0])
    # Not of a literal 0, for which all that reads them would be compiled a second time.
    top = block = ZERO
    for call in range(0, calls.size, CALL_WIDTH):
        for layer in range(int(calls[call + 4]) + 1):
            # Later layers read what the first gives.
            part, into = (call, calls[call + 5]) if layer == 0 else (call + 2, calls[call + 7])
            for index in range(int(calls[part]), int(calls[part + 1])):
                numbers_of(rows, index, into, calls, call, numbers)
                failure, top = step(stack, order, top, int(rows[index, 0]), numbers)
                if failure:
                    return failure, 0.0, 0.0
        if call + CALL_WIDTH < calls.size:
            if top:
                return NOT_JOINED, 0.0, 0.0
            if block < kept.shape[0]:
                transfer(stack[int(order[0])], kept[block])
                block += 1
    last = stack[int(order[top])]
    return DONE, log_difference(last), last[LOG_SCALE]


def room(resolution: int) -> np.ndarray:
    """A stack for maps of that height, a row to work in, one for their order, and one for the numbers of a step."""
    return np.zeros((STACK + 3, PROFILE + PROFILE_ROWS * resolution + SPARE))


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`run_calls` with its machine code in a cache that a change of any of its files renews; see `source_version`."""

    def run(
        calls: np.ndarray, rows: np.ndarray, maps: np.ndarray, row: int, kept: np.ndarray, stack: np.ndarray
    ) -> tuple[int, float, float]:
        if version == 0:
            return DONE, 0.0, 0.0
        return run_calls(calls, rows, maps, row, kept, stack)

    return kept_on_disk(run)


_PARTS = ("activations", "joins", "kernel", "machine", "map", "windows")
# The files on which machine code depends that calls `step`.
SOURCES = [Path(__file__).parent / f"mean_field_{part}.py" for part in _PARTS]
SOURCES += [Path(str(module.__file__)) for module in (mean_field, step_table, four_numbers)]
run = _kept_on_disk(source_version(*SOURCES))


def examples() -> tuple:
    """Arguments of `run` with the types of every call: numba compiles for types."""
    first = first_map(1, 0.01, 3)
    return np.zeros(CALL_WIDTH), np.zeros((1, ROW_WIDTH)), first, 0, np.empty_like(first), room(1)


WHAT = "the closed form (about ten seconds)"


def prepare() -> None:
    """Have the machine ready: read it, or compile it where no run has done so before, which is said in the log."""
    compiling.prepare(WHAT, [(run, examples())])
