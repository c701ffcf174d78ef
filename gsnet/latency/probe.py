"""Measuring layers as they run inside a network.

A layer timed alone, over and over, finds its weights in the nearest cache and its memory allocated; inside a network other
layers have swept its weights out, and its input was written a moment ago. So layers are timed in chains: the layers of a
whole network, with weights of their own, one after the other, each reading what an earlier one of fitting shape wrote.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gsnet.latency.layer import ADD, Layer
from gsnet.latency.measurement import undisturbed_clock
from gsnet.runtimes.memory import keep_freed_memory
from PlainNet.modules import shuffle_halves

WARM_UP = 2
_FEWEST, _MOST = 5, 40
_SECONDS = 0.3
# Of the times of one layer: less than the median, since interruptions only ever make a run longer.
_QUANTILE = 0.25
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "ReLU": functional.relu,
    "HardSwish": functional.hardswish,
    "SiLU": functional.silu,
    "Sigmoid": torch.sigmoid,
    "Shuffle": shuffle_halves,
    "Pool": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "Split": lambda x: x.chunk(2, dim=1)[1].contiguous(),
    ADD: lambda x, other: x + other,
    "Scale": lambda x, gate: x * gate,
    "Concatenate": lambda x, other: torch.cat((x, other), dim=1),
}
# Channels, height: what a map is found by.
Shape = tuple[int, int]


class Chain:
    """Layers one after the other, with weights and maps of their own."""

    def __init__(self, layers: Sequence[Layer], device: str, precision: str) -> None:
        self.layers = tuple(layers)
        self._place: dict[str, Any] = {"device": device, "dtype": _DTYPES[precision]}
        self._clock = undisturbed_clock(device)
        self._operations = [_operation(layer, self._place) for layer in layers]
        self._reads = [_shapes_read(layer) for layer in layers]
        self._writes = [_shape_written(layer) for layer in layers]
        # The two youngest maps of every shape; older ones are freed, as in a network.
        self._maps: dict[Shape, deque[Tensor]] = {}
        for layer, reads in zip(layers, self._reads, strict=True):
            for shape in reads:
                maps = self._maps.setdefault(shape, deque(maxlen=2))
                while len(maps) < reads.count(shape):
                    maps.append(torch.randn(layer.batch, shape[0], shape[1], shape[1], **self._place))
        for shape in self._writes:
            self._maps.setdefault(shape, deque(maxlen=2))

    @torch.inference_mode()
    def run(self) -> list[float]:
        """Run once; returns the seconds of every layer."""
        maps, clock = self._maps, self._clock
        stamps = []
        for operation, reads, writes in zip(self._operations, self._reads, self._writes, strict=True):
            arguments: tuple[Tensor, ...]
            if len(reads) == 1:
                arguments = (maps[reads[0]][-1],)
            elif reads[0] == reads[1]:
                arguments = (maps[reads[0]][-1], maps[reads[0]][0])
            else:
                arguments = (maps[reads[0]][-1], maps[reads[1]][-1])
            start = clock()
            result = operation(*arguments)
            stamps.append(clock() - start)
            del arguments
            maps[writes].append(result)
        return stamps


def measure_chain(
    layers: Sequence[Layer], *, device: str = "cpu", precision: str = "fp32"
) -> dict[Layer, float | None]:
    """Seconds of every different layer of a chain, lower quartile over some runs; None for all where one cannot run."""
    keep_freed_memory()
    try:
        chain = Chain(layers, device, precision)
        for _ in range(WARM_UP):
            chain.run()
    except RuntimeError:
        # No memory for it, or no kernel of this precision.
        return dict.fromkeys(layers)
    runs: list[list[float]] = []
    start = time.perf_counter()
    while len(runs) < _FEWEST or (len(runs) < _MOST and time.perf_counter() - start < _SECONDS):
        runs.append(chain.run())
    places: dict[Layer, list[float]] = {}
    for layer, seconds in zip(layers, np.quantile(np.array(runs), _QUANTILE, axis=0), strict=True):
        places.setdefault(layer, []).append(float(seconds))
    return {layer: sum(seconds) / len(seconds) for layer, seconds in places.items()}


def _shapes_read(layer: Layer) -> tuple[Shape, ...]:
    channels, height = layer.in_channels, layer.height
    if layer.kind == ADD:
        return (channels, height), (channels, height)
    if layer.kind == "Scale":
        return (channels, height), (channels, 1)
    if layer.kind == "Concatenate":
        return (channels // 2, height), (channels - channels // 2, height)
    return ((channels, height),)


def _shape_written(layer: Layer) -> Shape:
    return layer.out_channels, layer.out_height


def _operation(layer: Layer, place: dict) -> Callable[..., Tensor]:
    """What runs the layer on the maps that it reads."""
    if layer.is_convolution:
        padding = (layer.kernel_size - 1) // 2
        widths = (layer.in_channels, layer.out_channels)
        module: nn.Module = nn.Conv2d(
            *widths, layer.kernel_size, layer.stride, padding, groups=layer.groups, bias=False, **place
        )
    elif layer.kind == "BN":
        module = nn.BatchNorm2d(layer.in_channels, **place)
    elif layer.kind == "MaxPool":
        module = nn.MaxPool2d(layer.kernel_size, layer.stride, (layer.kernel_size - 1) // 2)
    elif layer.kind == "Linear":
        linear = nn.Linear(layer.in_channels, layer.out_channels, **place).eval()
        return lambda x: linear(x.flatten(1))[:, :, None, None]
    else:
        return _FUNCTIONS[layer.kind]
    return module.eval()
