"""Convolutions: dense, in groups, depth-wise, and GhostConv.

Every one is bias-free and padded by (kernel_size - 1) // 2, so an odd map under stride 2 rounds up. Source of GhostConv: Han et
al. 2020 (GhostNet).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PlainNet import mean_field
from PlainNet.block import Block
from PlainNet.costs import Cost, convolution_cost, window_output
from PlainNet.errors import StructureError
from PlainNet.mean_field import Steps
from PlainNet.primitive import Primitive, SameWidth
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn


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
        if self.primary_channels == self.out_channels:
            return mean_field.dense(self.out_channels, self.kernel_size, self.stride)
        return mean_field.ghost(self.out_channels, self.kernel_size, self.stride, self.cheap_kernel_size)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.GhostConvolution(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.cheap_kernel_size
        )


NETBLOCKS: tuple[type[Block], ...] = (ConvKX, ConvKXG2, ConvKXG4, ConvKXG8, ConvKXG16, ConvKXG32, ConvDW, GhostConv)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the convolutions to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
