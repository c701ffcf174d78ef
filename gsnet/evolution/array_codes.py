"""Networks as numbers, and what compiled code reads of a search space: its types, and what a width or depth may become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gsnet.evolution.array_layout import (
    ARGUMENTS,
    BLOCK_WIDTH,
    BOTTLENECK,
    BOTTLENECKS,
    DEPTHS,
    FAMILIES,
    HAS_BOTTLENECK,
    HEIGHT,
    IS_FIXED,
    IS_SPLIT,
    IS_STEM,
    LARGEST_VALUE,
    MOST_OPTIONS,
    SCALED_BOTTLENECKS,
    SCALED_WIDTHS,
    TRAITS,
    UNCOUNTED,
    WIDTHS,
    Space,
)
from gsnet.evolution.packed_text import LONGEST_NAME
from PlainNet import Block, Network, SuperBlock
from PlainNet.block import interned
from PlainNet.super_blocks import SuperConvK1BNRELU, SuperConvKXBNRELU
from SearchSpace.neighbourhood import TypedNeighbours
from SearchSpace.search_choice import LARGEST_BOTTLENECK, LARGEST_WIDTH, SMALLEST_WIDTH, scaled

BlockTypes = Sequence[type[SuperBlock]]
_PLAIN = ("in_channels", "out_channels", "stride", "sub_layers")
_WITH_BOTTLENECK = ("in_channels", "out_channels", "stride", "bottleneck_channels", "sub_layers")


def is_plain(block_type: type[Block]) -> bool:
    """Whether blocks of a type are five numbers and do with them what those of this package do: own code is Python's alone."""
    return (
        issubclass(block_type, SuperBlock)
        and block_type.__module__.startswith("PlainNet.")
        and block_type.argument_names() in (_PLAIN, _WITH_BOTTLENECK)
        and len(block_type.__name__) <= LONGEST_NAME
    )


class Codes:
    """Which number a type of blocks has: its place in `types`."""

    def __init__(self, types: BlockTypes) -> None:
        self.types = tuple(dict.fromkeys(types))
        self._numbers = {block_type: number for number, block_type in enumerate(self.types)}
        self.have_bottleneck = [block_type.argument_names() == _WITH_BOTTLENECK for block_type in self.types]

    def numbers_of(self, types: BlockTypes) -> np.ndarray:
        """The numbers of some types."""
        return np.array([self._numbers[block_type] for block_type in types], dtype=np.int64)

    def encoded(self, network: Network) -> np.ndarray:
        """A network's rows, not counted: (blocks, 12)."""
        rows = np.zeros((len(network.blocks), BLOCK_WIDTH), dtype=np.int64)
        rows[:, HEIGHT] = UNCOUNTED
        for row, block in zip(rows, network.blocks, strict=True):
            number, arguments = self._numbers[type(block)], block.arguments  # type: ignore[index]
            if not self.have_bottleneck[number]:
                arguments = (*arguments[:3], 0, arguments[3])
            row[:ARGUMENTS] = (number, *arguments)
        return rows

    def decoded(self, rows: np.ndarray) -> Network:
        """The network of some rows."""
        blocks = []
        for number, *arguments in rows[:, :ARGUMENTS].tolist():
            if not self.have_bottleneck[number]:
                del arguments[BOTTLENECK - 1]
            blocks.append(interned(self.types[number], *arguments))
        return Network.trusted(tuple(blocks))


class SpaceTables:
    """The tables of a search space. Options are written into them when they are asked for.

    smallest: of the widths that are drawn by ratios; what `neighbours` draw they say themselves.
    """

    def __init__(self, codes: Codes, neighbours: TypedNeighbours, smallest: int = SMALLEST_WIDTH) -> None:
        self._listings: dict[int, Callable[[int], Sequence[int]]] = {
            int(WIDTHS): neighbours.widths,
            int(BOTTLENECKS): neighbours.bottlenecks,
            int(DEPTHS): neighbours.depths,
            int(SCALED_WIDTHS): partial(scaled, largest=LARGEST_WIDTH, smallest=smallest),
            int(SCALED_BOTTLENECKS): partial(scaled, largest=LARGEST_BOTTLENECK, smallest=smallest),
        }
        self._used = 0
        self.arrays = Space(
            traits=np.array([_traits(block_type, neighbours) for block_type in codes.types], dtype=np.int64),
            types=codes.numbers_of(neighbours.block_types),
            places=np.full((FAMILIES, LARGEST_VALUE), -1, dtype=np.int32),
            options=np.zeros((64, 1 + MOST_OPTIONS), dtype=np.int64),
        )

    def add(self, family: int, value: int) -> None:
        """Write the options of a value of a family."""
        found, options = list(self._listings[family](value)), self.arrays.options
        rows, width = options.shape
        if self._used == rows or len(found) >= width:
            grown = np.zeros((2 * rows, max(width, 1 + len(found))), dtype=np.int64)
            grown[:rows, :width] = options
            self.arrays = self.arrays._replace(options=grown)
        self.arrays.options[self._used, : 1 + len(found)] = len(found), *found
        self.arrays.places[family, value] = self._used
        self._used += 1


def _traits(block_type: type[SuperBlock], neighbours: TypedNeighbours) -> list[bool]:
    traits = [False] * TRAITS
    traits[IS_STEM] = issubclass(block_type, SuperConvKXBNRELU)
    traits[IS_FIXED] = issubclass(block_type, SuperConvK1BNRELU) and not neighbours.mutate_head
    traits[HAS_BOTTLENECK] = block_type.argument_names() == _WITH_BOTTLENECK
    traits[IS_SPLIT] = block_type.split is SuperBlock.split
    return traits
