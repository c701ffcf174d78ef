"""Views of a search's arrays to which compiled code counts no references; see `PlainNet.compiling.uncounted_view`."""

from __future__ import annotations

from gsnet.evolution.array_layout import Members, Plan, Room, Rows, Space, Steps
from PlainNet.compiling import compiled, uncounted_view

view = uncounted_view()


@compiled
def uncounted_plan(plan: Plan) -> Plan:
    """The same plan."""
    return Plan(
        plan.rule,
        plan.score,
        plan.last,
        plan.capacity,
        plan.resolution,
        plan.classes,
        plan.most_layers,
        view(plan.limits),
        plan.seed,
    )


@compiled
def uncounted_space(space: Space) -> Space:
    """The same arrays."""
    return Space(
        view(space.traits),
        view(space.types),
        view(space.names),
        view(space.ends),
        view(space.places),
        view(space.options),
    )


@compiled
def uncounted_steps(steps: Steps) -> Steps:
    """The same arrays."""
    return Steps(
        view(steps.cost_places),
        view(steps.cost_rows),
        view(steps.score_bounds),
        view(steps.score_rows),
        view(steps.image),
    )


@compiled
def uncounted_members(members: Members) -> Members:
    """The same arrays."""
    return Members(
        view(members.blocks),
        view(members.counts),
        view(members.scores),
        view(members.iterations),
        view(members.worst),
        view(members.maps),
        view(members.pool),
        view(members.holders),
        view(members.free),
    )


@compiled
def uncounted_room(room: Room) -> Room:
    """The same arrays."""
    return Room(
        view(room.numbers),
        view(room.child),
        view(room.held),
        view(room.totals),
        view(room.calls),
        view(room.kept),
        view(room.stack),
        view(room.best),
        view(room.best_score),
        view(room.tried),
    )


@compiled
def uncounted_rows(rows: Rows) -> Rows:
    """The same arrays."""
    return Rows(
        view(rows.parents),
        view(rows.seeds),
        view(rows.outcomes),
        view(rows.scores),
        view(rows.figures),
        view(rows.ends),
        view(rows.text),
    )
