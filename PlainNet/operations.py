"""A network as the sequence of tensor operations that its module runs, each with the sizes that operation counters look at.

`Cost` holds what budgets need; this holds what other programs' counters add: elements that normalisation, activations, pooling
and gates touch, and biases. Counted on the value: nothing is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatch

from PlainNet.basic_blocks import BN, HS, RELU, SE, AdaptiveAvgPool, Flatten, Linear, MaxPool, Swish
from PlainNet.block import Block
from PlainNet.branch_blocks import BranchBlock
from PlainNet.composite_blocks import ResBlock, Sequential
from PlainNet.convolutions import ConvDW, ConvKX, GhostConv
from PlainNet.errors import StructureError
from PlainNet.ghost_shuffle_block import GhostShuffleBlock
from PlainNet.network import Network
from PlainNet.style import PLAIN, Style
from PlainNet.super_blocks import SuperBlock


@dataclass(frozen=True)
class Operation:
    """One operation on one image.

    kind: "convolution", "linear", "norm", "relu", "hard_swish", "swish", "sigmoid", "average_pool", "max_pool", "global_pool"
    (a function, where the other pools are modules) or "gate" (a map times one number a channel). inputs, outputs: elements
    that are read and written. macs: multiply-accumulates. weights: parameters without biases. bias: whether outputs have one.
    """

    kind: str
    inputs: int
    outputs: int
    macs: int = 0
    weights: int = 0
    bias: bool = False


def operations(network: Network, resolution: int, num_classes: int, style: Style = PLAIN) -> Iterator[Operation]:
    """The operations of the classifier that `Masternet.MasterNet` builds, for an image of `resolution` pixels, in order.

    Raises StructureError for a block of a user's own that is no super-block and has no rule here (`of_block.register`).
    """
    yield from _chain(network.blocks, network.in_channels, resolution, style)
    channels, size = network.out_channels, network.output_size(resolution)
    yield Operation("global_pool", channels * size * size, channels)
    yield from of_block(network.classifier(num_classes), channels, 1, style)


@singledispatch
def of_block(block: Block, channels: int, size: int, style: Style) -> Iterator[Operation]:
    """The operations of a block on a map of `channels` channels and height `size`."""
    del channels, size, style
    raise StructureError(f"{block}: no list of operations is known for {type(block).__name__}")


def _chain(blocks: Iterable[Block], channels: int, size: int, style: Style) -> Iterator[Operation]:
    for block in blocks:
        yield from of_block(block, channels, size, style)
        channels = channels if block.any_width else block.out_channels
        size = block.output_size(size)


def _pointwise(kind: str, elements: int) -> Operation:
    return Operation(kind, elements, elements)


def _norm(channels: int, size: int) -> Operation:
    elements = channels * size * size
    return Operation("norm", elements, elements, weights=channels)


def _convolution(
    read: tuple[int, int], written: tuple[int, int], kernel_size: int, groups: int = 1, bias: bool = False
) -> Operation:
    """From and to a map of (channels, height)."""
    (channels, size), (out_channels, out_size) = read, written
    weights = channels // groups * out_channels * kernel_size**2
    outputs = out_channels * out_size**2
    return Operation("convolution", channels * size**2, outputs, weights * out_size**2, weights, bias)


@of_block.register
def _(block: ConvKX, channels: int, size: int, style: Style) -> Iterator[Operation]:
    written = block.out_channels, block.output_size(size)
    yield _convolution((channels, size), written, block.kernel_size, block.groups)


@of_block.register
def _(block: ConvDW, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield _convolution((channels, size), (channels, block.output_size(size)), block.kernel_size, channels)


@of_block.register
def _(block: GhostConv, channels: int, size: int, style: Style) -> Iterator[Operation]:
    half = block.primary_channels, block.output_size(size)
    yield _convolution((channels, size), half, block.kernel_size)
    yield _convolution(half, half, block.cheap_kernel_size, block.primary_channels)


@of_block.register
def _(block: BN, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield _norm(channels, size)


@of_block.register
def _(block: RELU, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield _pointwise("relu", channels * size**2)


@of_block.register
def _(block: HS, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield _pointwise("hard_swish", channels * size**2)


@of_block.register
def _(block: Swish, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield _pointwise("swish", channels * size**2)


@of_block.register
def _(block: SE, channels: int, size: int, style: Style) -> Iterator[Operation]:
    whole, squeezed = (channels, 1), (block.squeezed_channels, 1)
    yield Operation("average_pool", channels * size**2, channels)
    yield _convolution(whole, squeezed, 1)
    if not style.no_BN:
        yield _norm(*squeezed)
    yield _pointwise(style.se_activation, block.squeezed_channels)
    yield _convolution(squeezed, whole, 1)
    if not style.no_BN:
        yield _norm(*whole)
    yield _pointwise("sigmoid", channels)
    yield _pointwise("gate", channels * size**2)


@of_block.register
def _(block: MaxPool, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield Operation("max_pool", channels * size**2, channels * block.output_size(size) ** 2)


@of_block.register
def _(block: AdaptiveAvgPool, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield Operation("average_pool", channels * size**2, channels * block.output_height**2)


@of_block.register
def _(block: Flatten, channels: int, size: int, style: Style) -> Iterator[Operation]:
    return iter(())


@of_block.register
def _(block: Linear, channels: int, size: int, style: Style) -> Iterator[Operation]:
    weights = block.in_channels * block.out_channels
    yield Operation("linear", block.in_channels, block.out_channels, weights, weights, bool(block.bias))


@of_block.register
def _(block: Sequential, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield from _chain(block.body, channels, size, style)


@of_block.register
def _(block: ResBlock, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield from _chain(block.body, channels, size, style)
    if not block.has_projection:
        return
    written = block.out_channels, block.output_size(size)
    yield _convolution((channels, size), written, 1, bias=True)
    if not style.no_BN:
        yield _norm(*written)


@of_block.register
def _(block: GhostShuffleBlock, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield from _chain(block.projection(style), block.body_channels, size, style)
    closed = block.out_channels // 2 * block.output_size(size) ** 2
    yield _pointwise(style.projection_activation, closed)
    yield from _chain(block.body, block.body_channels, size, style)


@of_block.register
def _(block: BranchBlock, channels: int, size: int, style: Style) -> Iterator[Operation]:
    for branch in block.branches:
        yield from of_block(branch, channels, size, style)


@of_block.register
def _(block: SuperBlock, channels: int, size: int, style: Style) -> Iterator[Operation]:
    yield from _chain(block.expand(style), channels, size, style)
