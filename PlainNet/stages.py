"""Where the maps of a network are: the ends of its layers and of its stages, worked out on the value. No torch needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from PlainNet.network import Network
from PlainNet.style import Style
from PlainNet.super_blocks import SuperBlock


class TapPoint(NamedTuple):
    """Place of a map: index of the block, index of the module inside it, its stride and its channels."""

    block: int
    layer: int
    stride: int
    channels: int


def without_tail(network: Network) -> Network:
    """The structure without the 1 x 1 convolutions of stride 1 at its end, which serve a classifier alone."""
    blocks = network.blocks
    while len(blocks) > 1 and _is_tail(blocks[-1]):
        blocks = blocks[:-1]
    return Network.trusted(blocks)


def _is_tail(block: object) -> bool:
    return isinstance(block, SuperBlock) and type(block).__name__ == "SuperConvK1BNRELU" and block.stride == 1


def layer_ends(network: Network, style: Style) -> Iterator[TapPoint]:
    """The end of every layer in order: of each sub-layer of a super-block, and of any other block as a whole."""
    stride, channels = 1, network.in_channels
    for index, block in enumerate(network.blocks):
        channels = channels if block.any_width else block.out_channels
        if not isinstance(block, SuperBlock):
            stride *= block.stride
            yield TapPoint(index, 0, stride, channels)
            continue
        first, later = block.distinct_layers(style)
        for repeat in range(block.sub_layers):
            layer = later if repeat else first
            stride *= math.prod(part.stride for part in layer)
            yield TapPoint(index, len(first) + repeat * len(later) - 1, stride, channels)


def stage_ends(network: Network, style: Style) -> list[TapPoint]:
    """The last map of every stride in order, made by whole blocks; the tail that serves a classifier is left out."""
    last_of_blocks = {end.block: end for end in layer_ends(without_tail(network), style)}
    return list({end.stride: end for end in last_of_blocks.values()}.values())


def layer_patterns(network: Network, style: Style) -> dict[str, str]:
    """A name for every layer in order, and the regular expression that its state-dict keys begin with.

    Layers are `layer_ends`: a sub-layer of a super-block, or another block as a whole.
    """
    patterns: dict[str, str] = {}
    before = -1, -1
    for end in layer_ends(network, style):
        start = before[1] + 1 if end.block == before[0] else 0
        inside = ""
        if isinstance(network.blocks[end.block], SuperBlock):
            inside = rf"module_list\.(?:{'|'.join(map(str, range(start, end.layer + 1)))})\."
        patterns[f"layer{len(patterns)}"] = rf"^module_list\.{end.block}\.{inside}"
        before = end.block, end.layer
    return patterns
