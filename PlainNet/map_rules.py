"""Which maps and operators a block becomes where it is deployed, as `gsnet export --format onnx` writes it.

A layer of a user's own says so by `lay.register`; super-blocks follow from their layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from types import MappingProxyType

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

# As `Style` names them.
_ACTIVATIONS: MappingProxyType[type[Block], str] = MappingProxyType({RELU: "relu", HS: "hard_swish"})


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


def _pointwise(graph: MapGraph, read: Map, what: str) -> Map:
    return graph.add(OTHER, (read,), read.channels, read.size, what=what)


def _copy(graph: MapGraph, read: Map, what: str) -> Map:
    return graph.add(COPY, (read,), read.channels, read.size, what=what)


def _norm(graph: MapGraph, read: Map) -> Map:
    return graph.add(NORM, (read,), read.channels, read.size, vectors=NORM_VECTORS * read.channels)


def _joined(graph: MapGraph, parts: list[Map]) -> Map:
    return graph.add(OTHER, parts, sum(part.channels for part in parts), parts[0].size, what="join")


def _average_pool(graph: MapGraph, read: Map, size: int) -> Map:
    """To maps of a size, as torch's exporter takes it apart where that does not divide the maps' own.

    The windows of all outputs are then gathered, each of which is as long as the longest one. Where that is longer than
    others, what is too much becomes zeros, and the places of a window are added one by one (`adaptive_avg_pool2d` of
    torch/_decomp/decompositions.py, 2.9 and later).
    """
    rest, what = read.size % size, f"average to {size}"
    if not rest:
        return graph.add(OTHER, (read,), read.channels, size, what=what)
    uneven = size % rest != 0
    window = read.size // size + (2 if uneven else 1)
    turned = _copy(graph, read, "channels last")
    gathered = graph.add(OTHER, (turned,), read.channels, size * window, what=f"windows of {what}")
    windows = _copy(graph, gathered, "channels first")
    if not uneven:
        return graph.add(OTHER, (windows,), read.channels, size, what="average of windows")
    for side in ("width", "height"):
        windows = _pointwise(graph, windows, f"zeros beyond windows' {side}")
    total = None
    for row in range(window):
        line = graph.add(OTHER, (windows,), read.channels * window, size, what=f"row {row}")
        for column in range(window):
            place = graph.add(OTHER, (line,), read.channels, size, what=f"column {column}")
            total = place if total is None else graph.add(OTHER, (total, place), read.channels, size, what="sum")
    assert total is not None
    # By how many places each window has, which the file holds as a matrix.
    return graph.add(OTHER, (total,), read.channels, size, weights=size * size, what=f"share of {what}")


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
    if both.channels == block.out_channels:
        return both
    return graph.add(OTHER, (both,), block.out_channels, size, what=f"the first {block.out_channels}")


@lay.register
def _(block: BN, graph: MapGraph, read: Map, style: Style) -> Map:
    return _norm(graph, read)


@lay.register(RELU)
@lay.register(HS)
def _(block: Block, graph: MapGraph, read: Map, style: Style) -> Map:
    return _pointwise(graph, read, _ACTIVATIONS[type(block)])


@lay.register
def _(block: Swish, graph: MapGraph, read: Map, style: Style) -> Map:
    # ONNX has no swish before opset 24: a sigmoid, and a product that reads the map again.
    return graph.add(OTHER, (read, _pointwise(graph, read, "sigmoid")), read.channels, read.size, what="product")


@lay.register
def _(block: SE, graph: MapGraph, read: Map, style: Style) -> Map:
    gate = _average_pool(graph, read, 1)
    for channels, activation in ((block.squeezed_channels, style.se_activation), (read.channels, "sigmoid")):
        gate = _convolution(graph, gate, channels, 1, 1)
        gate = gate if style.no_BN else _norm(graph, gate)
        gate = _pointwise(graph, gate, activation)
    return graph.add(OTHER, (read, gate), read.channels, read.size, what="product")


@lay.register
def _(block: MaxPool, graph: MapGraph, read: Map, style: Style) -> Map:
    size = block.output_size(read.size)
    return graph.add(OTHER, (read,), read.channels, size, what=f"most of {block.kernel_size} by {block.stride}")


@lay.register
def _(block: AdaptiveAvgPool, graph: MapGraph, read: Map, style: Style) -> Map:
    return _average_pool(graph, read, block.output_height)


@lay.register
def _(block: Flatten, graph: MapGraph, read: Map, style: Style) -> Map:
    return graph.add(COPY, (read,), read.elements, 1, what="flatten")


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
    return graph.add(OTHER, (body, shortcut), body.channels, body.size, what="sum")


@lay.register
def _(block: GhostShuffleBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    left, right = graph.split(read, [block.body_channels] * 2) if block.stride == 1 else (read, read)
    projected = lay_chain(block.projection(style), graph, left, style)
    projected = _pointwise(graph, projected, style.projection_activation)
    joined = _joined(graph, [projected, lay_chain(block.body, graph, right, style)])
    if not block.shuffles(style):
        return joined
    # Channels become rows of two, rows become columns, and channels again.
    for what in ("in rows", "turned", "in channels"):
        joined = _copy(graph, joined, what)
    return joined


@lay.register
def _(block: MultiSumBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    # Written as a sum over an axis on which the branches are stacked.
    branches = [lay(branch, graph, read, style) for branch in block.branches]
    stacked = _joined(graph, [_copy(graph, branch, "one of a stack") for branch in branches])
    return graph.add(OTHER, (stacked,), branches[0].channels, branches[0].size, what="sum of a stack")


@lay.register
def _(block: MultiCatBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    return _joined(graph, [lay(branch, graph, read, style) for branch in block.branches])


@lay.register
def _(block: SuperBlock, graph: MapGraph, read: Map, style: Style) -> Map:
    return lay_chain(block.expand(style), graph, read, style)


def lay_head(graph: MapGraph, last: Map, classes: int) -> None:
    """Add global average pooling, its flattening and the classifier."""
    pooled = _average_pool(graph, last, 1)
    vector = graph.add(COPY, (pooled,), last.channels, 1)
    graph.add(OTHER, (vector,), classes, 1, last.channels * classes, classes)
