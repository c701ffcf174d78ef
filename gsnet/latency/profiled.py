"""Seconds of a network's convolutions from the times that a runtime gives its own operations.

A runtime folds, pads and reorders layers and names them as it likes, so that an operation is known by its shape alone.
Its times come from another session than the network's own, and profiling slows that one down: what is taken from them is
which part of a pass each operation takes, each in its quickest pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gsnet.latency.inferred_layers import blocked_width
from gsnet.latency.layer import WRITTEN_ANEW, Layer
from gsnet.runtimes import ConvolutionShape, Operation


class Share(NamedTuple):
    """Which part of a pass a convolution takes."""

    layer: Layer
    part: float


def convolution_shares(layers: Sequence[Layer], operations: Sequence[Operation]) -> list[Share]:
    """Each convolution that is an operation of its own, in no order, with its part of the seconds of all operations.

    Layers of one shape stand for operations of that shape, or of that shape in whole blocks of channels. A shape that the
    network has more or less often than the runtime's graph, or that a unit written anew has, is left out: which operations
    are which of its layers is not known.
    """
    seconds = [one.seconds if one.least_seconds is None else one.least_seconds for one in operations]
    total = sum(seconds)
    if not total:
        return []
    convolutions = [layer for layer in layers if layer.is_convolution]
    parts = [
        (one.convolution, least / total) for one, least in zip(operations, seconds, strict=True) if one.convolution
    ]
    found: list[Share] = []
    for as_seen in (lambda shape: shape, _in_blocks):
        matched = list(_matched(convolutions, parts, as_seen))
        known = {as_seen(_shape(share.layer)) for share in matched}
        convolutions = [layer for layer in convolutions if as_seen(_shape(layer)) not in known]
        parts = [(shape, part) for shape, part in parts if as_seen(shape) not in known]
        found += matched
    return found


def _matched(
    layers: Sequence[Layer],
    parts: Sequence[tuple[ConvolutionShape, float]],
    as_seen: Callable[[ConvolutionShape], ConvolutionShape],
) -> Iterable[Share]:
    """Layers of shapes of which there are as many layers as operations, none of them written anew."""
    taken: dict[ConvolutionShape, list[float]] = defaultdict(list)
    for shape, part in parts:
        taken[as_seen(shape)].append(part)
    asked: dict[ConvolutionShape, list[Layer]] = defaultdict(list)
    for layer in layers:
        asked[as_seen(_shape(layer))].append(layer)
    for shape, alike in asked.items():
        if len(alike) == len(taken[shape]) and all(layer.fused != WRITTEN_ANEW for layer in alike):
            # Which of them took which time is not known; their mean is as good for all.
            mean = sum(taken[shape]) / len(alike)
            yield from (Share(layer, mean) for layer in alike)


def _shape(layer: Layer) -> ConvolutionShape:
    return ConvolutionShape(
        layer.in_channels, layer.height, layer.out_channels, layer.out_height, layer.kernel_size, layer.groups
    )


def _in_blocks(shape: ConvolutionShape) -> ConvolutionShape:
    """As the runtime may have it: wide as whole blocks of channels, depth-wise ones with a group a channel."""
    read, written = blocked_width(shape.in_channels), blocked_width(shape.out_channels)
    groups = read if shape.groups == shape.in_channels > 1 else shape.groups
    return ConvolutionShape(read, shape.in_height, written, shape.out_height, shape.kernel_size, groups)
