"""Networks of which no block is narrower than so many channels.

The widths of a block are its output width and, where it has one, its bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PlainNet import Block, Network, SuperBlock
from PlainNet.step_table import WIDTH_UNIT
from SearchSpace.blocks import bottleneck_of, make_block

# Of blocks that are drawn until one is wide enough.
_MOST_DRAWN = 64


def narrowest(block: Block) -> int:
    """The smaller of a block's widths."""
    return min(block.out_channels, bottleneck_of(block))


def narrowest_block(network: Network) -> Block:
    """The block with the smallest width, the first of several; the first one where none has a width of its own."""
    return min((block for block in network.blocks if not block.any_width), key=narrowest, default=network.blocks[0])


def least_drawn(width: int) -> int:
    """The least of the widths that are drawn, which are multiples of 8, where they have to be at least so large."""
    return -(-width // WIDTH_UNIT) * WIDTH_UNIT


def at_least(values: Callable[[int], Sequence[int]], least: int, width: int) -> tuple[int, ...]:
    """What a width may become, the least in place of what is smaller, each once."""
    return tuple(dict.fromkeys(max(least, value) for value in values(width)))


def widened(network: Network, width: int) -> Network:
    """The network with its narrower super-blocks made as wide. Raises StructureError where they do not fit together then."""
    least, channels = least_drawn(width), network.in_channels
    blocks: list[Block] = []
    for block in network.blocks:
        if isinstance(block, SuperBlock):
            out, bottleneck = max(least, block.out_channels), max(least, bottleneck_of(block))
            block = make_block(type(block), channels, out, block.stride, bottleneck, block.depth)
        else:
            block = block.with_in_channels(channels)
        blocks.append(block)
        channels = channels if block.any_width else block.out_channels
    return Network(tuple(blocks))


def wide_one(draw: Callable[[], Block], width: int) -> Block:
    """The first of some blocks that is at least so wide; the last of them where none is."""
    block = draw()
    for _ in range(_MOST_DRAWN):
        if narrowest(block) >= width:
            break
        block = draw()
    return block
