"""Which layers of a structure feed the neck: worked out on the value, without a module. No torch needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from gsnet.interface.options import InputError
from PlainNet import Block, Network, Style, SuperBlock


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


def _is_tail(block: Block) -> bool:
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


def tap_points(network: Network, style: Style, strides: tuple[int, ...], rule: str) -> list[TapPoint]:
    """One place for each stride: the first layer at that stride by the rule "reference", the last by "stage_end".

    The coarsest map is always the last at its stride: units behind it would serve nothing. (The published detector has
    one unit there, so that both readings agree.) Raises InputError where the structure has no map of a stride.
    """
    ends = list(layer_ends(network, style))
    points = []
    for stride in strides:
        found = [end for end in ends if end.stride == stride]
        if not found:
            reached = ", ".join(str(s) for s in dict.fromkeys(end.stride for end in ends))
            raise InputError(
                f"The backbone has maps at strides {reached}, and none at {stride}: a detector needs a structure that "
                f"reaches {', '.join(str(s) for s in strides)}"
            )
        points.append(found[0] if rule == "reference" and stride != strides[-1] else found[-1])
    return points
