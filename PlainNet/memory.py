"""What a network needs in memory where it is deployed: the maps that live at once, and its weights. Counted on the value.

The graph is the one that `gsnet export --format onnx` writes, in its order: a batch normalisation behind a convolution is part
of it, everything else is an operator of its own, nothing is computed in place, and the image is a map like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from types import MappingProxyType
from typing import NamedTuple

from PlainNet.block import Block, made
from PlainNet.lazy import remembered
from PlainNet.map_graph import Map, MapGraph
from PlainNet.map_rules import lay_chain, lay_head
from PlainNet.network import Network
from PlainNet.style import PLAIN, Style
from PlainNet.super_blocks import SuperBlock, layer_of

# Bytes of an element of a map or a kernel, and of one of a vector: integer arithmetic adds biases of 32 bits.
_BYTES = MappingProxyType({"fp32": (4, 4), "fp16": (2, 2), "int8": (1, 4)})
PRECISIONS = tuple(_BYTES)
_LARGEST_CACHE = 20_000
_KIBIBYTE = 1024


class Memory(NamedTuple):
    """peak: elements of maps that live at once. weights, vectors: elements of kernels and matrices, and of biases and norms."""

    peak: int
    weights: int
    vectors: int

    def peak_bytes(self, precision: str = "fp32") -> int:
        """Bytes of the maps that live at once, each element as the precision stores it: one of `PRECISIONS`."""
        return self.peak * _BYTES[precision][0]

    def weight_bytes(self, precision: str = "fp32") -> int:
        """Bytes of all weights. With "int8" biases, and batch normalisations that stay, have 32 bits."""
        of_weight, of_vector = _BYTES[precision]
        return self.weights * of_weight + self.vectors * of_vector

    def in_words(self) -> dict[str, str]:
        """Both in kibibytes, by what they are, in every precision."""
        figures = {"maps that live at once": self.peak_bytes, "weights": self.weight_bytes}
        return {
            name: ", ".join(f"{of(one) / _KIBIBYTE:,.1f} KiB in {one}" for one in PRECISIONS)
            for name, of in figures.items()
        }


class _Part(NamedTuple):
    """What a block needs by itself, and whether it would be another with other blocks around it."""

    memory: Memory
    begins_with_norm: bool
    ends_with_convolution: bool
    channels: int
    size: int


class MemoryModel:
    """Memory of many networks for one image of `resolution` pixels, the classifier included: blocks are counted once each."""

    def __init__(self, resolution: int, num_classes: int, style: Style = PLAIN) -> None:
        self._resolution, self._classes, self._style = resolution, num_classes, style
        self._known: defaultdict[tuple[int, int], dict[str, _Part]] = defaultdict(dict)
        self._heads: dict[tuple[int, int], Memory] = {}

    def memory(self, network: Network) -> Memory:
        """What the network needs. Raises StructureError for a block of a user's own without a rule (`PlainNet.map_rules`)."""
        channels, size = network.in_channels, self._resolution
        peak = weights = vectors = 0
        follows_convolution = False
        for block in network.blocks:
            part = self._known[channels, size].get(block.key) or self._count(block, channels, size)
            if follows_convolution and part.begins_with_norm:
                return self._whole(network)
            follows_convolution = part.ends_with_convolution
            memory, channels, size = part.memory, part.channels, part.size
            peak = memory.peak if memory.peak > peak else peak
            weights += memory.weights
            vectors += memory.vectors
        head = self._heads.get((channels, size)) or self._head(channels, size)
        return Memory(max(peak, head.peak), weights + head.weights, vectors + head.vectors)

    def _count(self, block: Block, channels: int, size: int) -> _Part:
        known = self._known[channels, size]
        if len(known) > _LARGEST_CACHE:
            known.clear()
        part = known[block.key] = _part_of(block, channels, size, self._style)
        return part

    def _whole(self, network: Network) -> Memory:
        """Of all blocks in one graph."""
        graph, last = _laid(network.blocks, network.in_channels, self._resolution, self._style)
        lay_head(graph, last, self._classes)
        return _memory_of(graph)

    def _head(self, channels: int, size: int) -> Memory:
        """Of global average pooling, its flattening, and the classifier."""
        graph = MapGraph(channels, size)
        lay_head(graph, graph.image, self._classes)
        head = self._heads[channels, size] = _memory_of(graph)
        return head


def memory_of(network: Network, resolution: int, num_classes: int, style: Style = PLAIN) -> Memory:
    """What one network needs for one image, its classifier included. Raises StructureError as `MemoryModel.memory` does."""
    return MemoryModel(resolution, num_classes, style).memory(network)


def _part_of(block: Block, channels: int, size: int, style: Style) -> _Part:
    """Of a super-block its first layer and its second are laid out: all later ones need what the second does."""
    if not isinstance(block, SuperBlock):
        return _chain_part((block,), channels, size, style)
    first = _layer_part(type(block), block.arguments[:-1], True, channels, size, style)
    repeats = block.sub_layers - 1
    if not repeats:
        return first
    later = _layer_part(type(block), block.later_layer(), False, first.channels, first.size, style)
    if later.begins_with_norm and (first.ends_with_convolution or later.ends_with_convolution):
        # A layer is another where the one before it takes in its normalisation.
        return _chain_part(block.expand(style), channels, size, style)
    return _Part(
        Memory(
            max(first.memory.peak, later.memory.peak),
            first.memory.weights + repeats * later.memory.weights,
            first.memory.vectors + repeats * later.memory.vectors,
        ),
        first.begins_with_norm,
        *later[2:],
    )


@remembered(_LARGEST_CACHE)
def _layer_part(
    kind: type[SuperBlock], arguments: tuple[int, ...], first: bool, channels: int, size: int, style: Style
) -> _Part:
    """Of the one layer of a super-block with these arguments, taken as a first or as a later one."""
    block = made(kind, (*arguments, 1))
    return _chain_part(layer_of(block, block.in_channels, block.stride, first, style), channels, size, style)


def _chain_part(blocks: Iterable[Block], channels: int, size: int, style: Style) -> _Part:
    graph, last = _laid(blocks, channels, size, style)
    return _Part(
        _memory_of(graph), graph.begins_with_norm(), graph.ends_with_convolution(last), last.channels, last.size
    )


def _laid(blocks: Iterable[Block], channels: int, size: int, style: Style) -> tuple[MapGraph, Map]:
    graph = MapGraph(channels, size)
    return graph, lay_chain(blocks, graph, graph.image, style)


def _memory_of(graph: MapGraph) -> Memory:
    folded = graph.folded()
    operators = folded.operators
    return Memory(folded.peak(), sum(one.weights for one in operators), sum(one.vectors for one in operators))
