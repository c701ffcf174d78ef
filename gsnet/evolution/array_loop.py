"""The loop of a search in compiled code: iterations of rounds of one proposal, as `gsnet.evolution.search` has them.

`advance` does what `Search.advance` does for one iteration after the other, on the arrays of `gsnet.evolution.array_layout`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gsnet.evolution import (
    array_children,
    array_costs,
    array_layout,
    array_members,
    array_random,
    array_scoring,
    array_tried,
    array_variation,
    judging,
    rules,
)
from gsnet.evolution.array_children import copy_blocks, propose
from gsnet.evolution.array_layout import (
    ALL_DONE,
    ARGUMENTS,
    BEST_COUNT,
    BEST_ITERATION,
    BLOCKS_END,
    DUPLICATE,
    FOR_SEARCH,
    ITERATION,
    KNOWN,
    OVER_LAYERS,
    ROWS,
    SCORED,
    TRIED,
    UNSCORED,
    WHY,
    Members,
    Plan,
    Room,
    Rows,
    Space,
    Steps,
)
from gsnet.evolution.array_members import enter, place_of_newcomer, write_member
from gsnet.evolution.array_random import begin
from gsnet.evolution.array_scoring import Function, add_up, exceeded, judge_growth, layers_of, score_child
from gsnet.evolution.array_tried import EMPTY, find, identity
from gsnet.evolution.array_variation import (
    first_difference,
)
from gsnet.evolution.judging import PATIENCE_WITH_PREFERENCES, UNSCORED_BEFORE_KEEPING
from PlainNet import network, step_table
from PlainNet.compiling import compiled, kept_on_disk, source_version
from SearchSpace import neighbourhood, search_choice
from ZeroShotProxy import mean_field_joins, mean_field_map


@compiled
def record(
    room: Room,
    rows: Rows,
    state: np.ndarray,
    count: int,
    parent: int,
    seed: np.int64,
    outcome: int,
    score: float,
) -> None:
    """Add the child's row; parent: its iteration."""
    row = state[ROWS]
    rows.parents[row], rows.seeds[row], rows.outcomes[row], rows.scores[row] = parent, seed, outcome, score
    rows.growths[row] = room.growth[0]
    # Duplicates are not counted again, and too many layers are seen before anything is.
    known = 0 if outcome == DUPLICATE else 1 if outcome == OVER_LAYERS else 5
    for figure in range(5):
        rows.figures[row, figure] = room.totals[figure] if figure < known else -1
    end = state[BLOCKS_END]
    for index in range(count):
        for field in range(ARGUMENTS):
            rows.blocks[end + index, field] = room.child[index, field]
    state[BLOCKS_END] = rows.ends[row] = end + count
    state[ROWS] = row + 1


@compiled
def iterate(
    plan: Plan,
    space: Space,
    steps: Steps,
    members: Members,
    room: Room,
    rows: Rows,
    state: np.ndarray,
    run: Function,
    grow: Function,
) -> bool:
    """One iteration; False where it cannot be done here, and then it has left nothing behind."""
    seed = begin(room.numbers, plan.seed, state[ITERATION])
    parent, count = propose(plan, space, steps, members, room, state)
    if count < 0:
        return False
    outcome, score, begun = OVER_LAYERS, math.nan, 0
    room.growth[0] = math.nan
    room.totals[0] = layers_of(room.child, count)
    if room.totals[0] <= plan.most_layers:
        wanted = identity(room.child, count)
        place = find(room.tried, wanted)
        if room.tried[place] == wanted:
            outcome = DUPLICATE
        else:
            if not add_up(room.child, count, plan, steps, room, state):
                return False
            outcome = exceeded(plan, room.totals)
            if outcome == SCORED and plan.most_growth < math.inf:
                outcome = judge_growth(count, plan, steps, room, state, grow)
                if outcome < 0:
                    return False
            if outcome == SCORED:
                shared = first_difference(room.child, count, members.blocks[parent], members.counts[parent])
                score, begun = score_child(count, parent, shared, plan, steps, members, room, state, run)
                if begun < 0:
                    return False
                room.tried[place] = wanted
                state[TRIED] += 1
    record(room, rows, state, count, members.iterations[parent], np.int64(seed), outcome, score)
    if outcome != SCORED:
        state[UNSCORED] += 1
        state[KNOWN] = state[KNOWN] + 1 if outcome == DUPLICATE else 0
        return True
    state[UNSCORED] = state[KNOWN] = 0
    if score > room.best_score[0]:
        room.best_score[0], state[BEST_COUNT], state[BEST_ITERATION] = score, count, state[ITERATION]
        copy_blocks(room.child, room.best, count)
    enter(members, room, state, plan.capacity, count, score, state[ITERATION], parent, begun)
    return True


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """The functions that Python calls, in a cache that a change of any of their files renews; see `source_version`."""

    def advance(
        plan: Plan,
        space: Space,
        steps: Steps,
        members: Members,
        room: Room,
        rows: Rows,
        state: np.ndarray,
        run: Function,
        grow: Function,
    ) -> None:
        """Iterations up to the last one, until the rows are full, or to one that cannot be done here: `state[WHY]`."""
        state[WHY] = ALL_DONE if version else FOR_SEARCH
        longest = members.blocks.shape[1]
        while state[ITERATION] < plan.last and state[ROWS] < rows.seeds.size:
            if rows.blocks.shape[0] - state[BLOCKS_END] < longest:
                return
            if state[KNOWN] >= PATIENCE_WITH_PREFERENCES or state[UNSCORED] >= UNSCORED_BEFORE_KEEPING:
                state[WHY] = FOR_SEARCH
                return
            if not iterate(plan, space, steps, members, room, rows, state, run, grow):
                return
            state[ITERATION] += 1

    def add_member(
        members: Members, state: np.ndarray, capacity: int, blocks: np.ndarray, count: int, score: float, iteration: int
    ) -> None:
        """Let a network take part that was scored elsewhere, if it is not the worst."""
        place = place_of_newcomer(members, state, capacity, score, iteration)
        if version and place >= 0:
            write_member(members, state, blocks, count, score, iteration, place)

    def find_network(tried: np.ndarray, blocks: np.ndarray, count: int) -> tuple[int, np.uint64]:
        """Where a network's hash is in the table of those tried, or would be; the hash."""
        wanted = identity(blocks, count)
        return find(tried, wanted) if version else -1, wanted

    def move_hashes(source: np.ndarray, target: np.ndarray) -> None:
        """Have the hashes of a table in another one."""
        for known in source:
            if known != EMPTY and version:
                target[find(target, known)] = known

    def run_nothing(
        calls: np.ndarray, rows: np.ndarray, maps: np.ndarray, row: int, kept: np.ndarray, stack: np.ndarray
    ) -> tuple[int, float, float]:
        """In place of `mean_field_machine.run` where no closed form is the score."""
        return min(row, version), 0.0, 0.0

    def grow_nothing(
        calls: np.ndarray,
        rows: np.ndarray,
        image: np.ndarray,
        stack: np.ndarray,
        gradients: np.ndarray,
        records: np.ndarray,
        norms: np.ndarray,
    ) -> int:
        """In place of `gradient_machine.run` where growth is not looked at."""
        return min(norms.size, version)

    functions = (advance, add_member, find_network, move_hashes, run_nothing, grow_nothing)
    return tuple(kept_on_disk(function) for function in functions)


# What compiled code is made of, or has numbers from.
MODULES = (
    *(
        array_children,
        array_costs,
        array_layout,
        array_members,
        array_random,
        array_scoring,
        array_tried,
        array_variation,
    ),
    *(judging, rules, neighbourhood, network, search_choice, step_table, mean_field_joins, mean_field_map),
)
advance, add_member, find_network, move_hashes, run_nothing, grow_nothing = _kept_on_disk(
    source_version(Path(__file__), *(Path(str(module.__file__)) for module in MODULES))
)
