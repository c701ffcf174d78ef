"""Where candidates come from: the first ones and all later ones, in the four combinations of two flags.

    flags                      first candidates                       later candidates
    (none)                     random networks                        search_choice mutation
    --origin                   random networks                        search-space mutation, 2 replacements
    --fix_initialize           initial structure, 1 replacement       search_choice mutation
    both                       initial structure, 1 replacement       search-space mutation, 2 replacements

Random networks and search_choice mutations use the block types of --search_space_list, or those of --search_space.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import PlainNet
from gsnet.evolution.settings import SearchError, SearchSettings
from PlainNet import Block, Network, SuperBlock
from SearchSpace import SearchSpace, load_block_types, load_search_space, search_choice
from SearchSpace.mutation import mutate

FIRST_REPLACEMENTS = 1
LATER_REPLACEMENTS = 2


@dataclass(frozen=True)
class Proposer:
    """How candidates are drawn. `initial` is the given structure, or None where the search starts from random networks."""

    first: Callable[[random.Random], Network]
    later: Callable[[Network, random.Random], Network]
    initial: Network | None


def make_proposer(settings: SearchSettings) -> Proposer:
    """The proposer that the settings describe. Raises SearchError, SearchSpaceError or StructureError."""
    space = load_search_space(settings.search_space) if settings.search_space else None
    types = load_block_types(settings.search_space_list) if settings.search_space_list else ()
    types = types or (space.block_types if space else ())
    if not types:
        raise SearchError("Name the blocks to search: --search_space FILE, or --search_space_list FILE [FILE ...]")
    if not space and (settings.origin or settings.fix_initialize):
        raise SearchError("--origin and --fix_initialize need --search_space FILE")
    initial = _initial(settings)
    return Proposer(_first(initial, space, types), _later(settings.origin, space, types), initial)


def _initial(settings: SearchSettings) -> Network | None:
    if not settings.fix_initialize:
        return None
    if settings.plainnet_struct is None:
        raise SearchError(
            "--fix_initialize needs a structure to start from: --plainnet_struct or --plainnet_struct_txt"
        )
    # As every mutation leaves it: deep blocks in two.
    return PlainNet.parse(settings.plainnet_struct).split()


def _first(
    initial: Network | None, space: SearchSpace | None, types: Sequence[type[SuperBlock]]
) -> Callable[[random.Random], Network]:
    if initial is None or space is None:
        return lambda generator: search_choice.random_network(types, generator)
    return lambda generator: mutate(initial, space.sample_block, generator, FIRST_REPLACEMENTS)


def _later(
    origin: bool, space: SearchSpace | None, types: Sequence[type[SuperBlock]]
) -> Callable[[Network, random.Random], Network]:
    if origin and space is not None:
        return lambda parent, generator: mutate(parent, space.sample_block, generator, LATER_REPLACEMENTS)

    def sample_block(blocks: Sequence[Block], index: int, generator: random.Random) -> Block:
        return search_choice.sample_block(blocks[index], types, generator)

    return lambda parent, generator: mutate(parent, sample_block, generator, LATER_REPLACEMENTS)
