"""Where candidates come from: the first ones and all later ones, in the four combinations of two flags.

    flags                      first candidates                       later candidates
    (none)                     random networks                        blocks as search_choice draws them
    --origin                   random networks                        blocks of the search space
    --fix_initialize           near the initial structure             blocks as search_choice draws them
    both                       near the initial structure             blocks of the search space

Random networks and search_choice use the block types of --search_space_list, or those of --search_space; what is near the
initial structure has blocks of the search space. Where there are several initial structures, each is a candidate itself before
anything else is drawn. How a block is replaced or changed is for the rule of evolution to say: `gsnet.evolution.rules`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gsnet.evolution.budgets import CostModel
from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.parts import cost_model, search_budgets, within_budgets
from gsnet.evolution.rules import Fitting, Impartial, Published, Rule
from gsnet.evolution.settings import PUBLISHED, SearchError, SearchSettings
from PlainNet import Network, SuperBlock, parse_structures
from SearchSpace import SearchSpace, load_block_types, load_search_space, search_choice
from SearchSpace.candidates import SMALLEST_WIDTH, pick
from SearchSpace.least_width import least_drawn

# Of an iteration, by a rule.
First = Callable[[int, random.Random, Rule], Network]


@dataclass(frozen=True)
class Proposer:
    """How candidates are drawn.

    first: while there are few parents. rule: of evolution, for all later ones. impartial: the rule while nothing new comes.
    costs: counts what candidates cost. starts: the structures to start from, none where a search starts from random networks.
    given: how many of the first iterations propose these themselves, whatever the population. block_types: those that
    candidates are drawn from, the first ones or later ones.
    """

    first: First
    rule: Rule
    impartial: Rule
    costs: CostModel
    starts: tuple[Network, ...] = ()
    given: int = 0
    block_types: tuple[type[SuperBlock], ...] = ()


def make_proposer(settings: SearchSettings, functions: Functions = NO_FUNCTIONS) -> Proposer:
    """The proposer that the settings describe. Raises SearchError, SearchSpaceError or StructureError.

    functions: its space and its blocks are taken in place of those that the settings name.
    """
    space, types = functions.space, functions.block_types
    if space is None and settings.search_space:
        start = settings.plainnet_struct
        space = load_search_space(settings.search_space, parse_structures(start) if start else ())
    if not types and settings.search_space_list:
        types = load_block_types(settings.search_space_list)
    types = types or (space.block_types if space else ())
    if not types:
        raise SearchError("Name the blocks to search: --search_space FILE, or --search_space_list FILE [FILE ...]")
    if not space and (settings.origin or settings.fix_initialize):
        raise SearchError("--origin and --fix_initialize need --search_space FILE")
    if space and settings.min_width:
        space = space.at_least(settings.min_width)
    costs = cost_model(settings)
    rules = _rules(settings, space, types, costs)
    every = (*types, *(space.block_types if space else ()))
    if not settings.fix_initialize or space is None:
        return Proposer(_random_networks(types, smallest_drawn(settings)), *rules, costs, block_types=every)
    starts = starting_structures(settings)
    fitting = within_budgets(settings, starts)
    given = len(starts) if len(starts) > 1 else 0
    return Proposer(_first(starts[:given], fitting), *rules, costs, starts, given, every)


def starting_structures(settings: SearchSettings) -> tuple[Network, ...]:
    """The structures to start from, as every mutation leaves a network: deep blocks in two. Raises SearchError."""
    if settings.plainnet_struct is None:
        raise SearchError(
            "--fix_initialize needs a structure to start from: --plainnet_struct or --plainnet_struct_txt"
        )
    return tuple(dict.fromkeys(network.split() for network in parse_structures(settings.plainnet_struct)))


def _first(given: tuple[Network, ...], parents: tuple[Network, ...]) -> First:
    """First the given structures themselves, then networks near those within the budgets."""

    def first(iteration: int, generator: random.Random, rule: Rule) -> Network:
        if iteration < len(given):
            return given[iteration]
        return rule.start(pick(parents, generator) if len(parents) > 1 else parents[0], generator)

    return first


def smallest_drawn(settings: SearchSettings) -> int:
    """The smallest width that is drawn without a search space."""
    return max(SMALLEST_WIDTH, least_drawn(settings.min_width or 0))


def _random_networks(types: Sequence[type[SuperBlock]], smallest: int) -> First:
    def first(iteration: int, generator: random.Random, rule: Rule) -> Network:
        return rule.admitted(search_choice.random_network(types, generator, smallest), generator)

    return first


def _rules(
    settings: SearchSettings, space: SearchSpace | None, types: Sequence[type[SuperBlock]], costs: CostModel
) -> tuple[Rule, Rule]:
    """The rule of evolution, and the one while nothing new comes, drawing from the blocks that the flags ask for."""
    within = space if settings.origin else None
    drawn = search_choice.ChosenBlocks(tuple(types), smallest_drawn(settings))
    published = Published(space.sample_block if space else drawn, within.sample_block if within else drawn)
    if settings.evolution == PUBLISHED:
        return published, published
    chosen = search_choice.neighbours(types).at_least(smallest_drawn(settings))
    fitting = Fitting(
        space.neighbours if space else chosen,
        within.neighbours if within else chosen,
        costs,
        search_budgets(settings),
        settings.max_layers or math.inf,
    )
    return fitting, Impartial(published, fitting)
