"""Primitive layers: the blocks that define their own costs and their own module.

Sources: squeeze-and-excitation Hu et al. 2018; hard-swish Howard et al. 2019; GhostConv Han et al. 2020 (GhostNet).
Every convolution is bias-free and padded by (kernel_size - 1) // 2, so an odd map under stride 2 rounds up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from PlainNet import mean_field
from PlainNet.block import NO_COST, PLAIN, Block, Cost, Figures, Style, convolution_cost, window_output
from PlainNet.errors import StructureError
from PlainNet.lazy import lazy
from PlainNet.mean_field import Steps

if TYPE_CHECKING:
    from torch import nn


class Primitive(Block):
    """Base of the layers that define their own costs; what they cost at a map size is remembered."""

    @lazy
    def _known_figures(self) -> dict[int, Figures]:
        return {}

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        known = self._known_figures.get(size)
        if known is None:
            known = self._known_figures[size] = (*self.cost(size, style), self.output_size(size))
        return known


@dataclass(frozen=True)
class ConvKX(Primitive):
    """Convolution. Structure string: ConvKX(in, out, kernel, stride)."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int

    groups: ClassVar[int] = 1

    def validate(self) -> None:
        super().validate()
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise StructureError(f"{self}: both widths must be multiples of its {self.groups} groups")
        if self.kernel_size % 2 == 0:
            raise StructureError(f"{self}: kernel_size must be odd")

    def output_size(self, size: int) -> int:
        return window_output(size, self.kernel_size, self.stride, (self.kernel_size - 1) // 2)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return convolution_cost(
            self.in_channels, self.out_channels, self.kernel_size, size, self.output_size(size), self.groups
        )

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.dense(self.out_channels, self.kernel_size, self.stride, self.groups)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Layer(
            modules.convolution(self.in_channels, self.out_channels, self.kernel_size, self.stride, self.groups)
        )


class ConvKXG2(ConvKX):
    """Convolution in 2 groups. Structure string: ConvKXG2(in, out, kernel, stride)."""

    groups = 2


class ConvKXG4(ConvKX):
    """Convolution in 4 groups. Structure string: ConvKXG4(in, out, kernel, stride)."""

    groups = 4


class ConvKXG8(ConvKX):
    """Convolution in 8 groups. Structure string: ConvKXG8(in, out, kernel, stride)."""

    groups = 8


class ConvKXG16(ConvKX):
    """Convolution in 16 groups. Structure string: ConvKXG16(in, out, kernel, stride)."""

    groups = 16


class ConvKXG32(ConvKX):
    """Convolution in 32 groups. Structure string: ConvKXG32(in, out, kernel, stride)."""

    groups = 32


class SameWidth(Primitive):
    """A block whose output is as wide as its input; its one width is the first argument."""

    channels: int

    @property
    def in_channels(self) -> int:  # type: ignore[override]
        return self.channels

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return self.channels

    def with_in_channels(self, channels: int) -> Block:  # type: ignore[override]
        return replace(self, channels=channels)  # type: ignore[type-var]


@dataclass(frozen=True)
class ConvDW(SameWidth):
    """Depth-wise convolution. Structure string: ConvDW(channels, kernel, stride)."""

    channels: int
    kernel_size: int
    stride: int

    def validate(self) -> None:
        super().validate()
        if self.kernel_size % 2 == 0:
            raise StructureError(f"{self}: kernel_size must be odd")

    def output_size(self, size: int) -> int:
        return window_output(size, self.kernel_size, self.stride, (self.kernel_size - 1) // 2)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        channels = self.channels
        return convolution_cost(channels, channels, self.kernel_size, size, self.output_size(size), channels)

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return mean_field.depthwise(self.kernel_size, self.stride)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Layer(
            modules.convolution(self.channels, self.channels, self.kernel_size, self.stride, self.channels)
        )


@dataclass(frozen=True)
class GhostConv(Primitive):
    """Ghost convolution: half of the output by a convolution, half by a depth-wise 3 x 3 on that half.

    Structure string: GhostConv(in, out, kernel, stride). An odd `out` drops the last ghost map. No BN, no activation.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int

    cheap_kernel_size: ClassVar[int] = 3

    @property
    def primary_channels(self) -> int:
        """Channels of the dense half, rounded up."""
        return (self.out_channels + 1) // 2

    def validate(self) -> None:
        super().validate()
        if self.kernel_size % 2 == 0:
            raise StructureError(f"{self}: kernel_size must be odd")

    def output_size(self, size: int) -> int:
        return window_output(size, self.kernel_size, self.stride, self.kernel_size // 2)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        out, half = self.output_size(size), self.primary_channels
        primary = convolution_cost(self.in_channels, half, self.kernel_size, size, out)
        return primary.plus(convolution_cost(half, half, self.cheap_kernel_size, out, out, half))

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return _ghost_steps(self.primary_channels, self.kernel_size, self.stride, self.out_channels)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.GhostConvolution(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.cheap_kernel_size
        )


@lru_cache(maxsize=5_000)
def _ghost_steps(primary_channels: int, kernel_size: int, stride: int, out_channels: int) -> Steps:
    primary = mean_field.dense(primary_channels, kernel_size, stride)
    cheap = mean_field.depthwise(GhostConv.cheap_kernel_size, 1)
    return primary + mean_field.COPY + cheap + mean_field.CONCATENATE + mean_field.first_channels(out_channels)


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
        return max(1, window_output(size, self.kernel_size, self.stride, (self.kernel_size - 1) // 2))

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


NETBLOCKS: tuple[type[Block], ...] = (
    ConvKX,
    ConvKXG2,
    ConvKXG4,
    ConvKXG8,
    ConvKXG16,
    ConvKXG32,
    ConvDW,
    GhostConv,
    BN,
    RELU,
    HS,
    Swish,
    SE,
    MaxPool,
    AdaptiveAvgPool,
    Flatten,
    Linear,
)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the primitive layers to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
