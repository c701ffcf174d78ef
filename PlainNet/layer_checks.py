"""What one layer of a super-block is made of, and whether a class of a user's keeps to what it says of itself."""

from __future__ import annotations

import sys
from collections.abc import Callable

from PlainNet import user_files
from PlainNet.block import Block
from PlainNet.chain import chain_output_size, chain_widths
from PlainNet.composite_blocks import validate_chain
from PlainNet.errors import StructureError
from PlainNet.lazy import remembered

# Pixels of the map on which strides are looked at: large enough that rounding does not hide one.
_SIDE = 256


def checked_layer(
    block: Block, layer: Callable[[], tuple[Block, ...]], in_channels: int, stride: int
) -> tuple[Block, ...]:
    """What `layer` gives: that of a super-block which reads `in_channels` at `stride`.

    Raises StructureError where it fails in a user's file, and where it is another layer than the super-block names.
    """
    try:
        with user_files.told():
            return _checked(layer(), block, in_channels, stride)
    except user_files.UserFileError as error:
        raise StructureError(f"{block.text}: layer() fails: {error}") from error


def _checked(blocks: object, block: Block, in_channels: int, stride: int) -> tuple[Block, ...]:
    if not isinstance(blocks, tuple | list) or not blocks or not all(isinstance(one, Block) for one in blocks):
        shown = f"{blocks!r:.80}"
        raise StructureError(f"{block.text}: layer() must return a tuple of blocks, at least one, not {shown}")
    told = f"{block.text}: layer({in_channels}, {stride}, …)"
    try:
        validate_chain(tuple(blocks))
    except StructureError as error:
        raise StructureError(f"{told} gives blocks that do not fit: {error.reason}") from error
    reads, gives = chain_widths(blocks)
    if (reads, gives) != (in_channels, block.out_channels):
        raise StructureError(
            f"{told} must read {in_channels} channels and give {block.out_channels}, but reads {reads} and gives {gives}: "
            f"{''.join(map(str, blocks))}"
        )
    side = chain_output_size(blocks, _SIDE)
    # A window may be rounded either way.
    if stride <= _SIDE and abs(side - _SIDE / stride) >= 1:
        raise StructureError(
            f"{told} must make the map smaller by its stride, {stride}, but its blocks make {_SIDE} pixels to {side}: "
            f"{''.join(map(str, blocks))}"
        )
    return tuple(blocks)


@remembered(None)
def is_of_the_package(kind: type[Block]) -> bool:
    """Whether a class is one that this package brings, whose layers need not be looked at again and again."""
    return kind.__module__.startswith(f"{__package__}.") and not user_files.is_a_users(sys.modules.get(kind.__module__))
