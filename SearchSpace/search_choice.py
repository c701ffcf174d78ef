"""Random networks and mutation over a list of block types, without a search space file.

A network is a 3 x 3 stem, blocks of random type, and a 1 x 1 head; its resolution falls by 32 in all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from PlainNet import Block, Network, SuperBlock, smart_round
from PlainNet.super_blocks import SuperConvK1BNRELU, SuperConvK3BNRELU, SuperConvKXBNRELU
from SearchSpace.blocks import bottleneck_of, make_block
from SearchSpace.neighbourhood import TypedNeighbours

BlockTypes = Sequence[type[SuperBlock]]

CHANNEL_RATIOS = (2.5, 2, 1.5, 1.25, 1, 0.8, 0.667, 0.5, 0.4)
SUB_LAYER_STEPS = (-2, -1, 0, 1, 2)
SMALLEST_WIDTH = 8
LARGEST_WIDTH = 2048
LARGEST_BOTTLENECK = 512
_FEWEST_BLOCKS, _MOST_BLOCKS = 6, 10
_STEM_WIDTH = 32
_RANDOM_WIDTHS = range(8, 121, 8)


def random_network(block_types: BlockTypes, generator: random.Random, smallest: int = SMALLEST_WIDTH) -> Network:
    """Six to ten blocks, stem and head included, with random types and widths from `smallest` on, and one layer each."""
    count = generator.randint(_FEWEST_BLOCKS, _MOST_BLOCKS)
    late_stride = round((count + 2) / 2)
    blocks: list[Block] = [SuperConvK3BNRELU(3, max(smallest, _STEM_WIDTH), 2, 1)]
    for index in range(1, count):
        stride = 2 if index <= 3 or index == late_stride else 1
        before, out = blocks[-1].out_channels, max(smallest, generator.choice(_RANDOM_WIDTHS))
        if index == count - 1:
            blocks.append(SuperConvK1BNRELU(before, out, stride, 1))
        else:
            bottleneck = max(smallest, generator.choice(_RANDOM_WIDTHS))
            blocks.append(make_block(generator.choice(block_types), before, out, stride, bottleneck, 1))
    return Network.trusted(tuple(blocks))


def sample_block(
    block: Block, block_types: BlockTypes, generator: random.Random, smallest: int = SMALLEST_WIDTH
) -> Block:
    """A block in place of `block`: widths times one ratio, another type and depth unless it is a stem or head."""
    ratio = generator.choice(CHANNEL_RATIOS)
    out = _scaled(block.out_channels, ratio, LARGEST_WIDTH, smallest)
    if isinstance(block, SuperConvKXBNRELU):
        return type(block)(block.in_channels, out, block.stride, 1)
    if not isinstance(block, SuperBlock):
        return block
    bottleneck = _scaled(bottleneck_of(block), ratio, LARGEST_BOTTLENECK, smallest)
    depth = max(1, block.sub_layers + generator.choice(SUB_LAYER_STEPS))
    return make_block(generator.choice(block_types), block.in_channels, out, block.stride, bottleneck, depth)


@dataclass(frozen=True)
class ChosenBlocks:
    """`sample_block` of some block types, called as that of a search space."""

    block_types: tuple[type[SuperBlock], ...]
    smallest: int = SMALLEST_WIDTH

    def __call__(self, blocks: Sequence[Block], index: int, generator: random.Random) -> Block:
        return sample_block(blocks[index], self.block_types, generator, self.smallest)


def neighbours(block_types: BlockTypes) -> TypedNeighbours:
    """How to change single properties of a block within what `sample_block` draws from."""
    out, bottleneck = (partial(_widths, largest=largest) for largest in (LARGEST_WIDTH, LARGEST_BOTTLENECK))
    return TypedNeighbours(tuple(block_types), out, bottleneck, _depths)


def scaled(width: int, largest: int, smallest: int = SMALLEST_WIDTH) -> tuple[int, ...]:
    """A width times each of the ratios."""
    return tuple(_scaled(width, ratio, largest, smallest) for ratio in CHANNEL_RATIOS)


def _scaled(width: int, ratio: float, largest: int, smallest: int) -> int:
    return max(smallest, min(largest, smart_round(width * ratio, 8)))


@lru_cache(maxsize=100_000)
def _widths(width: int, largest: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(scaled(width, largest)))


def _depths(depth: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(max(1, depth + step) for step in SUB_LAYER_STEPS))
