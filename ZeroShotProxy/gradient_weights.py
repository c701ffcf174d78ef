"""Squared gradients of a network's parameters, read off the gradients of its maps; docs/gradient_norm.md derives every rule.

Beside each gradient of `gradient_map` stands a row of `gradient_shares`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from PlainNet.compiling import compiled, kept_on_disk, source_version
from PlainNet.mean_field import Step
from ZeroShotProxy import gradient_machine
from ZeroShotProxy.gradient_layout import (
    BEFORE,
    BETWEEN,
    FIRST,
    GATED,
    HEIGHT,
    KEPT,
    KIND,
    NUMBER,
    OTHER,
    PAIRS,
    WIDTH,
)
from ZeroShotProxy.gradient_machine import begin_back, let_through, step_back
from ZeroShotProxy.gradient_map import SIZE, copy_gradient, keep_channels, sum_over_channels
from ZeroShotProxy.gradient_records import forward
from ZeroShotProxy.gradient_shares import (
    ABROAD,
    ALONG_SCALE,
    CONVOLUTIONS,
    DEPTHWISE,
    SAME,
    SHARES,
    TOGETHER,
    activate_shares,
    blend_shares,
    divide_shares,
    normalise_shares,
    pool_shares,
    set_shares,
)
from ZeroShotProxy.gradient_steady import window_shares
from ZeroShotProxy.gradient_windows import slide_back, tap_sums
from ZeroShotProxy.mean_field_kernel import ONE
from ZeroShotProxy.mean_field_machine import ZERO
from ZeroShotProxy.mean_field_map import (
    CHANNELS,
    COUNT,
    DONE,
    FIELDS,
    HEADER,
    MEAN,
    OFFSET,
    STACK,
    TOO_MANY_GROUPS,
    VARIANCE,
)
from ZeroShotProxy.mean_field_map import SIZE as MAP_SIZE

# Of the last map: squares of its channels' means, its variances, both summed over channels, and its height.
MEANS, VARIANCES, LAST_SIZE = range(3)
# No fewer directions than four are reckoned with among the inputs of an output: the mean has a pole at two.
_FEWEST = 0.25


@compiled
def independent_taps(size: int, out: int, kernel: int, stride: int) -> float:
    """How many taps of a zero-padded window count: (sum n_t)^2 / sum n_t^2, tap t sees n_t positions; along one axis."""
    total, squares = tap_sums(size, out, kernel, stride)
    return total * total / squares


@compiled
def weight_factor(excess: float, listed: float, inputs: float) -> float:
    """The squared gradient of an output's weights over variance times squared gradient, which holds `excess` already.

    E tr C / w'Cw (1 - e) for normal weights w, e = tr C^2 / (tr C)^2: the mean inverse of a chi-squared number with 1 / e
    degrees of freedom, and the direction of w itself has no gradient. listed: inputs by which `gradient_records` has taken e
    into the excess; inputs: those that there are.
    """
    overlap = max(0.0, (excess - 1) * (listed + 2) / (2 * listed)) + 1 / inputs
    return (1 - overlap) / max(_FEWEST, 1 - 2 * overlap) / excess


@compiled
def add_convolution(gradient: np.ndarray, record: np.ndarray, images: float, squares: np.ndarray) -> None:
    """Before the gradient goes back through a convolution: the square of its weights' gradient."""
    alone = int(record[KIND]) == Step.DEPTHWISE
    first = NUMBER if alone else NUMBER + 1
    height, size, kernel = int(record[HEIGHT]), int(gradient[SIZE]), int(record[first])
    channels = 1.0 if alone else record[WIDTH] / record[NUMBER + 3]
    reached = min(kernel, height)
    taps = independent_taps(height, size, kernel, int(record[first + 1]))
    factor = weight_factor(record[FIRST], reached * reached * channels, taps * taps * channels)
    square = images * size * size * sum_over_channels(gradient) * record[PAIRS] * factor
    squares[DEPTHWISE if alone else CONVOLUTIONS] += square


@compiled
def add_ghost(gradients: np.ndarray, row: int, record: np.ndarray, images: float, squares: np.ndarray) -> bool:
    """The same of a ghost convolution: the half that is made of the other has a window's weights."""
    own, made, work = gradients[STACK], gradients[STACK + 1], gradients[STACK + 2]
    copy_gradient(gradients[row], own)
    if not keep_channels(own, made, float((int(record[NUMBER]) + 1) // 2)):
        return False
    height, size = int(record[HEIGHT]), int(own[SIZE])
    kernel, stride, cheap = int(record[NUMBER + 1]), int(record[NUMBER + 2]), int(record[NUMBER + 3])
    positions = images * size * size
    square = sum_over_channels(made)
    reached, taps = min(cheap, size), independent_taps(size, size, cheap, ONE)
    factor = weight_factor(record[OTHER] / record[FIRST], reached * reached, taps * taps)
    squares[DEPTHWISE] += positions * square * record[PAIRS + 1] * factor
    square = sum_over_channels(own) + square * slide_back(made, size, cheap, ONE, work)
    reached, taps = min(kernel, height), independent_taps(height, size, kernel, stride)
    factor = weight_factor(record[FIRST], reached * reached * record[WIDTH], taps * taps * record[WIDTH])
    squares[CONVOLUTIONS] += positions * square * record[PAIRS] * factor
    return True


@compiled
def note_last(state: np.ndarray, last: np.ndarray) -> None:
    """Of the last map, what the classifier reads."""
    last[MEANS] = last[VARIANCES] = 0.0
    for index in range(int(state[COUNT])):
        base = HEADER + index * FIELDS
        last[MEANS] += state[base + CHANNELS] * (state[base + MEAN] ** 2 + state[base + OFFSET])
        last[VARIANCES] += state[base + CHANNELS] * state[base + VARIANCE]
    last[LAST_SIZE] = state[MAP_SIZE]


@compiled
def share_step(
    gradients: np.ndarray,
    order: np.ndarray,
    top: int,
    record: np.ndarray,
    images: float,
    shares: np.ndarray,
    squares: np.ndarray,
) -> int:
    """Before a gradient goes back through a step: squares of the step's parameters, and what becomes of shares."""
    kind, row = int(record[KIND]), int(order[top])
    gradient, mine = gradients[row], shares[row]
    if kind == Step.NORMALISE:
        normalise_shares(gradient, mine, record, images, squares)
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        activate_shares(mine, record)
    elif kind == Step.DENSE or kind == Step.DEPTHWISE or kind == Step.GHOST:
        if kind == Step.GHOST:
            if not add_ghost(gradients, row, record, images * mine[TOGETHER], squares):
                return TOO_MANY_GROUPS
        else:
            add_convolution(gradient, record, images * mine[TOGETHER], squares)
        first = NUMBER if kind == Step.DEPTHWISE else NUMBER + 1
        kept = window_shares(int(record[HEIGHT]), int(gradient[SIZE]), int(record[first]), int(record[first + 1]))[1]
        set_shares(mine, mine[SAME] * kept, mine[ABROAD] * kept)
        mine[ALONG_SCALE] = 1.0 if kind == Step.DEPTHWISE else 0.0
    elif kind == Step.COPY or kind == Step.SPLIT:
        below = int(order[top - 1])
        one, other = sum_over_channels(gradients[below]), sum_over_channels(gradient)
        blend_shares(shares[below], mine, one / (one + other) if one + other > 0 else 0.5)
    elif kind == Step.ADD:
        divide_shares(mine, shares[int(order[top + 1])], record[KEPT])
    elif kind == Step.CONCATENATE:
        upper = shares[int(order[top + 1])]
        for field in range(SHARES):
            upper[field] = mine[field]
    elif kind == Step.AVERAGE_POOL:
        pool_shares(mine, gradient[SIZE], record[HEIGHT])
    elif kind == Step.GATE:
        return GATED
    return DONE


@compiled
def add_squares(
    calls: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    stack: np.ndarray,
    gradients: np.ndarray,
    records: np.ndarray,
    shares: np.ndarray,
    last: np.ndarray,
    squares: np.ndarray,
    images: float,
    abroad: float,
) -> int:
    """Why it failed, or `DONE`; squares by kind of parameter go into `squares`, what the last map is into `last`.

    Arguments up to records are those of `gradient_machine.log_norms`. shares: room, a row for each map of the stack. images: of
    the batch; 0: only the last map is asked for. abroad: the covariance of the gradients of two images at the last map, whose
    gradient has a mean square of 1.
    """
    failure, at = forward(calls, rows, image, stack, gradients[STACK + 2], records, True)
    if failure:
        return failure
    order = stack[STACK + 1]
    note_last(stack[int(order[0])], last)
    begin_back(gradients, order, records[at:])
    top, chance, going = ZERO, 1.0, images > 0
    set_shares(shares[0], 1.0, abroad)
    while going:
        record, going = records[at:], at > 0
        at = int(record[BEFORE])
        if record[KIND] == BETWEEN:
            continue
        failure = share_step(gradients, order, top, record, images, shares, squares)
        if failure:
            return failure
        top = step_back(gradients, order, top, record, chance)
        if top < 0:
            return TOO_MANY_GROUPS
        chance = let_through(record)
    return DONE


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`add_squares` with its machine code in a cache that a change of any of its files renews; see `source_version`."""

    def run(
        calls: np.ndarray,
        rows: np.ndarray,
        image: np.ndarray,
        stack: np.ndarray,
        gradients: np.ndarray,
        records: np.ndarray,
        shares: np.ndarray,
        last: np.ndarray,
        squares: np.ndarray,
        images: float,
        abroad: float,
    ) -> int:
        if version == 0:
            return DONE
        return add_squares(calls, rows, image, stack, gradients, records, shares, last, squares, images, abroad)

    return kept_on_disk(run)


SOURCES = [Path(__file__), Path(__file__).with_name("gradient_shares.py"), *gradient_machine.SOURCES]
run = _kept_on_disk(source_version(*SOURCES))
