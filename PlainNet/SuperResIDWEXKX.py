"""Inverted depth-wise residual blocks as super-blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from PlainNet.basic_blocks import RELU
from PlainNet.block import Block, interned, smart_round
from PlainNet.style import Style
from PlainNet.super_blocks import Blocks, SuperBlock, conv_bn, conv_bn_relu, depthwise_bn, residual, squeeze_excite


@dataclass(frozen=True)
class SuperResIDWEXKX(SuperBlock):
    """A pair of inverted residuals (in to bottleneck, bottleneck to out) with expansion e, `sub_layers` times.

    Structure string: SuperResIDWE6K3(in, out, stride, bottleneck, sub_layers). Source: Sandler et al. 2018
    (MobileNetV2); a ReLU follows every unit, and the very first shortcut is a projection, as in Zen-NAS.
    """

    in_channels: int
    out_channels: int
    stride: int
    bottleneck_channels: int
    sub_layers: int

    expansion: ClassVar[int]
    linear_in_widths = True
    kernel_size: ClassVar[int]

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        mid = self.bottleneck_channels
        return (
            *_inverted_residual(in_channels, mid, self.expansion, self.kernel_size, stride, first, style),
            # The field's strings write `out` in both rectifiers of a pair, although the first one is `bottleneck` wide.
            interned(RELU, self.out_channels),
            *_inverted_residual(mid, self.out_channels, self.expansion, self.kernel_size, 1, False, style),
            interned(RELU, self.out_channels),
        )


# A pair has three widths, each of its residuals only two of them: most were met in other pairs.
@lru_cache(maxsize=20_000)
def _inverted_residual(
    in_channels: int, out_channels: int, expansion: int, kernel_size: int, stride: int, project: bool, style: Style
) -> Blocks:
    wide = smart_round(out_channels * expansion, base=8)
    body = (
        *conv_bn_relu(in_channels, wide, 1, 1, style),
        *depthwise_bn(wide, kernel_size, stride, style),
        interned(RELU, wide),
        *squeeze_excite(wide, style),
        *conv_bn(wide, out_channels, 1, 1, style),
    )
    return residual(body, style, project)


def _variant(expansion: int, kernel_size: int) -> type[SuperResIDWEXKX]:
    name = f"SuperResIDWE{expansion}K{kernel_size}"
    doc = (
        f"Inverted residual, expansion {expansion}, {kernel_size} x {kernel_size} kernel. "
        f"Structure string: {name}(in, out, stride, bottleneck, sub_layers)."
    )
    members = {"__module__": __name__, "__doc__": doc, "expansion": expansion, "kernel_size": kernel_size}
    return type(name, (SuperResIDWEXKX,), members)


SuperResIDWE1K3, SuperResIDWE2K3, SuperResIDWE4K3, SuperResIDWE6K3 = (_variant(e, 3) for e in (1, 2, 4, 6))
SuperResIDWE1K5, SuperResIDWE2K5, SuperResIDWE4K5, SuperResIDWE6K5 = (_variant(e, 5) for e in (1, 2, 4, 6))
SuperResIDWE1K7, SuperResIDWE2K7, SuperResIDWE4K7, SuperResIDWE6K7 = (_variant(e, 7) for e in (1, 2, 4, 6))

VARIANTS: tuple[type[SuperResIDWEXKX], ...] = (
    *(SuperResIDWE1K3, SuperResIDWE2K3, SuperResIDWE4K3, SuperResIDWE6K3),
    *(SuperResIDWE1K5, SuperResIDWE2K5, SuperResIDWE4K5, SuperResIDWE6K5),
    *(SuperResIDWE1K7, SuperResIDWE2K7, SuperResIDWE4K7, SuperResIDWE6K7),
)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in VARIANTS}
