"""Seconds of the layers of a runtime that were inferred from whole networks, and of all other layers of such kinds.

A layer takes its roofline times 1 + g. g is the mean of a Gaussian process, and so a sum over the layers of the networks, of
how much each is like this one times what the networks' times say of it (Rasmussen and Williams 2006, equation 2.25): a
layer that no network has is worked out just as those that some have. `gsnet.latency.inference` fits it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gsnet.latency.interpolation import CHANNEL_BLOCK, in_blocks, roofline_terms
from gsnet.latency.layer import DEPTHWISE, WRITTEN_ANEW, Layer

# Over how much of the logarithm of a width layers stay alike, and how many times as much a map's height counts: of the
# variants that were compared the one with the least error where networks of six tables predict others of their table.
LENGTHS = (0.7, 3.0)
HEIGHT = 2.0
# What fits had that were kept without saying it.
_FORMER_LENGTHS, _FORMER_HEIGHT = (0.7, 1.5, 3.0), 1.0
_ALL_WEIGHTS = "dense weights"
# A layer takes at least this part of its roofline.
_LEAST = 0.05


class InferredLayers:
    """What an inference found, as a function of layers.

    coefficients: of `roofline_parts`, and floor: the least roofline, in seconds; layers: of the networks; pulls: what the
    networks' times say of each; deviations: logarithms of the standard deviations of g's parts, in the order of
    `gsnet.latency.inference`; lengths and height: as LENGTHS and HEIGHT; beyond: pairs of a number of weights and the seconds
    that each weight takes besides which a network has more than that.
    """

    def __init__(
        self,
        coefficients: Mapping[str, float],
        floor: float,
        layers: Sequence[Layer],
        pulls: Sequence[float],
        deviations: Sequence[float],
        *,
        lengths: Sequence[float] = LENGTHS,
        height: float = HEIGHT,
        beyond: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.layers = tuple(layers)
        self._lengths, self._height = tuple(lengths), height
        self._beyond = tuple((weights, seconds) for weights, seconds in beyond)
        self._coefficients, self._floor = dict(coefficients), floor
        self._pulls, self._deviations = tuple(pulls), tuple(deviations)
        classes: dict[str, list[int]] = {}
        for index, layer in enumerate(self.layers):
            classes.setdefault(layer_class(layer), []).append(index)
        self._classes = {name: self._of_class(members) for name, members in classes.items()}

    def tells(self, layer: Layer) -> bool:
        """Whether some network has a layer of this kind, kernel and stride."""
        of_class = self._classes.get(layer_class(layer))
        return of_class is not None and of_class.has_group(layer)

    def seconds(self, layer: Layer) -> float:
        """Of one layer that this `tells`."""
        roofline = sum(self._coefficients.get(name, 0.0) * value for name, value in roofline_parts(layer).items())
        return max(roofline, self._floor) * max(1.0 + self._classes[layer_class(layer)].more(layer), _LEAST)

    def of_weights(self, weights: float) -> float:
        """Seconds that a network with so many weights takes besides its layers'.

        A layer's weights stay in a processor's cache from one pass to the next as far as those of all layers have room there.
        """
        return besides(self._beyond, weights)

    def to_json(self) -> str:
        """What `from_json` makes the same of."""
        layers = [[*layer, pull] for layer, pull in zip(self.layers, self._pulls, strict=True)]
        content = {"coefficients": self._coefficients, "floor": self._floor, "deviations": self._deviations}
        content |= {"lengths": self._lengths, "height": self._height, "beyond": self._beyond}
        return json.dumps(content | {"layers": layers})

    @classmethod
    def from_json(cls, text: str) -> InferredLayers:
        """What `to_json` wrote, also before it wrote lengths, and when all dense weights had one coefficient."""
        content = json.loads(text)
        rows = content.pop("layers")
        layers, pulls = [Layer(*row[:-1]) for row in rows], [row[-1] for row in rows]
        if "lengths" not in content:
            content = _of_former(content, layers)
        content["coefficients"] = _weights_apart(content["coefficients"], layers)
        return cls(layers=layers, pulls=pulls, **content)

    def _of_class(self, members: Sequence[int]) -> _Class:
        layers, pulls = [self.layers[i] for i in members], [self._pulls[i] for i in members]
        return _Class(layers, pulls, self._deviations, self._lengths, self._height)


def _of_former(content: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any]:
    """A fit that was kept before, as today's: all kernel sizes have one coefficient, and one part of g counts nothing."""
    found = dict(content["coefficients"])
    for layer in layers:
        found[_operations_of(layer)] = found.get(f"{layer_class(layer)} operations", 0.0)
    everywhere, of_groups, *others = content["deviations"]
    deviations = [everywhere, of_groups, -math.inf, *others]
    form = {"lengths": _FORMER_LENGTHS, "height": _FORMER_HEIGHT}
    return {"coefficients": found, "floor": content["floor"], "deviations": deviations} | form


def _weights_apart(coefficients: Mapping[str, float], layers: Sequence[Layer]) -> Mapping[str, float]:
    """Coefficients as today's, where they may be of a fit with one for the weights of all dense layers."""
    of_all = coefficients.get(_ALL_WEIGHTS)
    if of_all is None:
        return coefficients
    return {**coefficients, **{_weights_of(layer): of_all for layer in layers}}


class _Class:
    """All layers of one class, those of a group one after the other, and in it those alike in blocks of channels."""

    def __init__(
        self,
        layers: Sequence[Layer],
        pulls: Sequence[float],
        deviations: Sequence[float],
        lengths: Sequence[float],
        height: float,
    ) -> None:
        order = sorted(range(len(layers)), key=lambda i: (layer_group(layers[i]), whole_blocks(layers[i])))
        self._height = height
        self._points = positions([layers[i] for i in order], height)
        self._squared = (self._points**2).sum(axis=1)
        self._pulls = np.array([pulls[i] for i in order])
        self._variances = np.exp(2.0 * np.array(deviations))
        self._groups: dict[object, slice] = {}
        for place, i in enumerate(order):
            for key in (layer_group(layers[i]), (layer_group(layers[i]), whole_blocks(layers[i]))):
                self._groups[key] = slice(self._groups.get(key, slice(place, place)).start, place + 1)
        self._everywhere = float(self._variances[0] * self._pulls.sum())
        self._of_blocks: dict[tuple[bool, ...], float] = {}
        for layer, pull in zip(layers, pulls, strict=True):
            blocks = whole_blocks(layer)
            self._of_blocks[blocks] = self._of_blocks.get(blocks, 0.0) + float(self._variances[2]) * pull
        self._scales = -0.5 / np.array(lengths)[:, None] ** 2

    def has_group(self, layer: Layer) -> bool:
        """Whether there is a layer of its group."""
        return layer_group(layer) in self._groups

    def more(self, layer: Layer) -> float:
        """g of a layer of this class."""
        position = positions([layer], self._height)[0]
        squares = np.maximum(self._squared + position @ position - 2.0 * (self._points @ position), 0.0)
        near = np.exp(squares * self._scales)
        group = layer_group(layer)
        blocks = whole_blocks(layer)
        in_group, alike = self._groups[group], self._groups.get((group, blocks), slice(0))
        # The order of the parts in `gsnet.latency.inference`: three without a length, then three for each length.
        found = self._everywhere + float(self._variances[1] * self._pulls[in_group].sum())
        found += self._of_blocks.get(blocks, 0.0)
        for part, members in enumerate((slice(None), in_group, alike)):
            found += float(self._variances[3 + part :: 3] @ (near[:, members] @ self._pulls[members]))
        return found


def roofline_parts(layer: Layer) -> Mapping[str, float]:
    """What a layer's roofline is made of, by the coefficients that it shares with others.

    Operations of a convolution have a coefficient for each kernel size: a library computes windows of 3 in ways that need
    fewer of them (Winograd), those of 1 as one product, and those of 5 and 7 as it can. With one for all sizes it is left to g
    to tell them apart, whose variance is then large for all layers and whose parts tell little else. Weights have one for each
    kernel size and stride: for Winograd's windows, which have no stride, up to seven times as many are kept as a layer has, and
    read anew in each pass, as layers in between have taken their place in the cache.
    """
    one, operations, read, written, weights = roofline_terms(layer)
    name = layer_class(layer)
    if not layer.is_convolution:
        return {"other": one, f"{name} elements": read + written, _weights_of(layer): weights}
    parts = {name: one, _operations_of(layer): operations, f"{name} elements": read + written}
    return parts if layer.kind == DEPTHWISE else {**parts, _weights_of(layer): weights}


def besides(beyond: Iterable[tuple[float, float]], weights: float) -> float:
    """What so many weights take besides, in seconds. beyond: as `InferredLayers` has it."""
    return sum(seconds * max(weights - fewer, 0.0) for fewer, seconds in beyond)


def weights_of(layers: Iterable[Layer]) -> float:
    """How many weights layers have."""
    return sum(roofline_terms(layer)[-1] for layer in layers)


def _operations_of(layer: Layer) -> str:
    return f"{layer_class(layer)} {layer.kernel_size} operations"


def _weights_of(layer: Layer) -> str:
    if not layer.is_convolution:
        return f"{layer_class(layer)} weights"
    return f"{layer_class(layer)} {layer.kernel_size} weights, stride {layer.stride}"


def layer_class(layer: Layer) -> str:
    """Dense convolutions, depth-wise ones, either of them where it is written anew, or each other kind."""
    name = "dense" if layer.is_convolution and layer.kind != DEPTHWISE else layer.kind
    return f"{name} written anew" if layer.fused == WRITTEN_ANEW else name


def layer_group(layer: Layer) -> tuple[str, int, int, int]:
    """Within a class: what runs by one kernel."""
    return layer.kind, layer.kernel_size, layer.stride, layer.fused


def whole_blocks(layer: Layer) -> tuple[bool, ...]:
    """Whether widths are whole blocks, and halves of them: kernels leave the fast way where they are not."""
    widths = (layer.in_channels, layer.out_channels)
    return tuple(width % block == 0 for block in (CHANNEL_BLOCK, CHANNEL_BLOCK // 2) for width in widths)


def positions(layers: Sequence[Layer], height: float = HEIGHT) -> np.ndarray:
    """(layers, 3): logarithms of widths, in whole blocks, and of the map's height, which counts `height` times."""
    sizes = [(blocked_width(layer.in_channels), blocked_width(layer.out_channels), layer.height) for layer in layers]
    return np.log2(np.array(sizes, dtype=np.float64)) * (1.0, 1.0, height)


def blocked_width(channels: int) -> int:
    """A width as kernels have it: whole blocks of channels, but for images."""
    return channels if channels < CHANNEL_BLOCK // 4 else in_blocks(channels)
