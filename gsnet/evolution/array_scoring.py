"""Costs and scores of networks in arrays: of the blocks that were changed, from the maps that a parent has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gsnet.evolution.array_costs import FIRST_LAYER, LATER_LAYERS, OUTPUT, PEAKS, SUMS, TERMS
from gsnet.evolution.array_costs import MATTERS as ODD
from gsnet.evolution.array_layout import (
    ARE_KNOWN,
    ASKED,
    BEHIND,
    BOTTLENECK,
    DEPTH,
    FAMILY,
    FOR_SEARCH,
    HEIGHT,
    INTO,
    KIND,
    LARGEST_STRIDE,
    MATTERS,
    NO,
    NO_COST_STEPS,
    NO_GROWTH_STEPS,
    NO_SCORE_STEPS,
    OUT,
    OVER_FLOPS,
    OVER_GROWTH,
    OVER_LAYERS,
    OVER_MEMORY_ACCESS,
    OVER_PARAMETERS,
    PARAMETERS,
    PARAMETERS_SCORE,
    PATTERNS,
    PEAK,
    PERTURBATION_SCORE,
    SCORED,
    STRIDE,
    WHY,
    YES,
    ZERO,
    Members,
    Plan,
    Room,
    Steps,
)
from PlainNet.compiling import compiled
from PlainNet.step_table import CALL_WIDTH, WIDTH_UNIT
from ZeroShotProxy.mean_field_map import CHANNELS, HEADER

# Below it, figures and sums of as many as there are blocks are exact as floats, and so are the terms that they are made of.
LARGEST_FIGURE = 2**44
UNIT = WIDTH_UNIT - 1
IMAGE_CHANNELS = HEADER + CHANNELS
Function = Callable[..., Any]


@compiled
def key_of(blocks: np.ndarray, index: int) -> int:
    """The row of a block's bounds; what they depend on beside the type, as `StepTable` has it. -1 where there is no row."""
    into, bottleneck, out = blocks[index, INTO], blocks[index, BOTTLENECK], blocks[index, OUT]
    stride = blocks[index, STRIDE]
    if stride > LARGEST_STRIDE:
        return -1
    pattern = (blocks[index, DEPTH] > 1) + 2 * (into == bottleneck) + 4 * (bottleneck == out) + 8 * (into == out)
    return ((blocks[index, KIND] * LARGEST_STRIDE) + stride - 1) * PATTERNS + pattern


@compiled
def write_call(
    blocks: np.ndarray, index: int, bounds: np.ndarray, calls: np.ndarray, at: int, state: np.ndarray, missing: int
) -> bool:
    """Write the call of a block's steps to `calls[at]` and after; False where its bounds are not known.

    missing: what the state says where they may be found.
    """
    key = key_of(blocks, index)
    if key < 0 or bounds[key, ARE_KNOWN] == NO:
        state[WHY] = FOR_SEARCH
        return False
    if bounds[key, ARE_KNOWN] != YES:
        state[WHY], state[ASKED] = missing, key
        return False
    into, bottleneck, out = blocks[index, INTO], blocks[index, BOTTLENECK], blocks[index, OUT]
    odd = bounds[key, MATTERS] * (into & UNIT) + bounds[key, MATTERS + 1] * (bottleneck & UNIT)
    if odd + bounds[key, MATTERS + 2] * (out & UNIT):
        state[WHY] = FOR_SEARCH
        return False
    for bound in range(4):
        calls[at + bound] = bounds[key, bound]
    calls[at + 4] = blocks[index, DEPTH] - 1
    calls[at + 5], calls[at + 6], calls[at + 7] = into, bottleneck, out
    return True


@compiled
def count_blocks(blocks: np.ndarray, count: int, plan: Plan, steps: Steps, state: np.ndarray) -> bool:
    """Count those blocks that were not counted on the map that they read now; False where this cannot be done here."""
    size = plan.resolution
    for index in range(count):
        if blocks[index, HEIGHT] != size and not count_block(blocks, index, size, steps, state):
            return False
        size = blocks[index, BEHIND]
    return True


@compiled
def count_block(blocks: np.ndarray, index: int, size: int, steps: Steps, state: np.ndarray) -> bool:
    """Count a block on a map; False where this cannot be done here."""
    # Costs of later layers are in every row: of blocks that have none, too.
    key, state[WHY] = key_of(blocks, index) | 1, FOR_SEARCH
    if key < 0 or size >= steps.cost_places.shape[1]:
        return False
    row, rows = int(steps.cost_places[key, size]), steps.cost_rows
    if row < 0:
        state[WHY], state[ASKED], state[FAMILY] = NO_COST_STEPS, key, size
        return False
    into, bottleneck, out = blocks[index, INTO], blocks[index, BOTTLENECK], blocks[index, OUT]
    odd = rows[row, ODD] * (into & UNIT) + rows[row, ODD + 1] * (bottleneck & UNIT) + rows[row, ODD + 2] * (out & UNIT)
    if row == 0 or odd > 0:
        return False
    later = blocks[index, DEPTH] - 1
    for figure in range(SUMS):
        found = polynomial(rows, row, FIRST_LAYER + figure * TERMS, into, bottleneck, out)
        if later:
            found += later * polynomial(rows, row, LATER_LAYERS + figure * TERMS, into, bottleneck, out)
        if found >= LARGEST_FIGURE:
            return False
        blocks[index, PARAMETERS + figure] = int(found)
    largest = max(rows[row, PEAKS] * into, rows[row, PEAKS + 1] * bottleneck, rows[row, PEAKS + 2] * out)
    blocks[index, PEAK] = int(largest)
    blocks[index, HEIGHT], blocks[index, BEHIND] = size, int(rows[row, OUTPUT])
    return True


@compiled
def polynomial(rows: np.ndarray, row: int, at: int, x: float, y: float, z: float) -> float:
    """A quadratic function of three widths, with the coefficients from `rows[row, at]` on."""
    value = rows[row, at] + rows[row, at + 1] * x + rows[row, at + 2] * y + rows[row, at + 3] * z
    value += x * (rows[row, at + 4] * x + rows[row, at + 5] * y + rows[row, at + 6] * z)
    value += y * (rows[row, at + 7] * y + rows[row, at + 8] * z)
    return value + rows[row, at + 9] * z * z


@compiled
def layers_of(blocks: np.ndarray, count: int) -> int:
    """Depth as budgets count it."""
    layers = 0
    for index in range(count):
        layers += blocks[index, DEPTH]
    return layers


@compiled
def add_up(blocks: np.ndarray, count: int, plan: Plan, steps: Steps, room: Room, state: np.ndarray) -> bool:
    """`CostModel.costs` into `room.totals`: layers, parameters, flops, memory access, largest map."""
    if not count_blocks(blocks, count, plan, steps, state):
        return False
    totals = room.totals
    totals[0] = layers_of(blocks, count)
    for figure in range(1, 5):
        totals[figure] = 0
    for index in range(count):
        for figure in range(3):
            totals[1 + figure] += blocks[index, PARAMETERS + figure]
        totals[4] = max(totals[4], blocks[index, PEAK])
    width, classes = blocks[count - 1, OUT], plan.classes
    weights = width * classes
    totals[1] += weights + classes
    totals[2] += weights
    totals[3] += weights + width + classes
    totals[4] = max(totals[4], classes)
    return True


@compiled
def exceeded(plan: Plan, totals: np.ndarray) -> int:
    """The outcome by the first budget that the costs exceed; `SCORED` where it is none."""
    if totals[0] > plan.most_layers:
        return OVER_LAYERS
    if totals[1] > plan.limits[0]:
        return OVER_PARAMETERS
    if totals[2] > plan.limits[1]:
        return OVER_FLOPS
    if totals[3] > plan.limits[2]:
        return OVER_MEMORY_ACCESS
    return SCORED


@compiled
def score_child(
    count: int,
    parent: int,
    shared: int,
    plan: Plan,
    steps: Steps,
    members: Members,
    room: Room,
    state: np.ndarray,
    run: Function,
) -> tuple[float, int]:
    """The child's score, and the number of its first blocks whose maps it has from its parent; -1 where it has no score here.

    shared: how many first blocks are the parent's. The maps behind the others, but for the last, are in `room.kept`.
    """
    if plan.score >= PARAMETERS_SCORE:
        return float(room.totals[1 if plan.score == PARAMETERS_SCORE else 2]), ZERO
    if float(room.child[0, INTO]) != steps.image[0, IMAGE_CHANNELS]:
        state[WHY] = FOR_SEARCH
        return 0.0, -1
    begun = min(shared, count - 1)
    while begun and members.maps[parent, begun - 1] < 0:
        begun -= 1
    for index in range(begun, count):
        at = (index - begun) * CALL_WIDTH
        if not write_call(room.child, index, steps.score_bounds, room.calls, at, state, NO_SCORE_STEPS):
            return 0.0, -1
    calls, kept = room.calls[: (count - begun) * CALL_WIDTH], room.kept[: count - 1 - begun]
    if begun:
        place = int(members.maps[parent, begun - 1])
        failure, perturbation, scale = run(calls, steps.score_rows, members.pool, place, kept, room.stack)
    else:
        failure, perturbation, scale = run(calls, steps.score_rows, steps.image, ZERO, kept, room.stack)
    score = perturbation if plan.score == PERTURBATION_SCORE else perturbation + scale
    if failure or not math.isfinite(score):
        # `Search` scores it again, and records why it fails.
        state[WHY] = FOR_SEARCH
        return 0.0, -1
    return score, begun


@compiled
def judge_growth(count: int, plan: Plan, steps: Steps, room: Room, state: np.ndarray, grow: Function) -> int:
    """The outcome by the child's growth, which is in `room.growth` then; -1 where it has none here."""
    state[WHY] = FOR_SEARCH
    if float(room.child[0, INTO]) != steps.growth_image[0, IMAGE_CHANNELS]:
        return -1
    for index in range(count):
        if not write_call(
            room.child, index, steps.growth_bounds, room.calls, index * CALL_WIDTH, state, NO_GROWTH_STEPS
        ):
            return -1
    calls, norms = room.calls[: count * CALL_WIDTH], room.norms[:count]
    failure = grow(calls, steps.growth_rows, steps.growth_image, room.stack, room.gradients, room.records, norms)
    growth = norms[0] - norms[count - 1]
    if failure or not math.isfinite(growth):
        return -1
    room.growth[0] = growth
    return OVER_GROWTH if growth > plan.most_growth else SCORED
