"""Derivatives of the logits with respect to one weight of every parameter, image by image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ZeroShotProxy.registry import ProxyFailure

_LAYERS = (nn.Conv2d, nn.Linear, _BatchNorm)


@dataclass(frozen=True)
class _Column:
    """The first element of one parameter at one call of its layer.

    slope: derivative of the layer's output with respect to it at output channel 0, (batch, *positions); 1 for a bias. edge: the
    place of that output in the graph. axis: where its channels are.
    """

    parameter: Tensor
    edge: GradientEdge
    slope: Tensor | float
    axis: int


def first_weight_jacobian(network: nn.Module, images: Tensor, parameters: int) -> tuple[Tensor, Tensor]:
    """d logits / d w for the first weight w of each of the network's first `parameters` parameters, and the logits.

    (batch, classes, weights) and (batch, classes).

    The network must treat the images of a batch apart (BN in evaluation mode): then one backward pass a class gives the
    derivatives of all images, and a single weight's derivative is a product of two maps of one channel, without any weight
    gradient. Parameters of other layers than Conv2d, Linear and BatchNorm, and those that do not reach the logits, have
    derivatives of zero. Raises ProxyFailure where no weight reaches the logits, and where BN has no running statistics.
    """
    wanted = list(network.parameters())[:parameters]
    places = {id(parameter): place for place, parameter in enumerate(wanted)}
    with _recorded_columns(network, places) as columns:
        logits = network(images)
    if not columns or not logits.requires_grad:
        raise ProxyFailure("no weight reaches the logits")
    jacobian = logits.new_zeros(len(images), logits.shape[1], len(wanted))
    edges = list(dict.fromkeys(column.edge for column in columns))
    for label in range(logits.shape[1]):
        found = torch.autograd.grad(logits[:, label].sum(), edges, retain_graph=True, allow_unused=True)
        gradients = dict(zip(edges, found, strict=True))
        for column in columns:
            gradient = gradients[column.edge]
            if gradient is not None:
                jacobian[:, label, places[id(column.parameter)]] += _images_sum(
                    gradient.select(column.axis, 0) * column.slope
                )
    return jacobian, logits.detach()


def _images_sum(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).sum(dim=1)


@contextmanager
def _recorded_columns(network: nn.Module, places: dict[int, int]) -> Iterator[list[_Column]]:
    columns: list[_Column] = []

    def remember(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
        if not output.requires_grad:
            return
        edge, axis = get_gradient_edge(output), _channel_axis(layer)
        for name, parameter in layer.named_parameters(recurse=False):
            if id(parameter) in places:
                slope = 1.0 if name == "bias" else _weight_slope(layer, inputs[0].detach())
                columns.append(_Column(parameter, edge, slope, axis))

    handles = [layer.register_forward_hook(remember) for layer in network.modules() if isinstance(layer, _LAYERS)]
    try:
        yield columns
    finally:
        for handle in handles:
            handle.remove()


def _weight_slope(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Derivative of output channel 0 with respect to the first weight: what that weight is multiplied by."""
    first = inputs.select(_channel_axis(layer), 0)
    if isinstance(layer, nn.Conv2d):
        return _seen_by_first_tap(layer, inputs[:, :1])
    if isinstance(layer, _BatchNorm):
        mean, variance = layer.running_mean, layer.running_var
        if mean is None or variance is None:
            raise ProxyFailure("batch normalisation without running statistics ties the images of a batch together")
        return (first - mean[0]) / (variance[0] + layer.eps).sqrt()
    return first


def _channel_axis(layer: nn.Module) -> int:
    """The axis of a layer's channels: linear layers have them last, whatever comes before."""
    return -1 if isinstance(layer, nn.Linear) else 1


def _seen_by_first_tap(layer: nn.Conv2d, channel: Tensor) -> Tensor:
    """The input, (batch, 1, height, width), that the top left tap of a kernel sees, (batch, *output positions)."""
    tap = channel.new_zeros(1, 1, *layer.kernel_size)
    tap[0, 0, 0, 0] = 1
    if layer.padding_mode == "zeros":
        return functional.conv2d(channel, tap, None, layer.stride, layer.padding, layer.dilation)[:, 0]
    padded = functional.pad(channel, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
    return functional.conv2d(padded, tap, None, layer.stride, 0, layer.dilation)[:, 0]
