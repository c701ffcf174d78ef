"""Normalisations that could not be folded, computed by the depth-wise convolution beside them.

The dense half of a GhostConv is normalised, and read un-normalised by its depth-wise half. A convolution that gives these
channels twice lets one depth-wise convolution compute both halves: of the copies it takes the middle of its window alone,
times the scale, plus the shift. Two operators are saved, and the two halves lie in one map.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from gsnet.runtimes.channel_graph import Convolution, Kind, Layer, Norm, View, identity
from gsnet.runtimes.channel_groups import Readers, keep, renamed
from gsnet.runtimes.channel_maps import Widths
from gsnet.runtimes.channel_reading import pixels

# Numbers of a map: of larger ones the dense layer's sums, done twice, take longer than the calls that are saved.
_MOST = 2048


def pair_norms(layers: list[Layer], widths: Widths) -> None:
    """Move normalisations into depth-wise convolutions that read the same channels, which become channels of their own there.

    Done where both halves fit into `widths.multiple` channels, to which each would be widened, or where maps are small. Of a
    dense half of `widths.least` channels or more only where it is read as its copy is: else each becomes a layer of its own.
    """
    readers = Readers(layers)
    now = [identity(number, layer.channels) for number, layer in enumerate(layers)]
    for number, layer in enumerate(layers):
        layer.inputs = [renamed(view, now) for view in layer.inputs]
        if not isinstance(layer.content, Norm):
            continue
        moved = np.zeros(layer.channels, dtype=bool)
        (read,) = layer.inputs
        for source in np.unique(read[:, 0]).tolist():
            channels = np.flatnonzero(read[:, 0] == source)
            partner = _partner(layers, source, number)
            if partner is None or not _gains(layers[partner], len(channels), widths.multiple):
                continue
            if len(channels) >= widths.least and not _read_together(readers, source, partner, number, channels):
                continue
            now[number][channels] = _pair(layers, source, partner, layer.content, read[channels, 1], channels)
            moved[channels] = True
        stays = np.flatnonzero(~moved)
        now[number][stays] = identity(number, len(stays))
        keep(layer, layer.content, stays)


def _gains(partner: Layer, channels: int, multiple: int) -> bool:
    widened = -(-channels // multiple) * multiple
    return 2 * channels <= multiple or widened * pixels(partner.node) <= _MOST


def _read_together(readers: Readers, source: int, partner: int, norm: int, channels: np.ndarray) -> bool:
    """Whether those who read a dense layer's channels would read those alike that it gives again."""
    alone = set(readers.layers[source]) == {partner, norm}
    return alone and set(readers.ways[partner].tolist()) == set(readers.ways[norm][channels].tolist())


def _partner(layers: list[Layer], source: int, norm: int) -> int | None:
    """The depth-wise convolution before a normalisation that reads nothing but a dense layer, and keeps its map's size."""
    if layers[source].kind is not Kind.DENSE:
        return None
    for number in range(source + 1, norm):
        layer = layers[number]
        if layer.kind is not Kind.CHANNELWISE or not isinstance(layer.content, Convolution):
            continue
        if (layer.inputs[0][:, 0] == source).all() and _keeps_places(layer.content.module):
            return number
    return None


def _keeps_places(module: nn.Module) -> bool:
    """Whether a window's middle lies on the pixel that it is for."""
    if not isinstance(module, nn.Conv2d) or isinstance(module.padding, str):
        return False
    sizes = zip(module.kernel_size, module.stride, module.padding, module.dilation, strict=True)
    return all(size % 2 and stride == 1 and 2 * pad == step * (size - 1) for size, stride, pad, step in sizes)


def _pair(layers: list[Layer], source: int, partner: int, norm: Norm, rows: np.ndarray, channels: np.ndarray) -> View:
    """Give some channels of a dense layer a second time, normalise them in a depth-wise one, and say where they are then."""
    dense, thin = layers[source].content, layers[partner].content
    assert isinstance(dense, Convolution)
    assert isinstance(thin, Convolution)
    scale, shift = (vector[torch.from_numpy(channels)] for vector in norm.affine())
    again = identity(source, layers[source].channels + len(rows))[layers[source].channels :]
    dense.append(dense.weight[torch.from_numpy(rows)], dense.bias[torch.from_numpy(rows)])
    windows = thin.weight.new_zeros(len(rows), *thin.weight.shape[1:])
    windows[:, 0, windows.shape[2] // 2, windows.shape[3] // 2] = scale
    thin.append(windows, shift)
    layers[source].channels += len(rows)
    layers[partner].inputs = [np.concatenate([layers[partner].inputs[0], again])]
    found = np.arange(layers[partner].channels, layers[partner].channels + len(rows))
    layers[partner].channels += len(rows)
    return np.stack([np.full(len(rows), partner), found], axis=1)
