"""Where candidates come from: the first ones and all later ones, in the four combinations of two flags.

    flags                      first candidates                       later candidates
    (none)                     random networks                        search_choice mutation
    --origin                   random networks                        search-space mutation, 2 replacements
    --fix_initialize           initial structure, 1 replacement       search_choice mutation
    both                       initial structure, 1 replacement       search-space mutation, 2 replacements

Random networks and search_choice mutations use the block types of --search_space_list, or those of --search_space. Where there
are several initial structures, each is a candidate itself before anything else is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.parts import within_budgets
from gsnet.evolution.settings import SearchError, SearchSettings
from PlainNet import Block, Network, SuperBlock, parse_structures
from SearchSpace import SearchSpace, load_block_types, load_search_space, search_choice
from SearchSpace.candidates import pick
from SearchSpace.mutation import mutate

FIRST_REPLACEMENTS = 1
LATER_REPLACEMENTS = 2


@dataclass(frozen=True)
class Proposer:
    """How candidates are drawn.

    first: of an iteration, while there are few parents. starts: the structures to start from, none where a search starts from
    random networks. given: how many of the first iterations propose these themselves, whatever the population.
    """

    first: Callable[[int, random.Random], Network]
    later: Callable[[Network, random.Random], Network]
    starts: tuple[Network, ...] = ()
    given: int = 0


def make_proposer(settings: SearchSettings, functions: Functions = NO_FUNCTIONS) -> Proposer:
    """The proposer that the settings describe. Raises SearchError, SearchSpaceError or StructureError.

    functions: its space and its blocks are taken in place of those that the settings name.
    """
    space, types = functions.space, functions.block_types
    if space is None and settings.search_space:
        space = load_search_space(settings.search_space)
    if not types and settings.search_space_list:
        types = load_block_types(settings.search_space_list)
    types = types or (space.block_types if space else ())
    if not types:
        raise SearchError("Name the blocks to search: --search_space FILE, or --search_space_list FILE [FILE ...]")
    if not space and (settings.origin or settings.fix_initialize):
        raise SearchError("--origin and --fix_initialize need --search_space FILE")
    later = _later(settings.origin, space, types)
    if not settings.fix_initialize or space is None:
        return Proposer(lambda iteration, generator: search_choice.random_network(types, generator), later)
    starts = starting_structures(settings)
    fitting = within_budgets(settings, starts)
    given = len(starts) if len(starts) > 1 else 0
    return Proposer(_first(starts[:given], fitting, space), later, starts, given)


def starting_structures(settings: SearchSettings) -> tuple[Network, ...]:
    """The structures to start from, as every mutation leaves a network: deep blocks in two. Raises SearchError."""
    if settings.plainnet_struct is None:
        raise SearchError(
            "--fix_initialize needs a structure to start from: --plainnet_struct or --plainnet_struct_txt"
        )
    return tuple(dict.fromkeys(network.split() for network in parse_structures(settings.plainnet_struct)))


def _first(
    given: tuple[Network, ...], parents: tuple[Network, ...], space: SearchSpace
) -> Callable[[int, random.Random], Network]:
    """First the given structures themselves, then mutations of those within the budgets."""

    def first(iteration: int, generator: random.Random) -> Network:
        if iteration < len(given):
            return given[iteration]
        parent = pick(parents, generator) if len(parents) > 1 else parents[0]
        return mutate(parent, space.sample_block, generator, FIRST_REPLACEMENTS)

    return first


def _later(
    origin: bool, space: SearchSpace | None, types: Sequence[type[SuperBlock]]
) -> Callable[[Network, random.Random], Network]:
    if origin and space is not None:
        return lambda parent, generator: mutate(parent, space.sample_block, generator, LATER_REPLACEMENTS)

    def sample_block(blocks: Sequence[Block], index: int, generator: random.Random) -> Block:
        return search_choice.sample_block(blocks[index], types, generator)

    return lambda parent, generator: mutate(parent, sample_block, generator, LATER_REPLACEMENTS)
