"""Costs of a block from its steps: what `Block.figures` adds up in Python, in compiled code.

Most of what a search proposes holds blocks that were never counted, and to expand them would take longer than anything else in
an iteration. Their mean-field steps say all that costs depend on, and come from templates (`PlainNet.step_table`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from PlainNet import mean_field, step_table
from PlainNet.compiling import Examples, compiled, kept_on_disk, source_version
from PlainNet.mean_field import Step
from PlainNet.step_table import CALL_WIDTH, NUMBERS, ROW_WIDTH, numbers_of

# Of a map: channels, height.
CHANNELS, SIZE = 0, 1
STACK = 16
PARAMETERS, FLOPS, MEMORY_ACCESS, PEAK = range(4)
# Costs are added up as floats, which are exact up to here and never wrap; larger ones are left to Python's integers.
LARGEST = 2.0**53
# For a literal number what is called would be compiled a second time.
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)
NOT_COUNTED = 0, 0, 0, 0, 0


@compiled
def count_convolution(
    costs: np.ndarray, state: np.ndarray, out_channels: int, kernel: int, stride: int, groups: int
) -> None:
    """Add a bias-free convolution, and leave the shape of its output."""
    size = state[SIZE]
    out = (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1
    weights = float(state[CHANNELS] // groups) * out_channels * kernel * kernel
    positions = float(out * out)
    output = out_channels * positions
    costs[PARAMETERS] += weights
    costs[FLOPS] += weights * positions
    costs[MEMORY_ACCESS] += float(state[CHANNELS]) * size * size + output + weights
    costs[PEAK] = max(costs[PEAK], output)
    state[CHANNELS], state[SIZE] = out_channels, out


@compiled
def count_step(costs: np.ndarray, stack: np.ndarray, top: int, kind: int, numbers: np.ndarray) -> int:
    """Add what one step costs; the place of the topmost map, or -1 where there are too many."""
    state = stack[top]
    if kind == Step.DENSE:
        count_convolution(costs, state, int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3]))
    elif kind == Step.DEPTHWISE:
        count_convolution(costs, state, state[CHANNELS], int(numbers[0]), int(numbers[1]), state[CHANNELS])
    elif kind == Step.NORMALISE:
        costs[PARAMETERS] += 2 * state[CHANNELS]
    elif kind == Step.COPY or kind == Step.SPLIT:
        if top + 1 == STACK:
            return -1
        top += 1
        stack[top, CHANNELS], stack[top, SIZE] = state[CHANNELS], state[SIZE]
        if kind == Step.SPLIT:
            stack[top, CHANNELS] = int(numbers[0])
            state[CHANNELS] -= int(numbers[0])
    elif kind == Step.SWAP:
        for field in range(2):
            state[field], stack[top - 1, field] = stack[top - 1, field], state[field]
    elif kind == Step.ADD or kind == Step.GATE:
        top -= 1
    elif kind == Step.CONCATENATE:
        top -= 1
        stack[top, CHANNELS] += state[CHANNELS]
    elif kind == Step.FIRST_CHANNELS:
        state[CHANNELS] = int(numbers[0])
    elif kind == Step.AVERAGE_POOL:
        state[SIZE] = int(numbers[0])
    elif kind == Step.GHOST:
        count_convolution(costs, state, (int(numbers[0]) + 1) // 2, int(numbers[1]), int(numbers[2]), ONE)
        count_convolution(costs, state, state[CHANNELS], int(numbers[3]), ONE, state[CHANNELS])
        state[CHANNELS] = int(numbers[0])
    elif kind == Step.BIAS:
        costs[PARAMETERS] += state[CHANNELS]
    return top


@compiled
def count_call(
    call: np.ndarray,
    rows: np.ndarray,
    channels: int,
    size: int,
    stack: np.ndarray,
    costs: np.ndarray,
    before: np.ndarray,
    numbers: np.ndarray,
) -> tuple[int, int, int, int, int]:
    """Parameters, flops, memory access and largest map of a block, and the size of its last map.

    All 0 if it is nested too deeply, or if one of these figures is above `LARGEST`.
    call, rows: of a `StepTable`. channels, size: of the block's input. stack, before, numbers: room to work; costs: zeros.
    """
    stack[0, CHANNELS], stack[0, SIZE] = channels, size
    # Not of a literal 0, for which `count_step` would be compiled a second time.
    top = ZERO
    # All layers after the first cost the same: they are counted once.
    for part in range(0, 4 if call[4] else 2, 2):
        into = call[7] if part else call[5]
        for figure in range(PEAK):
            before[figure] = costs[figure]
        for index in range(int(call[part]), int(call[part + 1])):
            numbers_of(rows, index, into, call, ZERO, numbers)
            top = count_step(costs, stack, top, int(rows[index, 0]), numbers)
            if top < 0:
                return NOT_COUNTED
        if part:
            for figure in range(PEAK):
                costs[figure] += (call[4] - 1) * (costs[figure] - before[figure])
    if max(costs[PARAMETERS], costs[FLOPS], costs[MEMORY_ACCESS], costs[PEAK]) > LARGEST:
        return NOT_COUNTED
    return int(costs[0]), int(costs[1]), int(costs[2]), int(costs[3]), int(stack[top, SIZE])


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`count_call` with its machine code in a cache that a change of its files renews; see `source_version`."""

    def count(call: np.ndarray, rows: np.ndarray, channels: int, size: int) -> tuple[int, int, int, int, int]:
        if version == 0:
            return NOT_COUNTED
        stack = np.empty((STACK, 2), np.int64)
        return count_call(call, rows, channels, size, stack, np.zeros(4), np.empty(PEAK), np.empty(NUMBERS))

    return kept_on_disk(count)


count = _kept_on_disk(source_version(*map(Path, (__file__, mean_field.__file__, step_table.__file__))))


def examples() -> Examples:
    """The function with arguments as it is called with, for who has it compiled in time."""
    return [(count, (np.zeros(CALL_WIDTH), np.zeros((1, ROW_WIDTH)), 3, 1))]
