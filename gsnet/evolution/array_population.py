"""The population of a search whose loop is compiled, and the networks that it has tried, as Python sees them."""

from __future__ import annotations

import random

import numpy as np

from gsnet.evolution import array_layout as layout
from gsnet.evolution.array_arrays import Arrays
from gsnet.evolution.array_codes import Codes
from gsnet.evolution.array_loop import add_member, find_network
from gsnet.evolution.budgets import CostModel
from gsnet.evolution.functions import Figure
from gsnet.evolution.population import Member
from PlainNet import Network

_MOST_MADE = 4


class ArrayPopulation:
    """`gsnet.evolution.population.Population` whose members lie in arrays; `Member` values are made when asked for.

    growth: says how much a network's gradient grows, where a search looks at that.
    """

    def __init__(
        self, capacity: int, arrays: Arrays, codes: Codes, costs: CostModel, growth: Figure | None = None
    ) -> None:
        self.capacity = capacity
        self._arrays = arrays
        self._codes = codes
        self._costs = costs
        self._growth = growth
        # By iteration: parents come again.
        self._made: dict[int, Member] = {}

    def __len__(self) -> int:
        return int(self._arrays.state[layout.MEMBERS])

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, in no particular but in a reproducible order."""
        return tuple(self._member(place) for place in range(len(self)))

    @property
    def scores(self) -> list[float]:
        """The scores of all members, in the same order."""
        return self._arrays.members.scores[: len(self)].tolist()

    @property
    def lowest_score(self) -> float:
        """The score that a newcomer has to beat once the population is full."""
        members = self._arrays.members
        return float(members.scores[members.worst[0]])

    def foremost(self, count: int) -> list[Member]:
        """The best members, the oldest first among equals."""
        members, size = self._arrays.members, len(self)
        order = np.lexsort((members.iterations[:size], -members.scores[:size]))[:count]
        return [self._member(place) for place in order.tolist()]

    def choose(self, generator: random.Random) -> Member:
        """A member drawn uniformly."""
        return self._member(int(generator.random() * len(self)))

    def choose_fit(self, generator: random.Random, contestants: int) -> Member:
        """The best of so many members drawn uniformly, the first among equals."""
        drawn = [int(generator.random() * len(self)) for _ in range(contestants)]
        return self._member(max(drawn, key=self._arrays.members.scores.__getitem__))

    def add(self, member: Member) -> None:
        """Take a member in; when that is one too many, the worst one goes."""
        rows = self._codes.encoded(member.network)
        self._arrays.make_room_for(len(rows))
        arrays = self._arrays
        add_member(arrays.members, arrays.state, self.capacity, rows, len(rows), float(member.score), member.iteration)

    def member(self, rows: np.ndarray, score: float, iteration: int) -> Member:
        """The member that some rows describe."""
        known = self._made.get(iteration)
        if known is not None:
            return known
        if len(self._made) > _MOST_MADE * self.capacity:
            self._made.clear()
        network = self._codes.decoded(rows)
        costs = self._costs.costs(network)
        figures = (costs.parameters, costs.flops, costs.memory_access, costs.layers, None)
        if self._growth:
            figures = (*figures, self._growth(network))  # type: ignore[assignment]
        made = self._made[iteration] = Member(score, iteration, network, figures)  # type: ignore[arg-type]
        return made

    def _member(self, place: int) -> Member:
        members = self._arrays.members
        rows = members.blocks[place, : members.counts[place]]
        return self.member(rows, float(members.scores[place]), int(members.iterations[place]))


class ArrayTried:
    """The networks that were tried, among those that compiled code has tried."""

    def __init__(self, arrays: Arrays, codes: Codes) -> None:
        self._arrays = arrays
        self._codes = codes

    def __contains__(self, network: Network) -> bool:
        place, identity = self._find(network)
        return bool(self._arrays.room.tried[place] == identity)

    def add(self, network: Network) -> None:
        """Remember a network."""
        self._arrays.make_room_for_tried()
        place, identity = self._find(network)
        self._arrays.room.tried[place] = identity
        self._arrays.state[layout.TRIED] += 1

    def _find(self, network: Network) -> tuple[int, np.uint64]:
        rows = self._codes.encoded(network)
        return find_network(self._arrays.room.tried, rows, len(rows))
