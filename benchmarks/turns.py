"""Ways to compute one thing that take turns, so that a busy computer slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Found = TypeVar("Found")


def least_seconds(ways: Sequence[Callable[[int], Found]], rounds: int) -> tuple[list[float], list[list[Found]]]:
    """The least processor seconds of each way, and what it gave, round by round. ways: are told the round's number, from 0."""
    seconds: list[list[float]] = [[] for _ in ways]
    found: list[list[Found]] = [[] for _ in ways]
    for number in range(rounds):
        for way, spent, given in zip(ways, seconds, found, strict=True):
            begun = time.process_time()
            given.append(way(number))
            spent.append(time.process_time() - begun)
    return [min(spent) for spent in seconds], found
