"""The forward pass of a network's steps that writes down what the gradient needs on its way back."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled, unfolded
from PlainNet.mean_field import Step
from PlainNet.step_table import CALL_WIDTH, numbers_of
from ZeroShotProxy.gradient_excess import note_excess
from ZeroShotProxy.gradient_layout import (
    BEFORE,
    BETWEEN,
    FIRST,
    HEIGHT,
    KEPT,
    KIND,
    LONGEST_RECORD,
    NUMBER,
    OTHER,
    PAIR_COUNT,
    PAIRS,
    PASSED,
    TOO_LONG,
    WIDTH,
)
from ZeroShotProxy.gradient_norms import LAG, NORM, note_norms, write_norms
from ZeroShotProxy.gradient_slopes import RECTIFIER, forward_slope
from ZeroShotProxy.gradient_steady import STEADY, note_steady, write_steady
from ZeroShotProxy.mean_field_joins import spread, transfer, width
from ZeroShotProxy.mean_field_machine import ZERO, step
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    DONE,
    FIELDS,
    HEADER,
    MEAN,
    NOT_JOINED,
    OFFSET,
    OVERLAP,
    OVERLAP_LAG,
    PROFILE,
    SIZE,
    STACK,
    VARIANCE,
)
from ZeroShotProxy.mean_field_map import NORM as MAP_NORM


@compiled
def is_convolution(kind: int) -> bool:
    """Whether a step is one that `note_excess` knows."""
    return kind == Step.DENSE or kind == Step.DEPTHWISE or kind == Step.GHOST


@unfolded
def write_down(
    record: np.ndarray,
    kind: int,
    before: np.ndarray,
    stack: np.ndarray,
    order: np.ndarray,
    top: int,
    positive: np.ndarray,
) -> int:
    """What the gradient needs of the maps before a step; how many pairs it is.

    before: the record before it. positive: of each map of the stack, the chance that an element is, where it has just been
    rectified, 0 elsewhere; then what `gradient_norms` and `gradient_steady` note of it.
    """
    state = stack[int(order[top])]
    record[OTHER], record[KEPT], record[PASSED] = 0.0, 1.0, 1.0
    if kind == Step.NORMALISE:
        return write_normalisation(record, before, state)
    if kind == Step.RECTIFY or kind == Step.SMOOTH:
        return write_slopes(record, kind, state)
    if kind == Step.ADD:
        record[FIRST], record[OTHER] = positive[int(order[top - 1])], positive[int(order[top])]
        record[KEPT] = share_of_lower(stack[int(order[top - 1])], state)
    elif kind == Step.GATE:
        return write_gate(record, state, stack[int(order[top - 1])], positive[STACK + STEADY + int(order[top - 1])])
    elif kind == Step.CONCATENATE:
        # Channels of the map below.
        record[FIRST] = width(stack[int(order[top - 1])])
        record[KEPT] = share_of_lower(stack[int(order[top - 1])], state)
    elif kind != Step.COPY and kind != Step.SWAP:
        record[HEIGHT], record[WIDTH] = state[SIZE], width(state)
        if is_convolution(kind):
            # Behind it: `note_variances`.
            return 1
    return 0


@unfolded
def share_of_lower(below: np.ndarray, state: np.ndarray) -> float:
    """Of the variance of two maps that become one, the part that the lower one brings."""
    lower = spread(below)
    return lower / (lower + spread(state))


@unfolded
def write_normalisation(record: np.ndarray, before: np.ndarray, state: np.ndarray) -> int:
    """What BN multiplies the squared gradient of each group of channels by.

    Besides, by how much the squared norms of what its convolution reads vary.
    """
    first = other = 1.0
    if is_convolution(int(before[KIND])):
        first, other = before[FIRST], before[OTHER]
    count = int(state[COUNT])
    for index in range(count):
        base = HEADER + index * FIELDS
        factor = first if index == 0 else other
        record[PAIRS + 2 * index] = state[base + CHANNELS]
        record[PAIRS + 2 * index + 1] = factor / (state[base + VARIANCE] + record[NUMBER])
    record[FIRST] = state[MAP_NORM]
    return count


@unfolded
def write_profile(record: np.ndarray, count: int, state: np.ndarray) -> None:
    """The profile of a map's variance, behind so many pairs."""
    size, end = int(state[SIZE]), PAIRS + 2 * count
    for position in range(size):
        record[end + position] = state[PROFILE + position]
    record[HEIGHT] = size


@unfolded
def write_slopes(record: np.ndarray, kind: int, state: np.ndarray) -> int:
    """The same of an activation, and the chance that it lets a gradient through, over all channels."""
    function = RECTIFIER if kind == Step.RECTIFY else int(record[NUMBER])
    chance = channels = 0.0
    count = int(state[COUNT])
    for index in range(count):
        base = HEADER + index * FIELDS
        slope = forward_slope(state, base, function)
        record[PAIRS + 2 * index], record[PAIRS + 2 * index + 1] = state[base + CHANNELS], slope
        chance += state[base + CHANNELS] * slope
        channels += state[base + CHANNELS]
    record[FIRST] = chance / channels
    return count


@unfolded
def write_gate(record: np.ndarray, gate: np.ndarray, gated: np.ndarray, steady: float) -> int:
    """Mean square of the gate; of what it gates, mean square and the part of it that is the same at all positions.

    steady: that part of the gated map's variance.
    """
    record[PAIRS] = gate[HEADER + VARIANCE] + gate[HEADER + MEAN] * gate[HEADER + MEAN]
    square = constant = 0.0
    for index in range(int(gated[COUNT])):
        base = HEADER + index * FIELDS
        channels = gated[base + CHANNELS]
        square += channels * (gated[base + MEAN] ** 2 + gated[base + VARIANCE])
        constant += channels * (gated[base + MEAN] ** 2 + gated[base + OFFSET] + steady * gated[base + VARIANCE])
    channels = width(gated)
    record[FIRST], record[OTHER] = square / channels, constant / channels
    record[HEIGHT] = gated[SIZE]
    return 1


@unfolded
def note_positive(kind: int, record: np.ndarray, order: np.ndarray, top: int, positive: np.ndarray) -> None:
    """After a step: the chance that an element of the top map is positive, right behind a rectifier or a copy of that."""
    if kind == Step.COPY:
        positive[int(order[top])] = positive[int(order[top - 1])]
    elif kind == Step.RECTIFY:
        positive[int(order[top])] = record[FIRST]
    elif kind != Step.SWAP and kind != Step.BIAS:
        positive[int(order[top])] = 0.0


@compiled
def what_is_followed(calls: np.ndarray, rows: np.ndarray) -> tuple[bool, bool]:
    """Whether norms are, and what is the same at all positions.

    Slopes of gates and of activations other than the rectifier follow norms; gates and pooled maps depend on what is the same
    at all positions. Otherwise gradients are as large without either.
    """
    curved = pooled = gated = False
    for call in range(0, calls.size, CALL_WIDTH):
        for part in (call, call + 2):
            for index in range(int(calls[part]), int(calls[part + 1])):
                kind = int(rows[index, 0])
                curved |= kind == Step.SMOOTH
                pooled |= kind == Step.AVERAGE_POOL
                gated |= kind == Step.GATE
    return curved or gated, gated or (curved and pooled)


@unfolded
def note_variances(record: np.ndarray, state: np.ndarray) -> None:
    """After a convolution, in place of a pair: mean variance of its channels; of a ghost convolution, that of either half."""
    if int(record[KIND]) == Step.GHOST:
        record[PAIRS], record[PAIRS + 1] = state[HEADER + VARIANCE], state[HEADER + FIELDS + VARIANCE]
    else:
        record[PAIRS] = spread(state) / width(state)


@compiled
def forward(
    calls: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    stack: np.ndarray,
    positive: np.ndarray,
    records: np.ndarray,
    parameters: bool,
) -> tuple[int, int]:
    """(failure, where the last record begins) of a forward pass that writes down what gradients need.

    positive: room for four numbers for each map of the stack. records: room for one after the other. parameters: whether
    gradients of BN's and of weights are asked for, too.
    """
    order = stack[STACK + 1]
    for place in range(STACK):
        order[place], positive[place] = place, 0.0
    notes = positive[STACK:]
    notes[NORM] = notes[LAG] = notes[STEADY] = 0.0
    transfer(image[0], stack[0])
    records[KIND] = BETWEEN
    norms, steady = what_is_followed(calls, rows)
    top = used = latest = ZERO
    for call in range(0, calls.size, CALL_WIDTH):
        for layer in range(int(calls[call + 4]) + 1):
            part, into = (call, calls[call + 5]) if layer == 0 else (call + 2, calls[call + 7])
            for index in range(int(calls[part]), int(calls[part + 1])):
                if used + 2 * LONGEST_RECORD + int(image[0, SIZE]) > records.size:
                    return TOO_LONG, latest
                record, kind = records[used:], int(rows[index, 0])
                numbers = record[NUMBER:]
                numbers_of(rows, index, into, calls, call, numbers)
                pairs = write_down(record, kind, records[latest:], stack, order, top, positive)
                record[KIND], record[BEFORE], record[PAIR_COUNT] = kind, latest, pairs
                state = stack[int(order[top])]
                # Slopes of others than the rectifier follow the variance at a position, and so do squares of parameters.
                profiled = kind == Step.SMOOTH or (parameters and kind == Step.NORMALISE)
                if profiled:
                    write_profile(record, pairs, state)
                overlap, lag = state[OVERLAP], state[OVERLAP_LAG]
                if norms:
                    write_norms(kind, record, stack, order, top, notes)
                if steady:
                    write_steady(kind, record, stack, order, top, notes)
                failure, top = step(stack, order, top, kind, numbers)
                if failure:
                    return failure, latest
                note_positive(kind, record, order, top, positive)
                if norms:
                    note_norms(kind, record, stack, order, top, notes)
                if steady:
                    note_steady(kind, record, stack, order, top, notes)
                if is_convolution(kind):
                    note_excess(kind, record, state, overlap, lag)
                    note_variances(record, state)
                latest = used
                used += PAIRS + 2 * pairs + (int(record[HEIGHT]) if profiled else 0)
        if top:
            return NOT_JOINED, latest
        records[used + KIND], records[used + BEFORE] = BETWEEN, latest
        latest = used
        used += PAIRS
    # The last map, where the gradient starts, the same at all positions.
    last = stack[int(order[0])]
    records[latest + HEIGHT], records[latest + WIDTH] = last[SIZE], width(last)
    records[latest + FIRST] = 1.0 if steady else 0.0
    return DONE, latest
