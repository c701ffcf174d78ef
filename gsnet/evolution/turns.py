"""Which island proposes in which iteration of a search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gsnet.evolution.packed import Packed
from gsnet.evolution.recorded import Row


class Turn(NamedTuple):
    """A stretch of iterations of one island. epoch: how many migrations came before."""

    epoch: int
    island: int
    first: int
    end: int


class Turns(NamedTuple):
    """Islands take turns of `length` iterations in a history, the first one first; after a turn of each there is a migration.

    Iterations are numbered through all islands, so that each candidate has random numbers of its own. Islands that run at the
    same time are recorded in this order all the same.
    """

    islands: int
    length: int

    def of(self, iteration: int) -> Turn:
        """The turn that an iteration belongs to."""
        turn = iteration // self.length
        epoch, island = divmod(turn, self.islands)
        return Turn(epoch, island, turn * self.length, (turn + 1) * self.length)

    def own(self, iteration: int) -> int:
        """How many proposals of the same island come before an iteration."""
        return self.of(iteration).epoch * self.length + iteration % self.length

    def begins_epoch(self, iteration: int) -> bool:
        """Whether an iteration is the first of an epoch."""
        return iteration % (self.islands * self.length) == 0

    def epoch(self, first: int, end: int) -> list[Turn]:
        """What is left of an epoch from an iteration on, up to an end: a turn, or a part of one, of each island."""
        turn = self.of(first)
        turns = [self.of((turn.epoch * self.islands + island) * self.length) for island in range(self.islands)]
        cut = (turn._replace(first=max(turn.first, first), end=min(turn.end, end)) for turn in turns)
        return [turn for turn in cut if turn.first < turn.end]

    def pieces(self, batch: list[Row] | Packed) -> Iterator[tuple[Turn, list[Row] | Packed]]:
        """Rows that follow each other, by turns."""
        if isinstance(batch, Packed):
            begin, size = int(batch.iterations[0]), len(batch.iterations)
        else:
            begin, size = batch[0].iteration, len(batch)
        at = 0
        while at < size:
            turn = self.of(begin + at)
            end = min(turn.end - begin, size)
            yield turn, batch.between(at, end) if isinstance(batch, Packed) else batch[at:end]
            at = end


ONE_POPULATION = Turns(1, 1 << 62)
