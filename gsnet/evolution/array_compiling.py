"""Machine code of a compiled search: which functions are called with arguments of which types, and when they are compiled."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gsnet.evolution import array_layout as layout
from gsnet.evolution import compiled_costs, packed_text, pareto_front
from gsnet.evolution.array_arrays import Arrays
from gsnet.evolution.array_layout import Plan, Space, Steps
from gsnet.evolution.array_loop import add_member, advance, find_network, grow_nothing, move_hashes, run_nothing
from PlainNet import compiling
from PlainNet.compiling import Examples, machine_code_of, typed_like
from ZeroShotProxy import gradient_growth, gradient_machine
from ZeroShotProxy.mean_field_machine import WHAT, examples, run

_LOOP = "the loop of a search (about ten seconds)"


def loop_examples() -> Examples:
    """What a search calls to begin, and in its loop, with arguments as they are called with."""
    plan = Plan(0, 0, 1, 1, 1, 1, math.inf, np.zeros(3), math.inf, np.uint64(0))
    arrays, table, bounds = Arrays(plan, 1), np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64)
    places, types = np.zeros((1, 1), dtype=np.int32), np.zeros(1, dtype=np.int64)
    steps = Steps(places, table, bounds, table, table, bounds, table, table)
    members, room, state = arrays.members, arrays.room, arrays.state
    run_and_grow = typed_like((0, 0.0, 0.0), examples()), typed_like(0, gradient_growth.examples())
    return [
        *compiled_costs.examples(),
        (
            advance,
            (plan, Space(bounds, types, places, bounds), steps, members, room, arrays.rows, state, *run_and_grow),
        ),
        (add_member, (members, state, 1, bounds, 1, 0.0, 1)),
        (find_network, (room.tried, bounds, 1)),
        (move_hashes, (room.tried, room.tried)),
    ]


def begin(closed_form: bool, loop: bool, growth: bool) -> None:
    """Have other processes compile, while this one goes on; of what each compiles, what is needed first comes first.

    closed_form: the one that scores, then what writes histories and results. loop, growth: of gradients.
    """
    if closed_form:
        compiling.begin(WHAT, [(run, examples()), *packed_text.examples(), *pareto_front.examples()])
    if loop:
        compiling.begin(_LOOP, *_groups(growth))


def prepared(plan: Plan, growth: bool) -> tuple[object, object]:
    """What runs the steps of the score and of gradients, as compiled code calls it; all that the loop needs is ready then."""
    closed_form = closed_form_of(plan)
    compiling.prepare(_LOOP, [(closed_form, examples())], *_groups(growth))
    return machine_code_of(closed_form), machine_code_of(_gradients(growth))


def _groups(growth: bool) -> tuple[Examples, ...]:
    gradients = [(_gradients(growth), gradient_growth.examples())]
    return (loop_examples(), gradients) if growth else ([*loop_examples(), *gradients],)


def _gradients(growth: bool) -> Callable:
    return gradient_machine.run if growth else grow_nothing


def closed_form_of(plan: Plan) -> Callable:
    """What runs the steps of a closed form; where costs are the score, nothing like it."""
    return run if plan.score in (layout.ZEN_SCORE, layout.PERTURBATION_SCORE) else run_nothing
