"""From a network to a neighbour: replace a few blocks, make widths fit, split what has become deep."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from PlainNet import Block, Network
from PlainNet.network import SPLIT_THRESHOLD

SampleBlock = Callable[[Sequence[Block], int, random.Random], Block]


def mutate(network: Network, sample_block: SampleBlock, generator: random.Random, replacements: int) -> Network:
    """The network with up to `replacements` blocks replaced.

    Indices are drawn uniformly and one that comes again is skipped. A replacement is drawn from the blocks as they are then,
    and reads what the block before it gives. Raises StructureError if a block cannot take its new width.
    """
    blocks = list(network.blocks)
    replaced: set[int] = set()
    for _ in range(replacements):
        index = int(generator.random() * len(blocks))
        if index in replaced:
            continue
        replaced.add(index)
        block = sample_block(blocks, index, generator)
        blocks[index] = block.with_in_channels(blocks[index - 1].out_channels) if index else block
    # Only what follows a replaced block may read another width than before.
    for index in sorted(replaced):
        if index + 1 < len(blocks):
            blocks[index + 1] = blocks[index + 1].with_in_channels(blocks[index].out_channels)
    return Network.trusted(tuple([part for block in blocks for part in block.split(SPLIT_THRESHOLD)]))
