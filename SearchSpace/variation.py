"""What the fitting rule of evolution does to the blocks of a network: put in others, cut deep ones, join two networks."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PlainNet import Block
from PlainNet.network import SPLIT_THRESHOLD


def put(blocks: list[Block], index: int, block: Block) -> None:
    """Put a block in the place of another: it reads what the one before it gives, those behind it read what it gives.

    Raises StructureError if a block cannot take its new width.
    """
    blocks[index] = block
    read_what_comes(blocks, index)
    fit_behind(blocks, index)


def width_before(blocks: Sequence[Block], index: int) -> int | None:
    """Channels that come to a place; None where activations alone stand before it, or nothing."""
    while index:
        index -= 1
        if not blocks[index].any_width:
            return blocks[index].out_channels
    return None


def read_what_comes(blocks: list[Block], index: int) -> None:
    """Have a block read what comes to it, in place. Raises StructureError if it cannot."""
    block, channels = blocks[index], width_before(blocks, index)
    if channels is not None and channels != block.in_channels and not block.any_width:
        blocks[index] = block.with_in_channels(channels)


def fit_behind(blocks: list[Block], index: int) -> None:
    """Have those behind a block read what it gives, in place: normalisation and the like hand another width on.

    Raises StructureError if a block cannot take its new width.
    """
    changed = blocks[index]
    channels = width_before(blocks, index) if changed.any_width else changed.out_channels
    if channels is None:
        return
    for place in range(index + 1, len(blocks)):
        block = blocks[place]
        if block.any_width:
            continue
        if block.in_channels == channels:
            return
        block = blocks[place] = block.with_in_channels(channels)
        channels = block.out_channels


def split_deep(blocks: list[Block]) -> None:
    """Cut every block of six or more sub-layers into two, in place."""
    # From the back, so that splitting moves no index that is still to come.
    for index in range(len(blocks) - 1, -1, -1):
        if blocks[index].depth >= SPLIT_THRESHOLD:
            blocks[index : index + 1] = blocks[index].split(SPLIT_THRESHOLD)


def crossed(blocks: Sequence[Block], others: Sequence[Block], generator: random.Random) -> list[Block]:
    """The first blocks of one network and the last ones of another, cut where their maps have the same size.

    The blocks themselves where the other network has no such place. Raises StructureError if a block cannot take its new width.
    """
    if len(blocks) < 2:
        return list(blocks)
    cut = 1 + int(generator.random() * (len(blocks) - 1))
    reduction = 1
    for block in blocks[:cut]:
        reduction *= block.stride
    places = _places_behind(others, reduction)
    if not places:
        return list(blocks)
    child = [*blocks[:cut], *others[places[int(generator.random() * len(places))] :]]
    put(child, cut, child[cut])
    return child


def _places_behind(blocks: Sequence[Block], reduction: int) -> list[int]:
    """Places after the first of blocks whose input is that much smaller than the image."""
    places, reached = [], 1
    for place, block in enumerate(blocks):
        if place and reached == reduction:
            places.append(place)
        reached *= block.stride
    return places
