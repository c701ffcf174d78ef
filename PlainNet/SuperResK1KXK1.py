"""ResNet bottleneck blocks as super-blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from PlainNet.basic_blocks import RELU
from PlainNet.block import Block, interned
from PlainNet.style import Style
from PlainNet.super_blocks import Blocks, SuperBlock, conv_bn, conv_bn_relu, residual, squeeze_excite


@dataclass(frozen=True)
class SuperResK1KXK1(SuperBlock):
    """A pair of bottlenecks (1 x 1, k x k, 1 x 1) with shortcuts, `sub_layers` times; the very first is a projection.

    Structure string: SuperResK1K3K1(in, out, stride, bottleneck, sub_layers). Source: He et al. 2016, figure 5 right;
    one sub-layer is two bottlenecks, as in Zen-NAS.
    """

    in_channels: int
    out_channels: int
    stride: int
    bottleneck_channels: int
    sub_layers: int

    linear_in_widths = True
    kernel_size: ClassVar[int]

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        mid, out, kernel_size = self.bottleneck_channels, self.out_channels, self.kernel_size
        return (
            *_bottleneck(in_channels, mid, out, kernel_size, stride, first, style),
            *_bottleneck(out, mid, out, kernel_size, 1, False, style),
        )


@lru_cache(maxsize=50_000)
def _bottleneck(
    in_channels: int, mid: int, out_channels: int, kernel_size: int, stride: int, project: bool, style: Style
) -> Blocks:
    body = (
        *conv_bn_relu(in_channels, mid, 1, 1, style),
        *conv_bn_relu(mid, mid, kernel_size, stride, style),
        *squeeze_excite(mid, style),
        *conv_bn(mid, out_channels, 1, 1, style),
    )
    return (*residual(body, style, project), interned(RELU, out_channels))


class SuperResK1K3K1(SuperResK1KXK1):
    """Bottleneck with 3 x 3 kernels. Structure string: SuperResK1K3K1(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 3


class SuperResK1K5K1(SuperResK1KXK1):
    """Bottleneck with 5 x 5 kernels. Structure string: SuperResK1K5K1(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 5


class SuperResK1K7K1(SuperResK1KXK1):
    """Bottleneck with 7 x 7 kernels. Structure string: SuperResK1K7K1(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 7


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in (SuperResK1K3K1, SuperResK1K5K1, SuperResK1K7K1)}
