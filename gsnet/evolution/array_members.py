"""`gsnet.evolution.population.Population` in arrays: who enters, who goes, and the maps that members share."""

from __future__ import annotations

import numpy as np

from gsnet.evolution.array_layout import BLOCK_WIDTH, FREE, MEMBERS, Members, Room
from gsnet.evolution.array_random import draw
from PlainNet.compiling import compiled
from ZeroShotProxy.mean_field_joins import transfer

NO_MAP = -1


@compiled
def choose(members: Members, state: np.ndarray, numbers: np.ndarray) -> int:
    """A place drawn uniformly."""
    return int(draw(numbers) * state[MEMBERS])


@compiled
def choose_fit(members: Members, state: np.ndarray, numbers: np.ndarray, contestants: int) -> int:
    """The place of the best of so many members drawn uniformly, the first among equals."""
    best = int(draw(numbers) * state[MEMBERS])
    for _ in range(contestants - 1):
        other = int(draw(numbers) * state[MEMBERS])
        if members.scores[other] > members.scores[best]:
            best = other
    return best


@compiled
def is_worse(members: Members, place: int, other: int) -> bool:
    """Whether one member goes before another: the lower score, the older among equals."""
    if members.scores[place] != members.scores[other]:
        return members.scores[place] < members.scores[other]
    return members.iterations[place] < members.iterations[other]


@compiled
def sift_up(members: Members, node: int) -> None:
    """Move a newcomer at the end of the heap to where it belongs."""
    worst = members.worst
    while node and is_worse(members, worst[node], worst[(node - 1) // 2]):
        above = (node - 1) // 2
        worst[node], worst[above] = worst[above], worst[node]
        node = above


@compiled
def sift_down(members: Members, size: int) -> None:
    """Move what has replaced the worst member to where it belongs."""
    worst, node = members.worst, 0
    while True:
        least, left = node, 2 * node + 1
        for below in range(left, min(left + 2, size)):
            if is_worse(members, worst[below], worst[least]):
                least = below
        if least == node:
            return
        worst[node], worst[least] = worst[least], worst[node]
        node = least


@compiled
def place_of_newcomer(members: Members, state: np.ndarray, capacity: int, score: float, iteration: int) -> int:
    """Where a newcomer stands: at the end, or in the place of the worst member; -1 where it would be the worst itself.

    One from another island may be older than those who are here, and then goes before one with the same score.
    """
    count = state[MEMBERS]
    if count < capacity:
        return count
    worst = members.worst[0]
    if score != members.scores[worst]:
        return -1 if score < members.scores[worst] else worst
    return -1 if iteration < members.iterations[worst] else worst


@compiled
def write_member(
    members: Members,
    state: np.ndarray,
    blocks: np.ndarray,
    count: int,
    score: float,
    iteration: int,
    place: int,
) -> None:
    """Have a network stand in a place that `place_of_newcomer` gave, without maps."""
    release(members, state, place)
    for index in range(count):
        for field in range(BLOCK_WIDTH):
            members.blocks[place, index, field] = blocks[index, field]
        members.maps[place, index] = NO_MAP
    members.counts[place], members.scores[place], members.iterations[place] = count, score, iteration
    if place == state[MEMBERS]:
        members.worst[place] = place
        state[MEMBERS] += 1
        sift_up(members, place)
    else:
        sift_down(members, state[MEMBERS])


@compiled
def release(members: Members, state: np.ndarray, place: int) -> None:
    """Give up the maps of whoever stood in a place."""
    for index in range(members.counts[place]):
        held = int(members.maps[place, index])
        if held != NO_MAP:
            members.maps[place, index] = NO_MAP
            give_up(members, state, held)


@compiled
def give_up(members: Members, state: np.ndarray, held: int) -> None:
    """One member fewer holds a map; it is free where that was the last."""
    members.holders[held] -= 1
    if members.holders[held] == 0:
        members.free[state[FREE]] = held
        state[FREE] += 1


@compiled
def enter(
    members: Members,
    room: Room,
    state: np.ndarray,
    capacity: int,
    count: int,
    score: float,
    iteration: int,
    parent: int,
    begun: int,
) -> None:
    """Let the child take part, if it is not the worst. It shares the parent's maps of its first `begun` blocks.

    Those of the others are in `room.kept`; they are copied as long as the pool has room.
    """
    place = place_of_newcomer(members, state, capacity, score, iteration)
    if place < 0:
        return
    # Held before the worst member gives its own up, which may be the parent.
    for index in range(begun):
        room.held[index] = members.maps[parent, index]
        if room.held[index] != NO_MAP:
            members.holders[room.held[index]] += 1
    write_member(members, state, room.child, count, score, iteration, place)
    for index in range(count - 1):
        if index < begun:
            members.maps[place, index] = room.held[index]
        elif state[FREE]:
            state[FREE] -= 1
            held = int(members.free[state[FREE]])
            transfer(room.kept[index - begun], members.pool[held])
            members.holders[held], members.maps[place, index] = 1, held
