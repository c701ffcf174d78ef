"""Rules of evolution: who becomes a parent, and what its child is.

`published` is the rule of Zen-NAS: uniform parents, of which up to two blocks are replaced in all their properties at once.
Most of its children break a budget. `fitting` changes some properties of one block, makes what is over a budget smaller, joins
the halves of two parents now and then, and prefers parents with a good score. `Impartial` follows it where nothing new comes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gsnet.evolution.budgets import Budget, CostModel, first_exceeded
from gsnet.evolution.population import AnyPopulation, Member
from PlainNet import Block, Network
from SearchSpace.mutation import SampleBlock, mutate
from SearchSpace.neighbourhood import Neighbours
from SearchSpace.variation import crossed, put, split_deep

FIRST_REPLACEMENTS = 1
LATER_REPLACEMENTS = 2
# Of the fitting rule, found on searches of 20,000 to 60,000 proposals with other seeds than those of docs/results.md.
TOURNAMENT = 2
CROSSOVERS = 0.2
# How often a depth is drawn that the layer budget has no room for, and that another block has to make room for.
EXCHANGED_LAYERS = 0.3
REPAIRS, REPAIRS_OF_RANDOM_NETWORKS = 3, 40
TRIES_FOR_A_BLOCK = 8


class Rule(Protocol):
    """How a population goes on. Raises StructureError where what is drawn is no network."""

    def start(self, start: Network, generator: random.Random) -> Network:
        """A candidate near a structure to start from."""
        ...

    def admitted(self, network: Network, generator: random.Random) -> Network:
        """What is proposed for a random network."""
        ...

    def parent(self, population: AnyPopulation, generator: random.Random) -> Member:
        """The member that the next candidate is derived from."""
        ...

    def child(self, parent: Member, population: AnyPopulation, generator: random.Random) -> Network:
        """A candidate derived from a parent."""
        ...


@dataclass(frozen=True)
class Published:
    """The published rule. first_block, later_block: how a block is replaced near the start, and in a parent."""

    first_block: SampleBlock
    later_block: SampleBlock

    def start(self, start: Network, generator: random.Random) -> Network:
        return mutate(start, self.first_block, generator, FIRST_REPLACEMENTS)

    def admitted(self, network: Network, generator: random.Random) -> Network:
        return network

    def parent(self, population: AnyPopulation, generator: random.Random) -> Member:
        return population.choose(generator)

    def child(self, parent: Member, population: AnyPopulation, generator: random.Random) -> Network:
        return mutate(parent.network, self.later_block, generator, LATER_REPLACEMENTS)


@dataclass(frozen=True)
class Fitting:
    """The fitting rule. first, later: the neighbours near the start, and of a parent.

    costs, budgets, most_layers: what a child has to keep within; what no `REPAIRS` brings there is proposed all the same.
    """

    first: Neighbours
    later: Neighbours
    costs: CostModel
    budgets: tuple[Budget, ...] = ()
    most_layers: float = math.inf

    def start(self, start: Network, generator: random.Random) -> Network:
        return self._varied(start, self.first, generator)

    def admitted(self, network: Network, generator: random.Random) -> Network:
        return self._repaired(list(network.blocks), self.later, generator, REPAIRS_OF_RANDOM_NETWORKS)

    def parent(self, population: AnyPopulation, generator: random.Random) -> Member:
        return population.choose_fit(generator, TOURNAMENT)

    def child(self, parent: Member, population: AnyPopulation, generator: random.Random) -> Network:
        if generator.random() < CROSSOVERS:
            mate = population.choose_fit(generator, TOURNAMENT)
            blocks = crossed(parent.network.blocks, mate.network.blocks, generator)
            return self._repaired(blocks, self.later, generator)
        return self._varied(parent.network, self.later, generator)

    def _varied(self, network: Network, space: Neighbours, generator: random.Random) -> Network:
        """The network with a block changed, and what this takes to keep the budgets."""
        blocks = list(network.blocks)
        index = _changeable(blocks, space, generator)
        most = math.inf
        if generator.random() >= EXCHANGED_LAYERS:
            most = blocks[index].depth + self.most_layers - network.layers
        put(blocks, index, space.changed(blocks, index, most, generator))
        return self._repaired(blocks, space, generator)

    def _repaired(
        self, blocks: list[Block], space: Neighbours, generator: random.Random, repairs: int = REPAIRS
    ) -> Network:
        """The network of the blocks, with fewer layers or smaller blocks where it is over a budget."""
        for _ in range(repairs):
            if sum([block.depth for block in blocks]) <= self.most_layers:
                break
            index = int(generator.random() * len(blocks))
            put(blocks, index, space.shortened(blocks, index, generator))
        split_deep(blocks)
        network = Network.trusted(tuple(blocks))
        if network.layers > self.most_layers:
            return network
        for _ in range(repairs):
            if not first_exceeded(self.budgets, self.costs.costs(network)):
                break
            index = _changeable(blocks, space, generator)
            put(blocks, index, space.narrowed(blocks, index, generator))
            network = Network.trusted(tuple(blocks))
        return network


@dataclass(frozen=True)
class Impartial:
    """What follows the fitting rule where that brings nothing new: the published one, with its children made to fit.

    The fitting rule hardly ever takes a parent with a low score, or a listed neighbour that differs much. Here every parent is
    as likely as any other, and so is everything that is listed.
    """

    published: Published
    fitting: Fitting

    def start(self, start: Network, generator: random.Random) -> Network:
        return self.fitting.admitted(self.published.start(start, generator), generator)

    def admitted(self, network: Network, generator: random.Random) -> Network:
        return self.fitting.admitted(network, generator)

    def parent(self, population: AnyPopulation, generator: random.Random) -> Member:
        return self.published.parent(population, generator)

    def child(self, parent: Member, population: AnyPopulation, generator: random.Random) -> Network:
        return self.fitting.admitted(self.published.child(parent, population, generator), generator)


def _changeable(blocks: list[Block], space: Neighbours, generator: random.Random) -> int:
    """The place of a block that is not fixed, if one is found."""
    draw: Callable[[], float] = generator.random
    index = int(draw() * len(blocks))
    for _ in range(TRIES_FOR_A_BLOCK):
        if not space.is_fixed(blocks[index]):
            break
        index = int(draw() * len(blocks))
    return index
