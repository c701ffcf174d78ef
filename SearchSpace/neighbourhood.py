"""The neighbours of a block that differ from it in some of its properties: kind, width, bottleneck and depth.

Everything that is drawn here is among the blocks that the space lists.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

from PlainNet import Block, SuperBlock
from PlainNet.block import interned
from PlainNet.lazy import remembered
from PlainNet.super_blocks import SuperConvK1BNRELU, SuperConvKXBNRELU
from SearchSpace.blocks import bottleneck_of, has_bottleneck, make_block
from SearchSpace.least_width import at_least, least_drawn

# Candidate values of a width, bottleneck or depth, a function of what it is now.
Values = Callable[[int], Sequence[int]]
Blocks = Sequence[Block]
# Some of the blocks that may stand in place of one: the network, the block's place, how many, the generator.
DrawSome = Callable[[Blocks, int, int, random.Random], list[Block]]

KIND, WIDTH, BOTTLENECK, DEPTH = 1, 2, 4, 8
SUBSETS = 15
_DRAWN_TOGETHER = 4


class Neighbours(Protocol):
    """How a search changes a block of a network. Where there is no such neighbour, the block itself is returned."""

    def is_fixed(self, block: Block) -> bool:
        """Whether the block is known to have no neighbours."""
        ...

    def changed(self, blocks: Blocks, index: int, most_layers: float, generator: random.Random) -> Block:
        """A neighbour of at most so many layers, or no more than the block has, that differs in a subset of the properties."""
        ...

    def narrowed(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        """A neighbour that has less of one property, for a network that is over a budget."""
        ...

    def shortened(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        """A neighbour with fewer layers, for a network that has too many."""
        ...


@dataclass(frozen=True)
class TypedNeighbours:
    """Neighbours by their properties, of which a random non-empty subset is drawn anew, without what they are now.

    widths, bottlenecks, depths: candidate values of each. Stems and heads have a width alone; heads of 1 x 1 are kept as they
    are unless `mutate_head`.
    """

    block_types: tuple[type[SuperBlock], ...]
    widths: Values
    bottlenecks: Values
    depths: Values
    mutate_head: bool = True

    def at_least(self, width: int) -> TypedNeighbours:
        """The same without widths and bottlenecks that are smaller."""
        least = least_drawn(width)
        widths, bottlenecks = (partial(at_least, values, least) for values in (self.widths, self.bottlenecks))
        return replace(self, widths=widths, bottlenecks=bottlenecks)

    def is_fixed(self, block: Block) -> bool:
        if isinstance(block, SuperConvK1BNRELU):
            return not self.mutate_head
        return not isinstance(block, SuperBlock)

    def changed(self, blocks: Blocks, index: int, most_layers: float, generator: random.Random) -> Block:
        block = blocks[index]
        if not isinstance(block, SuperBlock) or self.is_fixed(block):
            return block
        kind, out, bottleneck, depth = type(block), block.out_channels, bottleneck_of(block), block.depth
        if isinstance(block, SuperConvKXBNRELU):
            return interned(kind, block.in_channels, _drawn(_others(self.widths, out), out, generator), block.stride, 1)
        subset = 1 + int(generator.random() * SUBSETS)
        if subset & KIND:
            kinds = _other_kinds(self.block_types, kind)
            kind = kinds[int(generator.random() * len(kinds))] if kinds else kind
        if subset & WIDTH or (subset == BOTTLENECK and not has_bottleneck(kind)):
            out = _drawn(_others(self.widths, out), out, generator)
        if subset & BOTTLENECK:
            bottleneck = _drawn(_others(self.bottlenecks, bottleneck), bottleneck, generator)
        if subset & DEPTH:
            depth = _drawn(_others_up_to(self.depths, depth, most_layers), depth, generator)
        return make_block(kind, block.in_channels, out, block.stride, bottleneck, depth)

    def narrowed(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        block = blocks[index]
        if not isinstance(block, SuperBlock) or self.is_fixed(block):
            return block
        kind, out, bottleneck, depth = type(block), block.out_channels, bottleneck_of(block), block.depth
        if isinstance(block, SuperConvKXBNRELU):
            out = _drawn(_smaller(self.widths, out), out, generator)
            return interned(kind, block.in_channels, out, block.stride, 1)
        which = int(generator.random() * 3)
        if which == 0 and depth > 1:
            depth = _drawn(_smaller(self.depths, depth), depth, generator)
        elif which == 1 and has_bottleneck(kind):
            bottleneck = _drawn(_smaller(self.bottlenecks, bottleneck), bottleneck, generator)
        else:
            out = _drawn(_smaller(self.widths, out), out, generator)
        return make_block(kind, block.in_channels, out, block.stride, bottleneck, depth)

    def shortened(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        block = blocks[index]
        if block.depth <= 1 or isinstance(block, SuperConvKXBNRELU) or not isinstance(block, SuperBlock):
            return block
        depth = _drawn(_smaller(self.depths, block.depth), block.depth, generator)
        return make_block(type(block), block.in_channels, block.out_channels, block.stride, bottleneck_of(block), depth)


@dataclass(frozen=True)
class ListedNeighbours:
    """Neighbours in a space that can only list or draw them: of a few that are drawn, the one that differs least is taken."""

    draw_some: DrawSome

    def is_fixed(self, block: Block) -> bool:
        del block
        return False

    def changed(self, blocks: Blocks, index: int, most_layers: float, generator: random.Random) -> Block:
        block = blocks[index]
        drawn = self._others(blocks, index, generator)
        fitting = [other for other in drawn if other.depth <= max(most_layers, block.depth)]
        return min(fitting or drawn, key=lambda other: _differences(block, other), default=block)

    def narrowed(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        sizes = _sizes(blocks[index])
        for other in self._others(blocks, index, generator):
            if all(less <= more for less, more in zip(_sizes(other), sizes, strict=True)):
                return other
        return blocks[index]

    def shortened(self, blocks: Blocks, index: int, generator: random.Random) -> Block:
        block = blocks[index]
        shorter = [other for other in self._others(blocks, index, generator) if other.depth < block.depth]
        return min(shorter, key=lambda other: _differences(block, other), default=block)

    def _others(self, blocks: Blocks, index: int, generator: random.Random) -> list[Block]:
        text = blocks[index].text
        return [other for other in self.draw_some(blocks, index, _DRAWN_TOGETHER, generator) if other.text != text]


def _sizes(block: Block) -> tuple[int, int, int]:
    return block.out_channels, bottleneck_of(block), block.depth


def _differences(block: Block, other: Block) -> int:
    """In how many properties two blocks differ."""
    sizes = zip(_sizes(block), _sizes(other), strict=True)
    return (type(block) is not type(other)) + sum(one != another for one, another in sizes)


def _drawn(options: Sequence[int], otherwise: int, generator: random.Random) -> int:
    return options[int(generator.random() * len(options))] if options else otherwise


@lru_cache(maxsize=100_000)
def _others(values: Values, value: int) -> tuple[int, ...]:
    return tuple(other for other in values(value) if other != value)


@lru_cache(maxsize=100_000)
def _smaller(values: Values, value: int) -> tuple[int, ...]:
    return tuple(other for other in values(value) if other < value)


@lru_cache(maxsize=100_000)
def _others_up_to(values: Values, value: int, largest: float) -> tuple[int, ...]:
    return tuple(other for other in values(value) if other != value and other <= largest)


@remembered(1_000)
def _other_kinds(kinds: tuple[type[SuperBlock], ...], kind: type[SuperBlock]) -> tuple[type[SuperBlock], ...]:
    return tuple(other for other in kinds if other is not kind)
