"""Super-blocks of any type from the same properties."""

from __future__ import annotations

from PlainNet import Block, SuperBlock
from PlainNet.block import interned
from PlainNet.lazy import remembered


@remembered(None)
def has_bottleneck(block_type: type[SuperBlock]) -> bool:
    """Whether blocks of the type have a bottleneck width."""
    return "bottleneck_channels" in block_type.argument_names()


def make_block(
    block_type: type[SuperBlock], in_channels: int, out_channels: int, stride: int, bottleneck: int, sub_layers: int
) -> SuperBlock:
    """A super-block of a type that takes a bottleneck width or one that does not."""
    if has_bottleneck(block_type):
        return interned(block_type, in_channels, out_channels, stride, bottleneck, sub_layers)
    return interned(block_type, in_channels, out_channels, stride, sub_layers)


def bottleneck_of(block: Block) -> int:
    """A block's bottleneck width; its output width where it has none."""
    return getattr(block, "bottleneck_channels", block.out_channels)
