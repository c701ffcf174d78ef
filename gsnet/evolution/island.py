"""One of several populations of a search, in whatever process it lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import PlainNet
from gsnet.evolution.array_choice import make_loop, why_in_python
from gsnet.evolution.executors import InProcess
from gsnet.evolution.figures import known_figures
from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.judging import NothingScored, SearchFailed
from gsnet.evolution.packed import Packed
from gsnet.evolution.population import Member
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.proposed import member_of
from gsnet.evolution.recorded import Row
from gsnet.evolution.search import Search
from gsnet.evolution.settings import SearchSettings
from gsnet.evolution.turns import Turns

# How many of an island's best go to the next one at a migration.
EMIGRANTS = 4
Part = list[Row] | Packed


class Migrant(NamedTuple):
    """A member on its way to another island."""

    score: float
    iteration: int
    structure: str
    costs: tuple
    scores: tuple[float, ...]

    @classmethod
    def of(cls, member: Member) -> Migrant:
        """A member, with its network as a text."""
        return cls(member.score, member.iteration, member.network.text, member.costs, member.scores)

    @classmethod
    def of_row(cls, row: Row) -> Migrant:
        """The member that a recorded candidate was."""
        return cls.of(member_of(row, row.network))

    def member(self) -> Member:
        """The member that arrives."""
        return Member(self.score, self.iteration, PlainNet.parse(self.structure), self.costs, self.scores)


class Status(NamedTuple):
    """How far an island is. parts: what it has proposed since it was last asked. scores: of its members.

    exhausted, failure: why it does not go on; fruitless: that it has failed because it scored nothing. least_refused,
    commonest_failure: what is said if nothing is ever scored (`gsnet.evolution.judging`).
    """

    parts: list[Part]
    outcomes: Counter[str]
    best: Migrant | None
    scores: list[float]
    exhausted: str
    failure: str
    fruitless: bool
    least_refused: dict[str, float]
    commonest_failure: str


class Parts:
    """Takes proposals in place of a history."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def append(self, rows: list[Row]) -> None:
        """Take a round."""
        if self._parts and isinstance(self._parts[-1], list):
            self._parts[-1] += rows
        else:
            self._parts.append(list(rows))

    def extend(self, packed: Packed) -> None:
        """Take proposals of the compiled loop."""
        self._parts.append(packed)

    def batches(self) -> Iterator[Part]:
        """What is to be taken up at the beginning: an island is told that."""
        return iter(())

    def drop_incomplete_round(self, round_size: int) -> None:
        """There are none: turns are whole rounds."""

    def taken(self) -> list[Part]:
        """Everything since the last time."""
        parts, self._parts = self._parts, []
        return parts


class Island:
    """A search for its own population, which receives members of another one now and then. Raises SearchError."""

    def __init__(self, settings: SearchSettings, functions: Functions = NO_FUNCTIONS) -> None:
        self._parts = Parts()
        proposer = make_proposer(settings, functions)
        known = {**known_figures(settings), **functions.figures}
        figures = {name: known[name] for name in settings.figures}
        executor = InProcess(settings, functions.proxies)
        self.needs_torch = executor.needs_torch
        in_python = why_in_python(settings, proposer, functions, True)
        loop = None if in_python else make_loop(settings, proposer, figures)
        turns = Turns(settings.islands, settings.migration)
        self._search = Search(settings, proposer, executor, self._parts, figures, loop, turns)
        self._failure, self._fruitless = "", False

    def take_up(self, part: Part) -> None:
        """Take up what was recorded of this island."""
        self._search.take_up(part)

    def receive(self, migrants: Sequence[Migrant]) -> None:
        """Let members of another island take part."""
        self._search.receive([migrant.member() for migrant in migrants])

    def emigrants(self) -> list[Migrant]:
        """The best members."""
        return [Migrant.of(member) for member in self._search.population.foremost(EMIGRANTS)]

    def members(self) -> list[Migrant]:
        """All members."""
        return [Migrant.of(member) for member in self._search.population.members]

    def run(self, first: int, end: int, whole: bool = True) -> Status:
        """Propose in these iterations; without `whole` in some of them."""
        search = self._search
        search.go_to(first, end)
        try:
            while not search.finished:
                search.advance()
                if not whole:
                    break
        except SearchFailed as failure:
            self._failure, self._fruitless = str(failure), isinstance(failure, NothingScored)
        return self.status()

    def status(self) -> Status:
        """How far the island is."""
        search = self._search
        return Status(
            self._parts.taken(),
            search.progress.outcomes.copy(),
            Migrant.of(search.best) if search.best else None,
            search.population.scores,
            search.why_exhausted() if search.exhausted else "",
            self._failure,
            self._fruitless,
            dict(search.refusals.least),
            search.commonest_failure,
        )
