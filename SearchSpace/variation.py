"""What the fitting rule of evolution does to the blocks of a network: put in others, cut deep ones, join two networks."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PlainNet import Block
from PlainNet.network import SPLIT_THRESHOLD


def put(blocks: list[Block], index: int, block: Block) -> None:
    """Put a block in the place of another: it reads what the one before it gives, the next one reads what it gives.

    Raises StructureError if a block cannot take its new width.
    """
    if index and blocks[index - 1].out_channels != block.in_channels:
        block = block.with_in_channels(blocks[index - 1].out_channels)
    blocks[index] = block
    if index + 1 < len(blocks) and blocks[index + 1].in_channels != block.out_channels:
        blocks[index + 1] = blocks[index + 1].with_in_channels(block.out_channels)


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
