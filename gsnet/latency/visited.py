"""The networks that a search can visit: where the layers of a table and the networks of a calibration come from."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from itertools import islice

from PlainNet import Block, Network, StructureError, SuperBlock
from PlainNet.super_blocks import SuperConvKXBNRELU
from SearchSpace import SearchSpace, search_choice
from SearchSpace.blocks import bottleneck_of, make_block
from SearchSpace.mutation import mutate

_STEPS_A_WALK = 60
_REPLACEMENTS = 2
# Walks in a row that end where earlier ones did: there is nothing more.
_MOST_IN_VAIN = 300
# A first layer, which may have a stride and a projection, and one that follows.
_COVERING_SUB_LAYERS = 2


def random_networks(
    space: SearchSpace,
    start: Network | None,
    count: int,
    seed: int,
    admits: Callable[[Network], bool] = lambda network: True,
) -> list[Network]:
    """The first `count` of `drawn_networks`. Raises StructureError where there are fewer."""
    found = list(islice(drawn_networks(space, start, seed, admits), count))
    if len(found) < count:
        raise StructureError(f"{space.name}: only {len(found)} networks are within the budgets")
    return found


def drawn_networks(
    space: SearchSpace,
    start: Network | None,
    seed: int,
    admits: Callable[[Network], bool] = lambda network: True,
    besides: Collection[Network] = (),
) -> Iterator[Network]:
    """Different networks at the ends of random walks of mutations, as a search makes them; `admits` says which may occur.

    start: where walks begin; without it, at random networks of the space's blocks. besides: networks that do not occur.
    """
    generator = random.Random(seed)
    known = {network.text for network in besides}
    in_vain = 0
    while in_vain < _MOST_IN_VAIN:
        network = _walk(space, start, generator, admits)
        in_vain += 1
        if network.text not in known:
            in_vain = 0
            known.add(network.text)
            yield network


def covering_networks(space: SearchSpace, start: Network | None, seed: int) -> list[Network]:
    """One network for each block type of the space, all of whose blocks are of it: every kind of layer, kernel and stride.

    start: as in `drawn_networks`. What a search can visit has no layer of another kind, kernel or stride than these have
    together, so that a table of their layers can interpolate all others.
    """
    generator = random.Random(seed)
    pattern = start or search_choice.random_network(space.block_types, generator)
    found = [
        Network(tuple(_as_type(block, block_type) for block in pattern.blocks)) for block_type in space.block_types
    ]
    return list({network.text: network for network in found}.values())


def _as_type(block: Block, block_type: type[SuperBlock]) -> Block:
    if isinstance(block, SuperConvKXBNRELU) or not isinstance(block, SuperBlock):
        return block
    stride, width = block.stride, bottleneck_of(block)
    return make_block(block_type, block.in_channels, block.out_channels, stride, width, _COVERING_SUB_LAYERS)


def _walk(
    space: SearchSpace, start: Network | None, generator: random.Random, admits: Callable[[Network], bool]
) -> Network:
    network = start.split() if start else search_choice.random_network(space.block_types, generator)
    for _ in range(generator.randrange(1, _STEPS_A_WALK + 1)):
        try:
            candidate = mutate(network, space.sample_block, generator, _REPLACEMENTS)
        except StructureError:
            continue
        if admits(candidate):
            network = candidate
    return network
