"""`SearchSpace.neighbourhood`, `.variation`, `.mutation` and `.search_choice` on arrays: the same blocks for the same numbers.

What may stand in place of a width or depth is not worked out here: it is looked up in tables of what those modules answer. A
function that misses something there says so in the state, and returns False.
"""

from __future__ import annotations

import math

import numpy as np

from gsnet.evolution.array_layout import (
    ARGUMENTS,
    ASKED,
    BLOCK_WIDTH,
    BOTTLENECK,
    BOTTLENECKS,
    DEPTH,
    DEPTHS,
    FAMILY,
    FOR_SEARCH,
    HAS_BOTTLENECK,
    HEIGHT,
    INTO,
    IS_FIXED,
    IS_SPLIT,
    IS_STEM,
    KIND,
    LARGEST_VALUE,
    NO_OPTIONS,
    ONE,
    OUT,
    SCALED_BOTTLENECKS,
    SCALED_WIDTHS,
    STRIDE,
    UNCOUNTED,
    WHY,
    WIDTHS,
    ZERO,
    Space,
)
from gsnet.evolution.array_random import below, draw
from gsnet.evolution.rules import TRIES_FOR_A_BLOCK
from PlainNet.compiling import compiled
from PlainNet.network import SPLIT_THRESHOLD
from SearchSpace import neighbourhood
from SearchSpace.search_choice import SUB_LAYER_STEPS

CHANGES_KIND, CHANGES_WIDTH = neighbourhood.KIND, neighbourhood.WIDTH
CHANGES_BOTTLENECK, CHANGES_DEPTH = neighbourhood.BOTTLENECK, neighbourhood.DEPTH
SUBSETS = neighbourhood.SUBSETS


@compiled
def row_of(space: Space, family: int, value: int, state: np.ndarray) -> int:
    """Where the options of a value are; -1 where that is not known."""
    if value >= LARGEST_VALUE:
        state[WHY] = FOR_SEARCH
        return -1
    row = int(space.places[family, value])
    if row < 0:
        state[WHY], state[FAMILY], state[ASKED] = NO_OPTIONS, family, value
    return row


@compiled
def drawn(space: Space, row: int, value: int, largest: float, numbers: np.ndarray) -> int:
    """One of the options that is not the value and at most so large; the value where there is none."""
    options, count = space.options, 0
    for place in range(1, options[row, 0] + 1):
        if options[row, place] != value and options[row, place] <= largest:
            count += 1
    if count == 0:
        return value
    left = int(draw(numbers) * count)
    for place in range(1, options[row, 0] + 1):
        if options[row, place] != value and options[row, place] <= largest:
            if left == 0:
                return options[row, place]
            left -= 1
    return value


@compiled
def put(blocks: np.ndarray, count: int, index: int) -> None:
    """Have a block that was changed read what the one before it gives, and the next one what it gives."""
    blocks[index, HEIGHT] = UNCOUNTED
    if index:
        blocks[index, INTO] = blocks[index - 1, OUT]
    if index + 1 < count and blocks[index + 1, INTO] != blocks[index, OUT]:
        blocks[index + 1, INTO], blocks[index + 1, HEIGHT] = blocks[index, OUT], UNCOUNTED


@compiled
def bottleneck_of(space: Space, blocks: np.ndarray, index: int) -> int:
    """As `SearchSpace.blocks.bottleneck_of`."""
    if space.traits[blocks[index, KIND], HAS_BOTTLENECK]:
        return blocks[index, BOTTLENECK]
    return blocks[index, OUT]


@compiled
def make(space: Space, blocks: np.ndarray, index: int, kind: int, out: int, bottleneck: int, depth: int) -> None:
    """Write a block in the place of another; input width and stride stay."""
    blocks[index, KIND], blocks[index, OUT], blocks[index, DEPTH] = kind, out, depth
    blocks[index, BOTTLENECK] = bottleneck if space.traits[kind, HAS_BOTTLENECK] else 0


@compiled
def changeable(space: Space, blocks: np.ndarray, count: int, numbers: np.ndarray) -> int:
    """The place of a block that is not fixed, if one is found."""
    index = int(draw(numbers) * count)
    for _ in range(TRIES_FOR_A_BLOCK):
        if not space.traits[blocks[index, KIND], IS_FIXED]:
            break
        index = int(draw(numbers) * count)
    return index


@compiled
def changed(space: Space, blocks: np.ndarray, index: int, most: float, numbers: np.ndarray, state: np.ndarray) -> bool:
    """`TypedNeighbours.changed`."""
    kind, out, depth = blocks[index, KIND], blocks[index, OUT], blocks[index, DEPTH]
    if space.traits[kind, IS_FIXED]:
        return True
    widths = row_of(space, WIDTHS, out, state)
    if widths < 0:
        return False
    if space.traits[kind, IS_STEM]:
        make(space, blocks, index, kind, drawn(space, widths, out, math.inf, numbers), ZERO, ONE)
        return True
    bottleneck = bottleneck_of(space, blocks, index)
    bottlenecks, depths = row_of(space, BOTTLENECKS, bottleneck, state), row_of(space, DEPTHS, depth, state)
    if bottlenecks < 0 or depths < 0:
        return False
    subset = 1 + int(draw(numbers) * SUBSETS)
    if subset & CHANGES_KIND:
        kind = other_kind(space, kind, numbers)
    if subset & CHANGES_WIDTH:
        out = drawn(space, widths, out, math.inf, numbers)
    if subset & CHANGES_BOTTLENECK:
        bottleneck = drawn(space, bottlenecks, bottleneck, math.inf, numbers)
    if subset & CHANGES_DEPTH:
        depth = drawn(space, depths, depth, most, numbers)
    make(space, blocks, index, kind, out, bottleneck, depth)
    return True


@compiled
def other_kind(space: Space, kind: int, numbers: np.ndarray) -> int:
    """A type of the space that is another, if there is one."""
    count = 0
    for other in space.types:
        count += other != kind
    if count == 0:
        return kind
    left = int(draw(numbers) * count)
    for other in space.types:
        if other != kind:
            if left == 0:
                return other
            left -= 1
    return kind


@compiled
def narrowed(space: Space, blocks: np.ndarray, index: int, numbers: np.ndarray, state: np.ndarray) -> bool:
    """`TypedNeighbours.narrowed`."""
    kind, out, depth = blocks[index, KIND], blocks[index, OUT], blocks[index, DEPTH]
    if space.traits[kind, IS_FIXED]:
        return True
    stem, bottleneck = space.traits[kind, IS_STEM], bottleneck_of(space, blocks, index)
    which = 2 if stem else int(draw(numbers) * 3)
    if which == 0 and depth > 1:
        row = row_of(space, DEPTHS, depth, state)
        depth = drawn(space, row, depth, float(depth - 1), numbers) if row >= 0 else depth
    elif which == 1 and space.traits[kind, HAS_BOTTLENECK]:
        row = row_of(space, BOTTLENECKS, bottleneck, state)
        bottleneck = drawn(space, row, bottleneck, float(bottleneck - 1), numbers) if row >= 0 else bottleneck
    else:
        row = row_of(space, WIDTHS, out, state)
        out = drawn(space, row, out, float(out - 1), numbers) if row >= 0 else out
    make(space, blocks, index, kind, out, bottleneck, ONE if stem else depth)
    return row >= 0


@compiled
def shortened(space: Space, blocks: np.ndarray, index: int, numbers: np.ndarray, state: np.ndarray) -> bool:
    """`TypedNeighbours.shortened`."""
    depth = blocks[index, DEPTH]
    if depth <= 1 or space.traits[blocks[index, KIND], IS_STEM]:
        return True
    row = row_of(space, DEPTHS, depth, state)
    if row < 0:
        return False
    blocks[index, DEPTH] = drawn(space, row, depth, float(depth - 1), numbers)
    return True


@compiled
def split(space: Space, blocks: np.ndarray, count: int, index: int) -> int:
    """Cut a block in two if it is deep; returns the number of blocks."""
    depth = blocks[index, DEPTH]
    if depth < SPLIT_THRESHOLD or not space.traits[blocks[index, KIND], IS_SPLIT]:
        return count
    for place in range(count, index, -1):
        for field in range(BLOCK_WIDTH):
            blocks[place, field] = blocks[place - 1, field]
    tail, head = index + 1, SPLIT_THRESHOLD // 2
    blocks[index, DEPTH], blocks[tail, DEPTH] = head, depth - head
    blocks[tail, INTO], blocks[tail, STRIDE] = blocks[tail, OUT], 1
    blocks[index, HEIGHT] = blocks[tail, HEIGHT] = UNCOUNTED
    return count + 1


@compiled
def crossed(blocks: np.ndarray, count: int, others: np.ndarray, other_count: int, numbers: np.ndarray) -> int:
    """`SearchSpace.variation.crossed`, in place; returns the number of blocks."""
    if count < 2:
        return count
    cut = 1 + int(draw(numbers) * (count - 1))
    reduction = 1
    for index in range(cut):
        reduction *= blocks[index, STRIDE]
    places, reached = 0, 1
    for place in range(other_count):
        places += place > 0 and reached == reduction
        reached *= others[place, STRIDE]
    if places == 0:
        return count
    left, place, reached = int(draw(numbers) * places), 1, others[0, STRIDE]
    while left or reached != reduction:
        left -= reached == reduction
        reached *= others[place, STRIDE]
        place += 1
    for index in range(place, other_count):
        for field in range(BLOCK_WIDTH):
            blocks[cut + index - place, field] = others[index, field]
    count = cut + other_count - place
    if blocks[cut, INTO] != blocks[cut - 1, OUT]:
        blocks[cut, INTO], blocks[cut, HEIGHT] = blocks[cut - 1, OUT], UNCOUNTED
    return count


@compiled
def replaced(space: Space, blocks: np.ndarray, index: int, numbers: np.ndarray, state: np.ndarray) -> bool:
    """`TypedSpace.sample_block`."""
    kind, out, depth = blocks[index, KIND], blocks[index, OUT], blocks[index, DEPTH]
    if space.traits[kind, IS_FIXED]:
        return True
    widths = row_of(space, WIDTHS, out, state)
    if widths < 0:
        return False
    if space.traits[kind, IS_STEM]:
        make(space, blocks, index, kind, picked(space, widths, numbers), ZERO, ONE)
        return True
    bottlenecks = row_of(space, BOTTLENECKS, bottleneck_of(space, blocks, index), state)
    depths = row_of(space, DEPTHS, depth, state)
    if bottlenecks < 0 or depths < 0:
        return False
    kind = space.types[int(draw(numbers) * space.types.size)]
    out, bottleneck = picked(space, widths, numbers), picked(space, bottlenecks, numbers)
    make(space, blocks, index, kind, out, bottleneck, picked(space, depths, numbers))
    return True


@compiled
def picked(space: Space, row: int, numbers: np.ndarray) -> int:
    """One of the options, each equally likely."""
    return space.options[row, 1 + int(draw(numbers) * space.options[row, 0])]


@compiled
def scaled(space: Space, blocks: np.ndarray, index: int, numbers: np.ndarray, state: np.ndarray) -> bool:
    """`SearchSpace.search_choice.sample_block`."""
    kind, out, depth = blocks[index, KIND], blocks[index, OUT], blocks[index, DEPTH]
    widths = row_of(space, SCALED_WIDTHS, out, state)
    bottlenecks = row_of(space, SCALED_BOTTLENECKS, bottleneck_of(space, blocks, index), state)
    if widths < 0 or bottlenecks < 0:
        return False
    ratio = 1 + below(numbers, space.options[widths, 0])
    out = space.options[widths, ratio]
    if space.traits[kind, IS_STEM]:
        make(space, blocks, index, kind, out, ZERO, ONE)
        return True
    depth = max(1, depth + SUB_LAYER_STEPS[below(numbers, len(SUB_LAYER_STEPS))])
    kind = space.types[below(numbers, space.types.size)]
    make(space, blocks, index, kind, out, space.options[bottlenecks, ratio], depth)
    return True


@compiled
def first_difference(blocks: np.ndarray, count: int, others: np.ndarray, other_count: int) -> int:
    """How many first blocks two networks share."""
    for index in range(min(count, other_count)):
        for field in range(ARGUMENTS):
            if blocks[index, field] != others[index, field]:
                return index
    return min(count, other_count)
