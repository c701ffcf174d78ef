"""The gradient's way back through the steps of a network: how its moments change, and its norms between blocks.

docs/gradient_growth.md derives every rule. A forward pass by `mean_field_machine.step` writes down, for each step, what its
gradient needs; then the steps are gone through from the last to the first on a stack of rows of `gradient_map`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from PlainNet.compiling import compiled, kept_on_disk, source_version
from PlainNet.mean_field import Step
from ZeroShotProxy import mean_field_machine
from ZeroShotProxy.gradient_activations import activate_back, gate_back, gathered
from ZeroShotProxy.gradient_convolutions import dense_back, ghost_back, pass_window
from ZeroShotProxy.gradient_layout import (
    BEFORE,
    BETWEEN,
    FIRST,
    HEIGHT,
    KEPT,
    KIND,
    NUMBER,
    OTHER,
    PAIR_COUNT,
    PAIRS,
    PASSED,
    WIDTH,
)
from ZeroShotProxy.gradient_map import (
    ALONG,
    CHANNELS,
    COUNT,
    FIELDS,
    HEADER,
    NORMED,
    POSITIVE,
    PROFILE,
    SIZE,
    SQUARE,
    add_gradient,
    append_group,
    copy_gradient,
    first_gradient,
    keep_channels,
    log_norm,
    put_behind,
    scale_all,
    scale_groups,
)
from ZeroShotProxy.gradient_records import forward
from ZeroShotProxy.gradient_windows import slide_back
from ZeroShotProxy.mean_field_machine import ZERO
from ZeroShotProxy.mean_field_map import DONE, STACK, TOO_MANY_GROUPS


@compiled
def interleave(gradient: np.ndarray, second: np.ndarray, work: np.ndarray) -> bool:
    """Back through the sorting of channels by even and odd position: neighbours are one from each half."""
    width = 0.0
    for index in range(int(gradient[COUNT])):
        width += gradient[HEADER + index * FIELDS + CHANNELS]
    evens = float((int(width) + 1) // 2)
    if not keep_channels(gradient, second, evens):
        return False
    odds = width - evens
    if odds < evens and not append_group(second, evens - odds, last_square(second)):
        return False
    if not add_gradient(gradient, second, work):
        return False
    # Sums over pairs: half of it is the mean of a pair, and there are two channels in each.
    for index in range(int(gradient[COUNT])):
        base = HEADER + index * FIELDS
        gradient[base + CHANNELS] *= width / evens
        gradient[base + SQUARE] *= 0.5
    return True


@compiled
def last_square(gradient: np.ndarray) -> float:
    """The squared gradient of the last group, 0 where there is none."""
    count = int(gradient[COUNT])
    return gradient[HEADER + (count - 1) * FIELDS + SQUARE] if count else 0.0


@compiled
def pooled_back(gradient: np.ndarray, height: int, work: np.ndarray) -> None:
    """Back through average pooling: each of the n x n pooled elements gets the n^-2 part."""
    size = int(gradient[SIZE])
    ratio = height // size
    for position in range(size):
        work[position] = gradient[PROFILE + position]
    for position in range(height):
        gradient[PROFILE + position] = work[position // ratio]
    gradient[SIZE] = height
    scale_all(gradient, 1.0 / ratio**4)
    gradient[ALONG] = 0.0


@compiled
def step_back(stack: np.ndarray, order: np.ndarray, top: int, record: np.ndarray, chance: float) -> int:
    """Take the gradient at the top of the stack back through one step; the new top, or -1 where there are too many groups.

    chance: what the rectifier right behind this step, if there is one, lets through.
    """
    kind = int(record[KIND])
    gradient, second, work = stack[int(order[top])], stack[STACK], stack[STACK + 1]
    positive = gradient[POSITIVE]
    if kind != Step.COPY and kind != Step.SWAP:
        gradient[POSITIVE] = 1.0
    if kind == Step.DENSE:
        pass_window(gradient, record)
        dense_back(gradient, record, 1.0, record[NUMBER + 3], work)
    elif kind == Step.DEPTHWISE:
        pass_window(gradient, record)
        scale_all(
            gradient, slide_back(gradient, int(record[HEIGHT]), int(record[NUMBER]), int(record[NUMBER + 1]), work)
        )
        gradient[ALONG] = 0.0
    elif kind == Step.GHOST:
        pass_window(gradient, record)
        return top if ghost_back(gradient, record, second, work) else -1
    elif kind == Step.NORMALISE:
        return top if scale_groups(gradient, record[PAIRS:], int(record[PAIR_COUNT]), work) else -1
    elif kind == Step.RECTIFY or kind == Step.SMOOTH:
        return top if activate_back(gradient, record, positive, work) else -1
    elif kind == Step.COPY:
        top -= 1
        return top if add_gradient(stack[int(order[top])], gradient, work) else -1
    elif kind == Step.SPLIT:
        # The upper map's channels came first.
        top -= 1
        copy_gradient(gradient, second)
        if not put_behind(second, stack[int(order[top])]):
            return -1
        copy_gradient(second, stack[int(order[top])])
    elif kind == Step.SWAP:
        order[top], order[top - 1] = order[top - 1], order[top]
    elif kind == Step.ADD:
        upper = stack[int(order[top + 1])]
        copy_gradient(gradient, upper)
        gradient[POSITIVE] = gathered(chance, record[FIRST])
        upper[POSITIVE] = gathered(chance, record[OTHER])
        gradient[NORMED] *= record[PASSED]
        upper[NORMED] *= record[WIDTH]
        # The correlation of sums is that of each part as far as it is that of the sum.
        gradient[ALONG] *= record[KEPT]
        upper[ALONG] *= 1 - record[KEPT]
        return top + 1
    elif kind == Step.CONCATENATE:
        if not keep_channels(gradient, stack[int(order[top + 1])], record[FIRST]):
            return -1
        return top + 1
    elif kind == Step.FIRST_CHANNELS:
        if not append_group(gradient, record[WIDTH] - record[NUMBER], 0.0):
            return -1
    elif kind == Step.DEINTERLEAVE:
        return top if interleave(gradient, second, work) else -1
    elif kind == Step.AVERAGE_POOL:
        pooled_back(gradient, int(record[HEIGHT]), work)
    elif kind == Step.GATE:
        gate_back(gradient, stack[int(order[top + 1])], record)
        return top + 1
    return top


@compiled
def begin_back(gradients: np.ndarray, order: np.ndarray, record: np.ndarray) -> None:
    """Before all steps back: the gradient of the last map, of which the last record is, lies alone on the stack."""
    for place in range(STACK):
        order[place] = place
    first_gradient(gradients[0], record[WIDTH], int(record[HEIGHT]), record[FIRST])


@compiled
def let_through(record: np.ndarray) -> float:
    """What a rectifier lets through, of which the record is; 1 of another step."""
    return record[FIRST] if int(record[KIND]) == Step.RECTIFY else 1.0


@compiled
def log_norms(
    calls: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    stack: np.ndarray,
    gradients: np.ndarray,
    records: np.ndarray,
    norms: np.ndarray,
) -> int:
    """Why it failed, or `DONE`; the logarithm of the gradient's norm behind each block goes into `norms`.

    calls, rows: of a `PlainNet.step_table.StepTable`, a call for each block. image: the first map. stack, gradients, records:
    room to work.
    """
    failure, at = forward(calls, rows, image, stack, gradients[STACK + 2], records, False)
    if failure:
        return failure
    order = stack[STACK + 1]
    begin_back(gradients, order, records[at:])
    block, top, chance = norms.size, ZERO, 1.0
    while True:
        record = records[at:]
        at = int(record[BEFORE])
        if record[KIND] == BETWEEN:
            block -= 1
            norms[block] = log_norm(gradients[int(order[0])])
            if block == 0:
                return DONE
            continue
        top = step_back(gradients, order, top, record, chance)
        if top < 0:
            return TOO_MANY_GROUPS
        chance = let_through(record)


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`log_norms` with its machine code in a cache that a change of any of its files renews; see `source_version`."""

    def run(
        calls: np.ndarray,
        rows: np.ndarray,
        image: np.ndarray,
        stack: np.ndarray,
        gradients: np.ndarray,
        records: np.ndarray,
        norms: np.ndarray,
    ) -> int:
        if version == 0:
            return DONE
        return log_norms(calls, rows, image, stack, gradients, records, norms)

    return kept_on_disk(run)


_PARTS = (
    *("activations", "convolutions", "excess", "layout", "machine", "map", "norms", "records", "slopes", "steady"),
    "windows",
)
# The files on which machine code depends that calls `log_norms`.
SOURCES = [Path(__file__).with_name(f"gradient_{part}.py") for part in _PARTS] + mean_field_machine.SOURCES
run = _kept_on_disk(source_version(*SOURCES))
