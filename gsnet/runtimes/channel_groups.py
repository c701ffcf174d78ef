"""What layers of channels can do without: normalisations behind convolutions, and channels that nobody reads.

Also who reads a channel, on every way that leads from it: channels of a convolution that are read alike stay together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch

from gsnet.runtimes.channel_graph import Convolution, Kind, Layer, Norm, View, identity

# Of channels that nobody reads.
UNREAD = 0


def fold_norms(layers: list[Layer]) -> None:
    """Move normalisations, channel by channel, into the convolutions that alone they read.

    What cannot be moved stays a normalisation of these channels only: where the un-normalised channel is read too, as the dense
    half of a GhostConv is by its depth-wise half. (Its scale could be undone there, its shift not: zero padding stays zero.)
    """
    readings = _readings(layers)
    now = [identity(number, layer.channels) for number, layer in enumerate(layers)]
    for number, layer in enumerate(layers):
        before = layer.inputs
        layer.inputs = [renamed(view, now) for view in before]
        if not isinstance(layer.content, Norm):
            continue
        (read,), (first,) = layer.inputs, before
        alone = np.array([readings[source][channel] == 1 for source, channel in first])
        foldable = np.array([isinstance(layers[source].content, Convolution) for source, _ in read]) & alone
        _fold(layers, layer.content, read, np.flatnonzero(foldable))
        now[number][foldable] = read[foldable]
        stays = np.flatnonzero(~foldable)
        now[number][stays] = identity(number, len(stays))
        keep(layer, layer.content, stays)


def _fold(layers: list[Layer], norm: Norm, read: View, channels: np.ndarray) -> None:
    scale, shift = norm.affine()
    for source in np.unique(read[channels, 0]).tolist():
        convolution, chosen = layers[source].content, channels[read[channels, 0] == source]
        assert isinstance(convolution, Convolution)
        rows = torch.from_numpy(chosen)
        convolution.scale(read[chosen, 1], scale[rows], shift[rows])


def renamed(view: View, now: list[View]) -> View:
    """A view by what each layer's channels are now."""
    found = view.copy()
    for layer in np.unique(view[:, 0]).tolist():
        mine = view[:, 0] == layer
        found[mine] = now[layer][view[mine, 1]]
    return found


def keep(layer: Layer, norm: Norm, channels: np.ndarray) -> None:
    """Leave a normalisation some of its channels."""
    vectors = {name: getattr(norm, name)[torch.from_numpy(channels)] for name in ("mean", "var", "weight", "bias")}
    layer.inputs = [layer.inputs[0][channels]]
    layer.channels = len(channels)
    layer.content = replace(norm, **vectors)


def _readings(layers: list[Layer]) -> list[np.ndarray]:
    """How often each channel is read."""
    counts = [np.zeros(layer.channels, dtype=int) for layer in layers]
    for layer in layers:
        for view in layer.inputs:
            for source, channel in view:
                counts[source][channel] += 1
    return counts


class Readers:
    """Of each channel of each layer who reads it, as a number that is the same for channels that are read alike.

    ways: these numbers by layer. in_order: whether somebody reads the channel in the order of the network. layers: who reads
    something of each layer.
    """

    def __init__(self, layers: list[Layer]) -> None:
        known: dict[frozenset[tuple[int, int, int]], int] = {frozenset(): UNREAD}
        keys: defaultdict[tuple[int, int], set[tuple[int, int, int]]] = defaultdict(set)
        self.in_order = [np.zeros(layer.channels, dtype=bool) for layer in layers]
        self.layers: list[list[int]] = [[] for _ in layers]
        for number, layer in enumerate(layers):
            for source in {source for view in layer.inputs for source in view[:, 0].tolist()}:
                self.layers[source].append(number)
        self.ways: list[np.ndarray] = [np.zeros(0, dtype=int)] * len(layers)
        for number in reversed(range(len(layers))):
            layer = layers[number]
            found = [frozenset(keys[number, channel]) for channel in range(layer.channels)]
            self.ways[number] = np.array([known.setdefault(key, len(known)) for key in found], dtype=int)
            for slot, view in enumerate(layer.inputs):
                for channel, (source, place) in enumerate(view):
                    way = self._way(number, layer, channel)
                    if way is not None:
                        keys[source, place].add((number, slot, way))
                        through = layer.kind not in (Kind.DENSE, Kind.ORDERED)
                        self.in_order[source][place] |= (
                            self.in_order[number][channel] if through else layer.kind is Kind.ORDERED
                        )

    def _way(self, number: int, layer: Layer, channel: int) -> int | None:
        """How a layer goes on with a channel of its input; None where nobody reads what comes of it."""
        if layer.kind is Kind.ORDERED:
            return 0
        if layer.kind is Kind.DENSE:
            return 0 if self.ways[number].any() else None
        return int(self.ways[number][channel]) or None

    def read(self, number: int) -> np.ndarray:
        """The channels of a layer that somebody reads: of the others nothing is computed."""
        return np.flatnonzero(self.ways[number] != UNREAD)

    def groups(self, number: int) -> list[np.ndarray]:
        """The channels of a layer that are read alike, those that nobody reads left out."""
        ways = self.ways[number]
        return [np.flatnonzero(ways == way) for way in dict.fromkeys(ways.tolist()) if way != UNREAD]
