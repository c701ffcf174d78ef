"""The forward pass of a network's steps that writes down what the gradient needs on its way back."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled
from PlainNet.mean_field import Step
from PlainNet.step_table import CALL_WIDTH, NUMBERS, numbers_of
from ZeroShotProxy.gradient_slopes import RECTIFIER, forward_slope
from ZeroShotProxy.mean_field_joins import transfer, width
from ZeroShotProxy.mean_field_machine import ZERO, step
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    DONE,
    FIELDS,
    GROUPS,
    HEADER,
    MEAN,
    NOT_JOINED,
    OFFSET,
    OVERLAP,
    OVERLAP_LAG,
    SIZE,
    STACK,
    VARIANCE,
)
from ZeroShotProxy.mean_field_windows import averaged

# What is written down of a step: kind and numbers, height and width of its map, width of the map below, a figure of its own,
# where the record before begins, how many pairs follow, then channels and factor of each group. Of a kind of step that has no use
# for one of these, it is not written.
KIND, NUMBER, HEIGHT, WIDTH, BELOW, EXTRA, BEFORE, PAIR_COUNT = 0, 1, 5, 6, 7, 8, 9, 10
PAIRS = 11
LONGEST_RECORD = PAIRS + 2 * GROUPS
# A step that stands between two blocks: the norm is noted.
BETWEEN = -1.0
# Records that a network needs more of: the caller comes again with more room.
TOO_LONG = 100
LARGEST_OVERLAP = 0.45


@compiled
def dense_excess(overlap: float, inputs: float) -> float:
    """E of w'w / w'Cw for normal weights w and inputs' covariance C of mean eigenvalue 1, to second order.

    Channels whose weights make a small output are enlarged by BN, and so is their gradient. tr C^2 / (tr C)^2 = overlap.
    """
    if inputs <= 2:
        return 1.0
    return (1 - 2 / inputs) * (1 + 2 * min(overlap, LARGEST_OVERLAP))


@compiled
def depthwise_excess(overlap: float, lag: float, kernel: int) -> float:
    """The same of a window over one channel, whose taps are alike as far as channels overlap."""
    return 1 + 2 * min(overlap, LARGEST_OVERLAP) * max(0.0, averaged(lag, kernel) - 1 / (kernel * kernel))


@compiled
def write_down(
    record: np.ndarray, stack: np.ndarray, order: np.ndarray, top: int, excess: np.ndarray, positive: np.ndarray
) -> None:
    """What the gradient needs of the maps before a step.

    excess: of the convolution before it, for its first and other groups. positive: of each map of the stack, the chance that an
    element is, where it has just been rectified; 0 elsewhere.
    """
    state = stack[int(order[top])]
    kind = int(record[KIND])
    record[PAIR_COUNT] = 0
    if kind == Step.NORMALISE:
        write_normalisation(record, state, excess)
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        write_slopes(record, state)
    elif kind == Step.ADD:
        record[PAIR_COUNT] = 1
        record[PAIRS], record[PAIRS + 1] = positive[int(order[top - 1])], positive[int(order[top])]
    elif kind == Step.GATE:
        write_gate(record, state, stack[int(order[top - 1])])
    elif kind == Step.CONCATENATE:
        record[BELOW] = width(stack[int(order[top - 1])])
    elif kind != Step.COPY and kind != Step.SWAP:
        record[HEIGHT], record[WIDTH] = state[SIZE], width(state)


@compiled
def write_normalisation(record: np.ndarray, state: np.ndarray, excess: np.ndarray) -> None:
    """What BN multiplies the squared gradient of each group of channels by."""
    record[PAIR_COUNT] = state[COUNT]
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        record[PAIRS + 2 * index] = state[base + CHANNELS]
        factor = excess[0] if index == 0 else excess[1]
        record[PAIRS + 2 * index + 1] = factor / (state[base + VARIANCE] + record[NUMBER])


@compiled
def write_slopes(record: np.ndarray, state: np.ndarray) -> None:
    """The same of an activation; the chance that one lets a gradient through, over all channels, is its own figure."""
    function = RECTIFIER if int(record[KIND]) == Step.RECTIFY else int(record[NUMBER])
    record[PAIR_COUNT] = state[COUNT]
    chance = channels = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        slope = forward_slope(state, base, function)
        record[PAIRS + 2 * index], record[PAIRS + 2 * index + 1] = state[base + CHANNELS], slope
        chance += state[base + CHANNELS] * slope
        channels += state[base + CHANNELS]
    record[EXTRA] = chance / channels


@compiled
def write_gate(record: np.ndarray, gate: np.ndarray, gated: np.ndarray) -> None:
    """Mean square of the gate; of what it gates, mean square and the part of it that is the same at all positions."""
    record[PAIR_COUNT], record[BELOW] = 1, width(gated)
    record[PAIRS] = gate[HEADER + VARIANCE] + gate[HEADER + MEAN] * gate[HEADER + MEAN]
    square = constant = 0.0
    for index in range(int(gated[COUNT])):
        base = HEADER + index * FIELDS
        channels = gated[base + CHANNELS]
        square += channels * (gated[base + MEAN] ** 2 + gated[base + VARIANCE])
        constant += channels * (gated[base + MEAN] ** 2 + gated[base + OFFSET])
    record[PAIRS + 1], record[EXTRA] = square / record[BELOW], constant / record[BELOW]
    record[HEIGHT] = gated[SIZE]


@compiled
def note_positive(record: np.ndarray, order: np.ndarray, top: int, positive: np.ndarray) -> None:
    """After a step: the chance that an element of the top map is positive, right behind a rectifier or a copy of that."""
    kind = int(record[KIND])
    if kind == Step.COPY:
        positive[int(order[top])] = positive[int(order[top - 1])]
    elif kind == Step.RECTIFY:
        positive[int(order[top])] = record[EXTRA]
    elif kind != Step.SWAP and kind != Step.BIAS:
        positive[int(order[top])] = 0.0


@compiled
def note_excess(record: np.ndarray, state: np.ndarray, excess: np.ndarray, overlap: float, lag: float) -> None:
    """After a step: what its convolution, if it is one, does to the gradient through the BN behind it.

    overlap, lag: of the map before the step.
    """
    kind = int(record[KIND])
    excess[0] = excess[1] = 1.0
    if kind == Step.DENSE:
        reached = min(record[NUMBER + 1], record[HEIGHT])
        excess[0] = excess[1] = dense_excess(state[OVERLAP], record[WIDTH] * reached * reached / record[NUMBER + 3])
    elif kind == Step.DEPTHWISE:
        reached = min(record[NUMBER], record[HEIGHT])
        excess[0] = excess[1] = depthwise_excess(overlap, lag, int(reached))
    elif kind == Step.GHOST:
        reached = min(record[NUMBER + 1], record[HEIGHT])
        cheap = int(min(record[NUMBER + 3], state[SIZE]))
        # The header is the mean of both halves: taken back to the first one's.
        lag = state[OVERLAP_LAG] - (cheap * cheap - 1) / 12
        overlap = state[OVERLAP] / (0.5 + 0.5 * averaged(lag, cheap))
        excess[0] = dense_excess(overlap, record[WIDTH] * reached * reached)
        excess[1] = excess[0] * depthwise_excess(overlap, lag, cheap)


@compiled
def forward(
    calls: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    stack: np.ndarray,
    notes: np.ndarray,
    records: np.ndarray,
) -> tuple[int, int]:
    """(failure, where the last record begins) of a forward pass that writes down what gradients need.

    notes: two rows to work in. records: room for one after the other.
    """
    order, numbers = stack[STACK + 1], stack[STACK + 2]
    excess, positive = notes[0], notes[1]
    for place in range(STACK):
        order[place], positive[place] = place, 0.0
    excess[0] = excess[1] = 1.0
    transfer(image[0], stack[0])
    top = used = latest = ZERO
    for call in range(0, calls.size, CALL_WIDTH):
        for layer in range(int(calls[call + 4]) + 1):
            part, into = (call, calls[call + 5]) if layer == 0 else (call + 2, calls[call + 7])
            for index in range(int(calls[part]), int(calls[part + 1])):
                if used + 2 * LONGEST_RECORD > records.size:
                    return TOO_LONG, latest
                numbers_of(rows, index, into, calls, call, numbers)
                record = records[used:]
                record[KIND], record[BEFORE] = rows[index, 0], latest
                for number in range(NUMBERS):
                    record[NUMBER + number] = numbers[number]
                write_down(record, stack, order, top, excess, positive)
                state = stack[int(order[top])]
                overlap, lag = state[OVERLAP], state[OVERLAP_LAG]
                failure, top = step(stack, order, top, int(rows[index, 0]), numbers)
                if failure:
                    return failure, latest
                note_positive(record, order, top, positive)
                note_excess(record, stack[int(order[top])], excess, overlap, lag)
                latest = used
                used += PAIRS + 2 * int(record[PAIR_COUNT])
        if top:
            return NOT_JOINED, latest
        records[used + KIND], records[used + BEFORE] = BETWEEN, latest
        latest = used
        used += PAIRS
    # The last map, where the gradient starts.
    last = stack[int(order[0])]
    records[latest + HEIGHT], records[latest + WIDTH] = last[SIZE], width(last)
    return DONE, latest
