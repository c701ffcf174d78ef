"""A network as a value: an immutable sequence of blocks that answers everything that needs no weights."""

from __future__ import annotations

from dataclasses import dataclass

from PlainNet.basic_blocks import Linear
from PlainNet.block import Block
from PlainNet.chain import chain_cost, chain_output_size, chain_widths
from PlainNet.composite_blocks import validate_chain, with_chain_in_channels
from PlainNet.costs import Cost
from PlainNet.lazy import lazy
from PlainNet.style import PLAIN, Style

SPLIT_THRESHOLD = 6


@dataclass(frozen=True)
class BlockReport:
    """One row of an analysis: a block, its cost and its output shape (channels, height, width)."""

    structure: str
    cost: Cost
    output_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Network:
    """Blocks one after the other. Raises StructureError when they do not fit together."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        validate_chain(self.blocks)

    @classmethod
    def trusted(cls, blocks: tuple[Block, ...]) -> Network:
        """A network of blocks that are known to fit, such as a mutation's: nothing is checked."""
        network = object.__new__(cls)
        network.__dict__["blocks"] = blocks
        return network

    @lazy
    def text(self) -> str:
        """The canonical structure string."""
        return "".join([block.text for block in self.blocks])

    def __str__(self) -> str:
        return self.text

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return chain_widths(self.blocks)[0]

    @lazy
    def out_channels(self) -> int:
        """Channels of the last map."""
        return chain_widths(self.blocks)[1]

    @lazy
    def layers(self) -> int:
        """Depth as budgets count it: the sum of `sub_layers`, stems and heads included."""
        return sum([block.depth for block in self.blocks])

    def with_in_channels(self, channels: int) -> Network:
        """The same network for images of so many channels. Raises StructureError where a block cannot read them."""
        return self if channels == self.in_channels else Network(with_chain_in_channels(self.blocks, channels))

    def output_size(self, resolution: int) -> int:
        """Height of the last map, before pooling, for an image of height `resolution`."""
        return chain_output_size(self.blocks, resolution)

    def classifier(self, num_classes: int) -> Linear:
        """The linear layer that follows global average pooling."""
        return Linear(self.out_channels, num_classes, 1)

    def cost(self, resolution: int, num_classes: int | None = None, style: Style = PLAIN) -> Cost:
        """What the network costs for one image; with the classifier unless `num_classes` is None."""
        total, _ = chain_cost(self.blocks, resolution, style)
        return total if num_classes is None else total.plus(self.classifier(num_classes).cost(1, style))

    def report(self, resolution: int, style: Style = PLAIN) -> list[BlockReport]:
        """Cost and output shape of every block in order, the classifier left out."""
        rows = []
        channels = self.in_channels
        for block in self.blocks:
            cost = block.cost(resolution, style)
            resolution = block.output_size(resolution)
            channels = channels if block.any_width else block.out_channels
            rows.append(BlockReport(block.text, cost, (channels, resolution, resolution)))
        return rows

    def split(self, threshold: int = SPLIT_THRESHOLD) -> Network:
        """The same network with every super-block of `threshold` sub-layers or more cut into two."""
        return Network.trusted(tuple([part for block in self.blocks for part in block.split(threshold)]))
