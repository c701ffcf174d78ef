"""Blocks one after the other: what they cost together, the widths between them, and where these disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from PlainNet.block import Block
from PlainNet.costs import Cost, Figures
from PlainNet.style import Style

if TYPE_CHECKING:
    from PlainNet.mean_field import Steps


def chain_cost(blocks: Iterable[Block], size: int, style: Style) -> tuple[Cost, int]:
    """Cost of blocks one after the other, and the height of the last output."""
    *cost, out = chain_figures(blocks, size, style)
    return Cost(*cost), out


def chain_figures(blocks: Iterable[Block], size: int, style: Style) -> Figures:
    """`chain_cost` in one plain tuple."""
    parameters = flops = memory_access = peak = 0
    for block in blocks:
        p, f, m, largest, size = block.figures(size, style)
        parameters += p
        flops += f
        memory_access += m
        if largest > peak:
            peak = largest
    return parameters, flops, memory_access, peak, size


def chain_mean_field(blocks: Iterable[Block], style: Style) -> Steps:
    """Mean-field steps of blocks one after the other."""
    return b"".join([block.mean_field(style) for block in blocks])


def chain_output_size(blocks: Iterable[Block], size: int) -> int:
    """Height of the last block's output."""
    for block in blocks:
        size = block.output_size(size)
    return size


def chain_widths(blocks: Sequence[Block]) -> tuple[int, int]:
    """Channels that enter and leave blocks one after the other; activations pass on what they get."""
    for first in blocks:
        if not first.any_width:
            break
    else:
        return blocks[0].in_channels, blocks[0].in_channels
    for last in reversed(blocks):
        if not last.any_width:
            break
    return first.in_channels, last.out_channels


def first_mismatch(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """Indices of the first two successive blocks whose widths disagree, or None."""
    before = None
    for index, block in enumerate(blocks):
        if block.any_width:
            continue
        if before is not None and not block.accepts(blocks[before].out_channels):
            return before, index
        before = index
    return None


def mismatch_reason(before: Block, after: Block) -> str:
    """The sentence that names both blocks of a width mismatch."""
    return f"{after} expects {after.in_channels} channels, but {before} before it gives {before.out_channels}"
