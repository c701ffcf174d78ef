"""A network as layers that say of each channel where it comes from, so that concatenation, split and shuffle are no layers.

A map is a `View`: for each of its channels the number of a layer and the channel of that layer's output. Concatenating,
splitting and shuffling maps only changes views.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
import torch
from torch import Tensor, fx, nn

# (C, 2) integers: layer, channel of its output.
View = np.ndarray


class Kind(Enum):
    """How output channels depend on input channels."""

    # All on all: a convolution without groups, a fully connected layer.
    DENSE = auto()
    # Each on one, by a window: a depth-wise convolution, pooling.
    CHANNELWISE = auto()
    # Each on one, element by element, the same for all channels.
    POINTWISE = auto()
    # As pointwise, with numbers of its own for each channel: batch normalisation.
    NORM = auto()
    # Each on one of every input: sums, and products with a gate.
    JOINT = auto()
    # In an unknown way: inputs are given in their order, outputs come in theirs.
    ORDERED = auto()


@dataclass
class Convolution:
    """Weights (O, I / groups, …) and bias (O) of a convolution or of a fully connected layer, in float64."""

    weight: Tensor
    bias: Tensor
    module: nn.Conv2d | nn.Linear

    def scale(self, channels: np.ndarray, scale: Tensor, shift: Tensor) -> None:
        """Change some output channels to scale * output + shift."""
        rows = torch.from_numpy(channels)
        self.weight[rows] *= scale.view(-1, *[1] * (self.weight.dim() - 1))
        self.bias[rows] = self.bias[rows] * scale + shift

    def append(self, weight: Tensor, bias: Tensor) -> None:
        """Add output channels behind the others."""
        self.weight, self.bias = torch.cat((self.weight, weight)), torch.cat((self.bias, bias))


@dataclass
class Norm:
    """Batch normalisation with fixed statistics: vectors (C), and eps."""

    mean: Tensor
    var: Tensor
    weight: Tensor
    bias: Tensor
    eps: float

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of each channel, in float64."""
        scale = self.weight.double() / (self.var.double() + self.eps).sqrt()
        return scale, self.bias.double() - self.mean.double() * scale


@dataclass(eq=False)
class Layer:
    """One layer. inputs: what it reads; channels: of its output; node: what it was in the traced network."""

    kind: Kind
    inputs: list[View]
    channels: int
    node: fx.Node
    content: Convolution | Norm | None = None
    # Of an ordered layer: which of its inputs each of the node's arguments is made of; several where it is a tuple.
    arguments: dict[fx.Node, int | tuple[int, ...]] = field(default_factory=dict)


def identity(layer: int, channels: int) -> View:
    """All channels of a layer's output, in their order."""
    return np.stack([np.full(channels, layer), np.arange(channels)], axis=1)


def convolution_of(module: nn.Conv2d | nn.Linear) -> Convolution:
    """A copy of a module's weights."""
    bias = module.bias
    outputs = module.weight.shape[0]
    return Convolution(
        module.weight.detach().double().clone(),
        torch.zeros(outputs, dtype=torch.float64) if bias is None else bias.detach().double().clone(),
        module,
    )


def norm_of(module: nn.BatchNorm2d) -> Norm | None:
    """The vectors of a batch normalisation; None where it normalises by the batch."""
    if module.running_mean is None or module.running_var is None:
        return None
    channels = module.num_features
    weight = torch.ones(channels) if module.weight is None else module.weight.detach()
    bias = torch.zeros(channels) if module.bias is None else module.bias.detach()
    return Norm(module.running_mean, module.running_var, weight, bias, module.eps)
