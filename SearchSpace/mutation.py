"""From a network to a neighbour: replace a few blocks, make widths fit, split what has become deep."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from PlainNet import Block, Network
from PlainNet.network import SPLIT_THRESHOLD
from SearchSpace.variation import fit_behind, read_what_comes

SampleBlock = Callable[[Sequence[Block], int, random.Random], Block]


def mutate(network: Network, sample_block: SampleBlock, generator: random.Random, replacements: int) -> Network:
    """The network with up to `replacements` blocks replaced.

    Indices are drawn uniformly and one that comes again is skipped. A replacement is drawn from the blocks as they are
    then, and reads what the block before it gives; one of six or more sub-layers is split. Raises StructureError if a
    block cannot take its new width.
    """
    blocks = list(network.blocks)
    replaced: list[int] = []
    for _ in range(replacements):
        index = int(generator.random() * len(blocks))
        if index in replaced:
            continue
        replaced.append(index)
        blocks[index] = sample_block(blocks, index, generator)
        read_what_comes(blocks, index)
    # Only what follows a replaced block may read another width than before. From the back, so that splitting moves no index
    # that is still to come.
    for index in sorted(replaced, reverse=True):
        fit_behind(blocks, index)
        parts = blocks[index].split(SPLIT_THRESHOLD)
        if len(parts) > 1:
            blocks[index : index + 1] = parts
    return Network.trusted(tuple(blocks))
