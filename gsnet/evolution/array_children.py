"""The children that the rules of `gsnet.evolution.rules` have of a population in arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gsnet.evolution.array_layout import (
    BLOCK_WIDTH,
    BOTTLENECK,
    DEPTH,
    FITTING_RULE,
    FOR_SEARCH,
    INTO,
    LARGEST_STRIDE,
    LARGEST_VALUE,
    OUT,
    PUBLISHED_RULE,
    SCORED,
    STRIDE,
    TOO_LONG,
    WHY,
    Members,
    Plan,
    Room,
    Space,
    Steps,
)
from gsnet.evolution.array_members import choose, choose_fit
from gsnet.evolution.array_random import draw
from gsnet.evolution.array_scoring import add_up, count_blocks, exceeded, layers_of
from gsnet.evolution.array_variation import (
    changeable,
    changed,
    crossed,
    narrowed,
    put,
    replaced,
    scaled,
    shortened,
    split,
)
from gsnet.evolution.rules import CROSSOVERS, EXCHANGED_LAYERS, REPAIRS, TOURNAMENT
from PlainNet.compiling import compiled

CONTESTANTS: Any = np.int64(TOURNAMENT)
# A child may be as long as two parents, and each block be cut in two.
LENGTHENING = 4


@compiled
def copy_blocks(source: np.ndarray, target: np.ndarray, count: int) -> None:
    """Copy the first blocks."""
    for index in range(count):
        for field in range(BLOCK_WIDTH):
            target[index, field] = source[index, field]


@compiled
def is_recordable(blocks: np.ndarray, count: int) -> bool:
    """Whether the blocks fit into a record: it has 16 bits for a width, and 8 for a stride."""
    for index in range(count):
        into, out = blocks[index, INTO], blocks[index, OUT]
        if max(into, out, blocks[index, BOTTLENECK], blocks[index, DEPTH]) >= LARGEST_VALUE:
            return False
        if blocks[index, STRIDE] > LARGEST_STRIDE:
            return False
    return True


@compiled
def published_child(plan: Plan, space: Space, room: Room, count: int, state: np.ndarray) -> int:
    """`SearchSpace.mutation.mutate` of the child, with two replacements; its number of blocks, or -1."""
    child, numbers = room.child, room.numbers
    first = second = -1
    for _ in range(2):
        index = int(draw(numbers) * count)
        if index == first:
            continue
        if plan.rule == PUBLISHED_RULE:
            known = replaced(space, child, index, numbers, state)
        else:
            known = scaled(space, child, index, numbers, state)
        if not known:
            return -1
        put(child, count, index)
        first, second = index, first
    # The later one first, which moves no index that is still to come.
    for index in (max(first, second), min(first, second)):
        if index >= 0:
            count = split(space, child, count, index)
    return count


@compiled
def fitting_child(
    plan: Plan,
    space: Space,
    steps: Steps,
    members: Members,
    room: Room,
    count: int,
    state: np.ndarray,
) -> int:
    """`Fitting.child` of the child, which is its parent still; its number of blocks, or -1."""
    child, numbers = room.child, room.numbers
    if draw(numbers) < CROSSOVERS:
        mate = choose_fit(members, state, numbers, CONTESTANTS)
        count = crossed(child, count, members.blocks[mate], members.counts[mate], numbers)
    else:
        index, most = changeable(space, child, count, numbers), math.inf
        if draw(numbers) >= EXCHANGED_LAYERS:
            most = child[index, DEPTH] + plan.most_layers - layers_of(child, count)
        if not changed(space, child, index, most, numbers, state):
            return -1
        put(child, count, index)
    for _ in range(REPAIRS):
        if layers_of(child, count) <= plan.most_layers:
            break
        index = int(draw(numbers) * count)
        if not shortened(space, child, index, numbers, state):
            return -1
        put(child, count, index)
    for index in range(count - 1, -1, -1):
        count = split(space, child, count, index)
    if layers_of(child, count) > plan.most_layers:
        return count
    for _ in range(REPAIRS):
        if not add_up(child, count, plan, steps, room, state):
            return -1
        if exceeded(plan, room.totals) == SCORED:
            break
        index = changeable(space, child, count, numbers)
        if not narrowed(space, child, index, numbers, state):
            return -1
        put(child, count, index)
    return count


@compiled
def propose(
    plan: Plan,
    space: Space,
    steps: Steps,
    members: Members,
    room: Room,
    state: np.ndarray,
) -> tuple[int, int]:
    """Draw the iteration's child; its parent and its number of blocks, which is -1 where it cannot be drawn here."""
    if plan.rule == FITTING_RULE:
        parent = choose_fit(members, state, room.numbers, CONTESTANTS)
    else:
        parent = choose(members, state, room.numbers)
    count = members.counts[parent]
    # Once for all its children.
    if not count_blocks(members.blocks[parent], count, plan, steps, state):
        return parent, -1
    copy_blocks(members.blocks[parent], room.child, count)
    if plan.rule == FITTING_RULE:
        count = fitting_child(plan, space, steps, members, room, count, state)
    else:
        count = published_child(plan, space, room, count, state)
    if count > members.blocks.shape[1]:
        state[WHY] = TOO_LONG
        return parent, -1
    if not is_recordable(room.child, count):
        state[WHY] = FOR_SEARCH
        return parent, -1
    return parent, count
