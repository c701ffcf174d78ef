"""Neighbourhoods of a super-block: other types, widths and depths around what it is now."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TypeVar

from PlainNet import Block, SuperBlock, smart_round
from PlainNet.block import interned
from PlainNet.super_blocks import SuperConvK1BNRELU, SuperConvKXBNRELU
from SearchSpace.blocks import bottleneck_of, make_block
from SearchSpace.neighbourhood import Neighbours, TypedNeighbours

Item = TypeVar("Item")
CHANNEL_RATIOS = (2.5, 2, 1.5, 1.25, 1, 1 / 1.25, 1 / 1.5, 1 / 2, 1 / 2.5)
SUB_LAYER_STEPS = (2, 1, 0, -1, -2)
SMALLEST_WIDTH = 8


@lru_cache(maxsize=100_000)
def channel_candidates(channels: int, largest: int | None = None, smallest: int = SMALLEST_WIDTH) -> tuple[int, ...]:
    """Widths from 0.4 to 2.5 times `channels`, multiples of 8 from `smallest` to `largest`, each once, widest first."""
    widths = [max(smallest, channels * ratio) for ratio in CHANNEL_RATIOS]
    limited = widths if largest is None else [min(largest, width) for width in widths]
    return tuple(sorted({smart_round(width, 8) for width in limited}, reverse=True))


@lru_cache(maxsize=1_000)
def sub_layer_candidates(sub_layers: int) -> tuple[int, ...]:
    """Depths up to two more or fewer, at least one, deepest first."""
    return tuple(sub_layers + step for step in SUB_LAYER_STEPS if sub_layers + step > 0)


def pick(options: Sequence[Item], generator: random.Random) -> Item:
    """One of the options, each equally likely; three times as fast as `random.choice`."""
    return options[int(generator.random() * len(options))]


@dataclass(frozen=True)
class TypedSpace:
    """A space of block types: any listed type, neighbouring widths and depths; input width and stride are kept.

    Stems keep their kernel and have one layer; so do 1 x 1 heads if `mutate_head`, otherwise they are kept as they are. A
    space module offers `gen_search_space`, the public contract, and `sample_block`, which draws from the same set with
    each block type equally likely, without listing it; `neighbours` draws such as differ in some properties alone.
    """

    block_types: tuple[type[SuperBlock], ...]
    largest_width: int | None = 2048
    mutate_head: bool = True
    smallest_width: int = SMALLEST_WIDTH

    @cached_property
    def neighbours(self) -> Neighbours:
        """How to change single properties of a block."""
        widths = partial(channel_candidates, largest=self.largest_width, smallest=self.smallest_width)
        return TypedNeighbours(self.block_types, widths, widths, sub_layer_candidates, self.mutate_head)

    def gen_search_space(self, block_list: Sequence[Block], block_id: int) -> list[list[str]]:
        """Every string that may stand in place of a block: one list for each block type."""
        block = block_list[block_id]
        if isinstance(block, SuperConvKXBNRELU):
            return [[str(candidate) for candidate in self._convolutions(block)]]
        if not isinstance(block, SuperBlock):
            return [[str(block)]]
        choices = itertools.product(
            channel_candidates(block.out_channels, self.largest_width, self.smallest_width),
            sub_layer_candidates(block.sub_layers),
            channel_candidates(bottleneck_of(block), self.largest_width, self.smallest_width),
        )
        settings = list(choices)
        return [
            [str(make_block(t, block.in_channels, out, block.stride, mid, n)) for out, n, mid in settings]
            for t in self.block_types
        ]

    def sample_block(self, block_list: Sequence[Block], block_id: int, generator: random.Random) -> Block:
        """One of the blocks that `gen_search_space` lists."""
        block = block_list[block_id]
        if isinstance(block, SuperConvKXBNRELU):
            if self._is_fixed(block):
                return block
            width = pick(channel_candidates(block.out_channels, self.largest_width, self.smallest_width), generator)
            return interned(type(block), block.in_channels, width, block.stride, 1)
        if not isinstance(block, SuperBlock):
            return block
        types, widths = (
            self.block_types,
            channel_candidates(block.out_channels, self.largest_width, self.smallest_width),
        )
        bottlenecks = channel_candidates(bottleneck_of(block), self.largest_width, self.smallest_width)
        depths = sub_layer_candidates(block.sub_layers)
        # `pick` written out: these draws are most of what a search does.
        draw = generator.random
        return make_block(
            types[int(draw() * len(types))],
            block.in_channels,
            widths[int(draw() * len(widths))],
            block.stride,
            bottlenecks[int(draw() * len(bottlenecks))],
            depths[int(draw() * len(depths))],
        )

    def _convolutions(self, block: SuperConvKXBNRELU) -> list[SuperConvKXBNRELU]:
        if self._is_fixed(block):
            return [block]
        widths = channel_candidates(block.out_channels, self.largest_width, self.smallest_width)
        return [interned(type(block), block.in_channels, width, block.stride, 1) for width in widths]

    def _is_fixed(self, block: SuperConvKXBNRELU) -> bool:
        return isinstance(block, SuperConvK1BNRELU) and not self.mutate_head
