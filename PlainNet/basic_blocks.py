"""The layers that are no convolutions: normalisation, activations, squeeze-and-excitation, pooling, the linear layer.

Sources: squeeze-and-excitation Hu et al. 2018; hard-swish Howard et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PlainNet import mean_field
from PlainNet.block import Block
from PlainNet.costs import NO_COST, Cost, Figures, convolution_cost, window_output
from PlainNet.errors import StructureError
from PlainNet.mean_field import Steps
from PlainNet.primitive import Primitive, SameWidth
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BN(SameWidth):
    """Batch normalisation. Structure string: BN(channels)."""

    channels: int

    stride: ClassVar[int] = 1

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return Cost(parameters=2 * self.channels)

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.NORMALISE

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Layer(modules.batch_norm(self.channels, style))


class Activation(SameWidth):
    """A pointwise function: free in every budget, and it takes whatever width arrives."""

    any_width: ClassVar[bool] = True
    stride = 1

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return NO_COST


@dataclass(frozen=True)
class RELU(Activation):
    """Rectifier max(x, 0). Structure string: RELU(channels)."""

    channels: int

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.RECTIFY

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.ReLU()


@dataclass(frozen=True)
class HS(Activation):
    """Hard-swish x min(max(x + 3, 0), 6) / 6. Structure string: HS(channels)."""

    channels: int

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.HARD_SWISH

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.Hardswish()


@dataclass(frozen=True)
class Swish(Activation):
    """Swish x sigmoid(x). Structure string: Swish(channels)."""

    channels: int

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.smooth(mean_field.Smooth.SWISH)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.SiLU()


@dataclass(frozen=True)
class SE(SameWidth):
    """Squeeze-and-excitation with a reduction of 4. Structure string: SE(channels).

    Global average, 1 x 1 convolution to the squeezed width, BN, activation, 1 x 1 convolution back, BN, sigmoid; the
    map is multiplied by the result. Both convolutions run on a 1 x 1 map.
    """

    channels: int

    stride: ClassVar[int] = 1

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        # The one primitive whose cost depends on the style.
        return (*self.cost(size, style), size)

    @property
    def squeezed_channels(self) -> int:
        """A quarter of the channels, half to even, at least one."""
        return max(1, round(self.channels / 4))

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        channels, squeezed = self.channels, self.squeezed_channels
        total = convolution_cost(channels, squeezed, 1, 1, 1).plus(convolution_cost(squeezed, channels, 1, 1, 1))
        if style.no_BN:
            return total
        return total.plus(Cost(parameters=2 * (channels + squeezed)))

    def mean_field(self, style: Style = PLAIN) -> Steps:
        norm = b"" if style.no_BN else mean_field.normalise(style.bn_eps)
        relu = style.se_activation == "relu"
        inner = mean_field.RECTIFY if relu else mean_field.smooth(mean_field.Smooth.HARD_SWISH)
        squeeze = mean_field.average_pool(1) + mean_field.dense(self.squeezed_channels, 1, 1) + norm + inner
        excite = mean_field.dense(self.channels, 1, 1) + norm + mean_field.smooth(mean_field.Smooth.SIGMOID)
        return mean_field.COPY + squeeze + excite + mean_field.GATE

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.SqueezeExcite(self.channels, self.squeezed_channels, style)


@dataclass(frozen=True)
class MaxPool(SameWidth):
    """Maximum pooling. Structure string: MaxPool(channels, kernel, stride)."""

    channels: int
    kernel_size: int
    stride: int

    def output_size(self, size: int) -> int:
        """As of every block. Raises StructureError for a map that the window does not fit in."""
        padding = (self.kernel_size - 1) // 2
        if size + 2 * padding < self.kernel_size:
            raise StructureError(f"{self} cannot read a map of {size} x {size}: its window is larger")
        return window_output(size, self.kernel_size, self.stride, padding)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return NO_COST

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.MaxPool2d(self.kernel_size, self.stride, (self.kernel_size - 1) // 2)


@dataclass(frozen=True)
class AdaptiveAvgPool(SameWidth):
    """Average pooling to a fixed map. Structure string: AdaptiveAvgPool(channels, output height)."""

    channels: int
    output_height: int

    stride: ClassVar[int] = 1

    def output_size(self, size: int) -> int:
        return self.output_height

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return NO_COST

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.average_pool(self.output_height)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.AdaptiveAvgPool2d(self.output_height)


@dataclass(frozen=True)
class Flatten(SameWidth):
    """Map to vector. Structure string: Flatten(channels)."""

    channels: int

    stride: ClassVar[int] = 1
    any_width: ClassVar[bool] = True

    def output_size(self, size: int) -> int:
        return 1

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return NO_COST

    def module(self, style: Style = PLAIN) -> nn.Module:
        from torch import nn

        return nn.Flatten()


@dataclass(frozen=True)
class Linear(Primitive):
    """Fully connected layer. Structure string: Linear(in, out, bias), bias 0 or 1."""

    in_channels: int
    out_channels: int
    bias: int

    stride: ClassVar[int] = 1

    @classmethod
    def lower_limit(cls, argument: str) -> int:
        return 0 if argument == "bias" else super().lower_limit(argument)

    def validate(self) -> None:
        super().validate()
        if self.bias > 1:
            raise StructureError(f"{self}: bias must be 0 or 1")

    def accepts(self, channels: int) -> bool:
        # A flattened map of h x h positions brings h * h times the channels of the block before it.
        return self.in_channels % channels == 0

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        weights = self.in_channels * self.out_channels
        bias = self.out_channels if self.bias else 0
        return Cost(weights + bias, weights, self.in_channels + self.out_channels + weights, self.out_channels)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Layer(modules.linear(self.in_channels, self.out_channels, bool(self.bias)))


NETBLOCKS: tuple[type[Block], ...] = (BN, RELU, HS, Swish, SE, MaxPool, AdaptiveAvgPool, Flatten, Linear)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these layers to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
