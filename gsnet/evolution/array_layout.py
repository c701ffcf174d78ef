"""How a search lies in arrays, where compiled code runs its loop (`gsnet.evolution.array_loop`).

A block is a row of twelve integers: a number for its type; the arguments of its structure string, with a bottleneck of 0 where
its type has none; the height of the map that it was counted on, or `UNCOUNTED`; the height of the map behind it, and what it
costs there. A network is so many rows from the first on; how many stands beside them. `gsnet.evolution.array_codes` makes
`Network` values of them, compiled code writes their first six numbers into the rows of a history.

A population is a row of such networks, each at the place that it has in the list of `gsnet.evolution.population`. The maps
behind the first blocks of its members, from which their children are scored, lie in a pool: members share what they have from
their parents, and each map is counted by those who hold it.

Compiled code ends where it does not know something. Then Python writes the answer into the tables and the iteration, which has
left nothing behind, is begun anew; what has no answer there is an iteration that `Search` does by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

KIND, INTO, OUT, STRIDE, BOTTLENECK, DEPTH, HEIGHT, BEHIND, PARAMETERS, FLOPS, MEMORY_ACCESS, PEAK = range(12)
BLOCK_WIDTH = 12
# The fields that tell blocks apart.
ARGUMENTS = 6
UNCOUNTED = -1
# What is wider or deeper is left to `Search`.
LARGEST_VALUE = 1 << 16

# Of a type: whether it is a stem or head (SuperConvKX), must stay as it is, has a bottleneck, is cut in two where it is deep.
IS_STEM, IS_FIXED, HAS_BOTTLENECK, IS_SPLIT = range(4)
TRAITS = 4
# What a property may be instead of what it is: widths, bottlenecks, depths; and widths and bottlenecks times each ratio of
# `SearchSpace.search_choice`, in its order.
# Typed, as all numbers that compiled functions are called with: for a literal one they would be compiled a second time.
FAMILIES = 5
_families: Any = tuple(np.int64(family) for family in range(FAMILIES))
WIDTHS, BOTTLENECKS, DEPTHS, SCALED_WIDTHS, SCALED_BOTTLENECKS = _families
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)
MOST_OPTIONS = 16

# Where a step table has the steps of a layer, as `PlainNet.step_table.StepTable.template_bounds` tells: four bounds, whether
# they are known (`YES`) or there are none (`NO`), and which of the three widths have to be multiples of 8.
BOUNDS_WIDTH = 8
ARE_KNOWN, MATTERS = 4, 5
NO, YES = 1, 2
LARGEST_STRIDE = 4
PATTERNS = 16

# What becomes of a proposal, and of how many kinds that is.
SCORED, DUPLICATE, OVER_LAYERS, OVER_PARAMETERS, OVER_FLOPS, OVER_MEMORY_ACCESS, OVER_GROWTH = range(7)
OUTCOMES = 7

# Why compiled code ended: it has done all, or its rows are full; this iteration is for `Search`; a network is too long for the
# arrays; the tables lack a value's options, the steps of a layer for its costs, for its score, or for its gradients.
_reasons: Any = tuple(np.int64(reason) for reason in range(7))
ALL_DONE, FOR_SEARCH, TOO_LONG, NO_OPTIONS, NO_COST_STEPS, NO_SCORE_STEPS, NO_GROWTH_STEPS = _reasons

# The state: the iteration to come; how many members and free places of the pool there are; the latest proposals that brought
# nothing new, and no score; rows of the history, and the end of their blocks; the best network's blocks and iteration; why
# compiled code ended, and what it asks for: the family and the value, the key of bounds, the height and the key of costs;
# how many networks were tried.
ITERATION, MEMBERS, FREE, KNOWN, UNSCORED, ROWS, BLOCKS_END, BEST_COUNT, BEST_ITERATION, WHY, FAMILY, ASKED, TRIED = (
    range(13)
)
STATE = 13

# Rules of evolution: fitting, and the published one that draws from a space, or by ratios as `SearchSpace.search_choice`.
FITTING_RULE, PUBLISHED_RULE, SCALING_RULE = range(3)
ZEN_SCORE, PERTURBATION_SCORE, PARAMETERS_SCORE, FLOPS_SCORE = range(4)


class Plan(NamedTuple):
    """What a search is; nothing of it changes. last: iteration. seed: of the search, as it enters SplitMix64.

    most_growth: of the gradient, infinite where it is not looked at.
    """

    rule: int
    score: int
    last: int
    capacity: int
    resolution: int
    classes: int
    most_layers: float
    limits: np.ndarray
    most_growth: float
    seed: np.uint64


class Space(NamedTuple):
    """Which blocks there are. traits: (type, 4). types: those that are drawn.

    places: (family, value), the row of a value's options, or -1. options: (row, 17), their number, then themselves.
    """

    traits: np.ndarray
    types: np.ndarray
    places: np.ndarray
    options: np.ndarray


class Steps(NamedTuple):
    """Tables of `array_tables`: what blocks cost, and where the steps of their score and of their gradients are.

    image, growth_image: the map of an image, for either.
    """

    cost_places: np.ndarray
    cost_rows: np.ndarray
    score_bounds: np.ndarray
    score_rows: np.ndarray
    image: np.ndarray
    growth_bounds: np.ndarray
    growth_rows: np.ndarray
    growth_image: np.ndarray


class Members(NamedTuple):
    """A population, by places: blocks (place, block, 12), their number, scores, iterations; `worst` is a heap of places.

    maps: (place, block), where the map behind a block lies in the pool, or -1. holders: of each map of the pool. free: the maps
    that nobody holds, a stack.
    """

    blocks: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    iterations: np.ndarray
    worst: np.ndarray
    maps: np.ndarray
    pool: np.ndarray
    holders: np.ndarray
    free: np.ndarray


class Room(NamedTuple):
    """Room to work in. numbers: where the candidate's random numbers are. child: its blocks. held: maps that it begins with.

    totals: layers, parameters, flops, memory access, largest map. best: blocks of the best network; best_score: one number.
    kept: the maps behind the blocks of a network that is scored. tried: what was scored, see `array_tried`. gradients, records,
    norms: what `ZeroShotProxy.gradient_machine` works with. growth: one number, the child's.
    """

    numbers: np.ndarray
    child: np.ndarray
    held: np.ndarray
    totals: np.ndarray
    calls: np.ndarray
    kept: np.ndarray
    stack: np.ndarray
    best: np.ndarray
    best_score: np.ndarray
    tried: np.ndarray
    gradients: np.ndarray
    records: np.ndarray
    norms: np.ndarray
    growth: np.ndarray


class Rows(NamedTuple):
    """Rows of the history that are not written yet. figures: (row, 5) layers and costs, -1 where they are not told.

    growths: no number where it was not worked out.
    blocks: (blocks, 6) of all their networks; ends: of each row's blocks there.
    """

    parents: np.ndarray
    seeds: np.ndarray
    outcomes: np.ndarray
    scores: np.ndarray
    growths: np.ndarray
    figures: np.ndarray
    blocks: np.ndarray
    ends: np.ndarray
