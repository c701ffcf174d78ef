"""The population of an evolutionary search: uniform parents, the worst one out, both in O(log n)."""

from __future__ import annotations

import heapq
import random
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from PlainNet import Network


class Member(NamedTuple):
    """A scored network, the iteration that proposed it, and its costs: parameters, flops, memory access, layers.

    scores: of the single proxies of an ensemble.
    """

    score: float
    iteration: int
    network: Network
    costs: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()


class AnyPopulation(Protocol):
    """What a search needs of its survivors, by whatever rule they are."""

    def __len__(self) -> int: ...

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in a reproducible order."""
        ...

    @property
    def scores(self) -> list[float]:
        """The scores of all members, in the same order."""
        ...

    @property
    def lowest_score(self) -> float:
        """The lowest score among them."""
        ...

    def foremost(self, count: int) -> list[Member]:
        """Those who would survive last of all, as they entered."""
        ...

    def choose(self, generator: random.Random) -> Member:
        """A member drawn uniformly."""
        ...

    def choose_fit(self, generator: random.Random, contestants: int) -> Member:
        """The best of so many members drawn uniformly, where one figure says which is."""
        ...

    def add(self, member: Member) -> None:
        """Take a member in; those who are too many go."""
        ...


class Members:
    """Members in a list, and parents drawn from them. capacity: how many stay."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in a reproducible order."""
        return tuple(self._members)

    @property
    def scores(self) -> list[float]:
        """The scores of all members, in the same order."""
        return [member.score for member in self._members]

    def choose(self, generator: random.Random) -> Member:
        """A member drawn uniformly."""
        return self._members[int(generator.random() * len(self._members))]


class CutPopulation(Members, ABC):
    """At most `capacity` members; the surplus goes in one cut, each time that twice the capacity has gathered.

    Cutting in one go spares a newcomer the comparison with all others; parents are drawn from the survivors of the last cut and
    the newcomers since.
    """

    @abstractmethod
    def _survivors(self) -> list[Member]:
        """Those of the members, more than the capacity, who stay, in order of iteration."""

    def choose_fit(self, generator: random.Random, contestants: int) -> Member:
        """A member drawn uniformly, whatever the number of contestants."""
        del contestants
        return self.choose(generator)

    def add(self, member: Member) -> None:
        """Take a member in, and cut the population back when it has doubled."""
        self._members.append(member)
        if len(self._members) >= 2 * self.capacity:
            self._members = self._survivors()


class Population(Members):
    """At most `capacity` members. When one too many comes in, the lowest score goes, the oldest among equals."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._places: dict[int, int] = {}
        self._worst_first: list[tuple[float, int]] = []

    @property
    def lowest_score(self) -> float:
        """The score that a newcomer has to beat once the population is full."""
        return self._worst_first[0][0]

    def foremost(self, count: int) -> list[Member]:
        """The best members, the oldest first among equals."""
        return sorted(self._members, key=lambda member: (-member.score, member.iteration))[:count]

    def choose_fit(self, generator: random.Random, contestants: int) -> Member:
        """The best of so many members drawn uniformly, the first among equals."""
        draw, members = generator.random, self._members
        count = len(members)
        best = members[int(draw() * count)]
        for _ in range(contestants - 1):
            other = members[int(draw() * count)]
            if other.score > best.score:
                best = other
        return best

    def add(self, member: Member) -> None:
        """Take a member in; when that is one too many, the worst one goes."""
        self._places[member.iteration] = len(self._members)
        self._members.append(member)
        heapq.heappush(self._worst_first, (member.score, member.iteration))
        if len(self._members) > self.capacity:
            self._remove(heapq.heappop(self._worst_first)[1])

    def _remove(self, iteration: int) -> None:
        place = self._places.pop(iteration)
        last = self._members.pop()
        if last.iteration != iteration:
            self._members[place] = last
            self._places[last.iteration] = place
