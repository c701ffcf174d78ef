"""All tensors of a network in one piece of memory, and its random weights by one call of the generator.

On a GPU a launch costs more than the weights of a thin layer. One buffer holds, one behind the other, the weights of
convolutions and linear layers, their biases, what starts at 0 (shifts and running means of normalisation) and what starts at 1
(its scales and running variances). Every tensor begins at a multiple of 256 bytes, where kernels like it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ZeroShotProxy.registry import Weights

_ALIGNED = 64
WeightedLayer = nn.Conv2d | nn.Linear


@dataclass
class FlatTensors:
    """The layers of a network, each list in the order of `nn.Module.modules`, and the buffer whose views are their tensors."""

    weighted: list[WeightedLayer] = field(default_factory=list)
    biased: list[WeightedLayer] = field(default_factory=list)
    norms: list[nn.BatchNorm2d] = field(default_factory=list)
    buffer: Tensor = field(default_factory=lambda: torch.empty(0))


@torch.no_grad()
def allocate(network: nn.Module, device: str, channels_last: bool) -> FlatTensors:
    """Give a network of the meta device its memory, on `device`: weights as allocated, biases 0, normalisation as it starts.

    channels_last: how the weights of convolutions lie. All layers that have tensors have to be of the kinds of `FlatTensors`,
    and normalisation has to scale, to shift and to keep running statistics.
    """
    found = _layers_of(network)
    weights = sum(_aligned(layer.weight.numel()) for layer in found.weighted)
    outputs = [layer.weight.shape[0] for layer in found.biased]
    biases = sum(map(_aligned, outputs))
    norms = sum(_aligned(layer.num_features) for layer in found.norms)
    found.buffer = torch.empty(weights + biases + 4 * norms, device=device)
    for_weights, for_biases, shifts, means, scales, variances = found.buffer.split([weights, biases, *([norms] * 4)])
    found.buffer[weights : weights + biases + 2 * norms].zero_()
    found.buffer[weights + biases + 2 * norms :].fill_(1)
    place = 0
    for layer in found.weighted:
        shape = layer.weight.shape
        view = for_weights.as_strided(shape, _strides(shape, channels_last), place)
        _set_parameter(layer, "weight", view)
        place += _aligned(shape.numel())
    for layer, view in zip(found.biased, _views(for_biases, outputs), strict=True):
        _set_parameter(layer, "bias", view)
    widths = [layer.num_features for layer in found.norms]
    vectors = (_views(vector, widths) for vector in (scales, shifts, means, variances))
    for norm, scale, shift, mean, variance in zip(found.norms, *vectors, strict=True):
        _set_parameter(norm, "weight", scale)
        _set_parameter(norm, "bias", shift)
        norm._buffers.update(running_mean=mean, running_var=variance)
    return found


@torch.no_grad()
def draw_at_once(tensors: FlatTensors, weights: Weights, generator: torch.Generator) -> None:
    """Set all random weights by one call of the generator, each layer's scaled by a number of its own.

    The distributions are those of `ZeroShotProxy.network_state`, in another order of the random numbers.
    """
    scales = layer_scales(tensors, weights)
    lengths = [_aligned(layer.weight.numel()) for layer in tensors.weighted]
    if weights is Weights.DEFAULT:
        lengths += [_aligned(layer.weight.shape[0]) for layer in tensors.biased]
    drawn = tensors.buffer[: sum(lengths)]
    if weights is Weights.DEFAULT:
        drawn.uniform_(-1, 1, generator=generator)
    else:
        drawn.normal_(generator=generator)
    if weights is not Weights.GAUSSIAN:
        repeats = torch.tensor(lengths, device=drawn.device)
        drawn.mul_(torch.tensor(scales, device=drawn.device).repeat_interleave(repeats, output_size=len(drawn)))


def layer_scales(tensors: FlatTensors, weights: Weights) -> list[float]:
    """What the standard numbers of each weight, and for DEFAULT then of each bias, are multiplied by.

    GAUSSIAN and KAIMING: deviations of normal numbers. DEFAULT: PyTorch's limit of uniform ones, 1 / sqrt(fan in).
    """
    if weights is Weights.GAUSSIAN:
        return [1.0] * len(tensors.weighted)
    if weights is Weights.KAIMING:
        return [math.sqrt(2 / _fan_in(layer)) for layer in tensors.weighted]
    return [1 / math.sqrt(_fan_in(layer)) for layer in (*tensors.weighted, *tensors.biased)]


def _layers_of(network: nn.Module) -> FlatTensors:
    found = FlatTensors()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            found.norms.append(layer)
        elif isinstance(layer, WeightedLayer):
            found.weighted.append(layer)
            if layer.bias is not None:
                found.biased.append(layer)
    return found


def _fan_in(layer: WeightedLayer) -> int:
    return layer.weight.shape[1:].numel()


def _aligned(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED


def _strides(shape: torch.Size, channels_last: bool) -> tuple[int, ...]:
    if len(shape) == 2:
        return shape[1], 1
    _, channels, height, width = shape
    if channels_last:
        return height * width * channels, 1, width * channels, channels
    return channels * height * width, height * width, width, 1


def _views(vector: Tensor, lengths: Sequence[int]) -> Sequence[Tensor]:
    """Views of so many numbers each, at aligned places. One split of all is several times as fast as slices."""
    return vector.split([part for length in lengths for part in (length, _aligned(length) - length)])[::2]


def _set_parameter(layer: nn.Module, name: str, view: Tensor) -> None:
    # `data` counts its changes by itself: what a proxy does to one weight is no change of the others.
    layer._parameters[name] = nn.Parameter(view.data)
