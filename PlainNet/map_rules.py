"""Which maps and operators a block becomes where it is deployed, as `gsnet export --format onnx` writes it.

A layer of a user's own says so by `lay.register`; super-blocks follow from their layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from PlainNet.basic_blocks import BN, HS, RELU, SE, AdaptiveAvgPool, Flatten, Linear, MaxPool, Swish
from PlainNet.block import Block
from PlainNet.branch_blocks import MultiCatBlock, MultiSumBlock
from PlainNet.composite_blocks import ResBlock, Sequential
from PlainNet.convolutions import ConvDW, ConvKX, GhostConv
from PlainNet.errors import StructureError
from PlainNet.ghost_shuffle_block import GhostShuffleBlock
from PlainNet.map_graph import CONVOLUTION, COPY, NORM, NORM_VECTORS, OTHER, Map, MapGraph
from PlainNet.style import Style
from PlainNet.super_blocks import SuperBlock


@singledispatch
def lay(block: Block, graph: MapGraph, read: Map, style: Style) -> Map:
    """Add the operators of a block that reads a map to the graph; returns the map that the block gives."""
    del graph, read, style
    raise StructureError(
        f"{block}: what {type(block).__name__} needs in memory is not known; a block of your own says so by "
        "PlainNet.map_rules.lay.register"
    )


def lay_chain(blocks: Iterable[Block], graph: MapGraph, read: Map, style: Style) -> Map:
    """The same of blocks one after the other."""
    for block in blocks:
        read = lay(block, graph, read, style)
    return read


def _pointwise(graph: MapGraph, read: Map) -> Map:
    return graph.add(OTHER, (read,), read.channels, read.size)


def _copy(graph: MapGraph, read: Map) -> Map:
    return graph.add(COPY, (read,), read.channels, read.size)


def _norm(graph: MapGraph, read: Map) -> Map:
    return graph.add(NORM, (read,), read.channels, read.size, vectors=NORM_VECTORS * read.channels)


def _joined(graph: MapGraph, parts: list[Map]) -> Map:
    return graph.add(OTHER, parts, sum(part.channels for part in parts), parts[0].size)


def _convolution(
    graph: MapGraph, read: Map, channels: int, kernel_size: int, size: int, groups: int = 1, bias: bool = False
) -> Map:
    weights = read.channels // groups * channels * kernel_size**2
    return graph.add(CONVOLUTION, (read,), channels, size, weights, channels if bias else 0)


@lay.register
def _(block: ConvKX, graph: MapGraph, read: Map, style: Style) -> Map:
    return _convolution(graph, read, block.out_channels, block.kernel_size, block.output_size(read.size), block.groups)


@lay.register
def _(block: ConvDW, graph: MapGraph, read: Map, style: Style) -> Map:
    return _convolution(graph, read, read.channels, block.kernel_size, block.output_size(read.size), read.channels)


@lay.register
def _(block: GhostConv, graph: MapGraph, read: Map, style: Style) -> Map:
    half, size = block.primary_channels, block.output_size(read.size)
    primary = _convolution(graph, read, half, block.kernel_size, size)
    both = _joined(graph, [primary, _convolution(graph, primary, half, block.cheap_kernel_size, size, half)])
    return both if both.channels == block.out_channels else graph.add(OTHER, (both,), block.out_channels, size)


@lay.register
def _(block: BN, graph: MapGraph, read: Map, style: Style) -> Map:
    return _norm(graph, read)


@lay.register(RELU)
@lay.register(HS)
def _(block: Block, graph: MapGraph, read: Map, style: Style) -> Map:
    return _pointwise(graph, read)


@lay.register
def _(block: Swish, graph: MapGraph, read: Map, style: Style) -> Map:
    # ONNX has no swish before opset 24: a sigmoid, and a product that reads the map again.
    return graph.add(OTHER, (read, _pointwise(graph, read)), read.channels, read.size)


@lay.register
def _(block: SE, graph: MapGraph, read: Map, style: Style) -> Map:
    gate = graph.add(OTHER, (read,), read.channels, 1)
    for channels in (block.squeezed_channels, read.channels):
        gate = _convolution(graph, gate, channels, 1, 1)
        gate = gate if style.no_BN else _norm(graph, gate)
        gate = _pointwise(graph, gate)
    return graph.add(OTHER, (read, gate), read.channels, read.size)


@lay.register(MaxPool)
@lay.register(AdaptiveAvgPool)
def _(block: Block, graph: MapGraph, read: Map, style: Style) -> Map:
    return graph.add(OTHER, (read,), read.channels, block.output_size(read.size))


@lay.register
def _(block: Flatten, graph: MapGraph, read: Map, style: Style) -> Map:
    return graph.add(COPY, (read,), read.elements, 1)


@lay.register
def _(block: Linear, graph: MapGraph, read: Map, style: Style) -> Map:
    weights, bias = block.in_channels * block.out_channels, block.out_channels if block.bias else 0
    return graph.add(OTHER, (read,), block.out_channels, 1, weights, bias)


@lay.register
def _(block: Sequential, graph: MapGraph, read: Map, style: Style) -> Map:
    return lay_chain(block.body, graph, read, style)


@lay.register
def _(block: ResBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    body, shortcut = lay_chain(block.body, graph, read, style), read
    if block.has_projection:
        shortcut = _convolution(graph, read, body.channels, 1, body.size, bias=True)
        shortcut = shortcut if style.no_BN else _norm(graph, shortcut)
    return graph.add(OTHER, (body, shortcut), body.channels, body.size)


@lay.register
def _(block: GhostShuffleBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    left, right = graph.split(read, [block.body_channels] * 2) if block.stride == 1 else (read, read)
    projected = _pointwise(graph, lay_chain(block.projection(style), graph, left, style))
    joined = _joined(graph, [projected, lay_chain(block.body, graph, right, style)])
    if not block.shuffles(style):
        return joined
    # Channels become rows of two, rows become columns, and channels again.
    return _copy(graph, _copy(graph, _copy(graph, joined)))


@lay.register
def _(block: MultiSumBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    # Written as a sum over an axis on which the branches are stacked.
    branches = [lay(branch, graph, read, style) for branch in block.branches]
    stacked = _joined(graph, [_copy(graph, branch) for branch in branches])
    return graph.add(OTHER, (stacked,), branches[0].channels, branches[0].size)


@lay.register
def _(block: MultiCatBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    return _joined(graph, [lay(branch, graph, read, style) for branch in block.branches])


@lay.register
def _(block: SuperBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    return lay_chain(block.expand(style), graph, read, style)


def lay_head(graph: MapGraph, last: Map, classes: int) -> None:
    """Add global average pooling, its flattening and the classifier."""
    pooled = graph.add(OTHER, (last,), last.channels, 1)
    vector = graph.add(COPY, (pooled,), last.channels, 1)
    graph.add(OTHER, (vector,), classes, 1, last.channels * classes, classes)
