"""ResNet basic blocks as super-blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PlainNet.basic_blocks import RELU
from PlainNet.block import Block, interned
from PlainNet.style import Style
from PlainNet.super_blocks import Blocks, SuperBlock, conv_bn, conv_bn_relu, residual, squeeze_excite


@dataclass(frozen=True)
class SuperResKXKX(SuperBlock):
    """Two k x k convolutions and a shortcut, `sub_layers` times; the first shortcut is always a projection.

    Structure string: SuperResK3K3(in, out, stride, bottleneck, sub_layers). Source: He et al. 2016, figure 5 left.
    """

    in_channels: int
    out_channels: int
    stride: int
    bottleneck_channels: int
    sub_layers: int

    linear_in_widths = True
    kernel_size: ClassVar[int]

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        mid = self.bottleneck_channels
        body = (
            *conv_bn_relu(in_channels, mid, self.kernel_size, stride, style),
            *squeeze_excite(mid, style),
            *conv_bn(mid, self.out_channels, self.kernel_size, 1, style),
        )
        return (*residual(body, style, project=first), interned(RELU, self.out_channels))


class SuperResK3K3(SuperResKXKX):
    """Basic block with 3 x 3 kernels. Structure string: SuperResK3K3(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 3


class SuperResK5K5(SuperResKXKX):
    """Basic block with 5 x 5 kernels. Structure string: SuperResK5K5(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 5


class SuperResK7K7(SuperResKXKX):
    """Basic block with 7 x 7 kernels. Structure string: SuperResK7K7(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 7


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in (SuperResK3K3, SuperResK5K5, SuperResK7K7)}
