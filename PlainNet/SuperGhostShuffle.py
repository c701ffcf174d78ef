"""GhostShuffle units as super-blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PlainNet.basic_blocks import HS
from PlainNet.block import Block, interned
from PlainNet.errors import StructureError
from PlainNet.ghost_shuffle_block import GhostShuffleBlock
from PlainNet.style import Style
from PlainNet.super_blocks import Blocks, SuperBlock, depthwise_bn, ghost_bn, squeeze_excite


@dataclass(frozen=True)
class SuperGhostShuffleKX(SuperBlock):
    """GSNet's unit, `sub_layers` times: ghost expansion, depth-wise k x k, ghost reduction beside a ghost projection.

    Structure string: SuperGhostShuffleK3(in, out, stride, bottleneck, sub_layers), stride 1 or 2. No activation follows
    the depth-wise convolution or the unit. It has no residual link, so `no_reslink` changes nothing here.
    """

    in_channels: int
    out_channels: int
    stride: int
    bottleneck_channels: int
    sub_layers: int

    linear_in_widths = True
    kernel_size: ClassVar[int]

    def validate(self) -> None:
        super().validate()
        if self.stride not in (1, 2):
            raise StructureError(f"{self}: the stride must be 1 or 2")
        if self.out_channels % 2:
            raise StructureError(f"{self}: out_channels must be even, either branch gives half of them")
        if self.stride == 1 and self.in_channels % 2:
            raise StructureError(f"{self}: with stride 1 in_channels must be even, either branch reads half of them")

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        mid, half = self.bottleneck_channels, self.out_channels // 2
        body = (
            *ghost_bn(in_channels // 2 if stride == 1 else in_channels, mid, style),
            interned(HS, mid),
            *depthwise_bn(mid, self.kernel_size, stride, style),
            *squeeze_excite(mid, style),
            *ghost_bn(mid, half, style),
            interned(HS, half),
        )
        return (GhostShuffleBlock(body),)


class SuperGhostShuffleK3(SuperGhostShuffleKX):
    """GhostShuffle, 3 x 3 kernels. Structure string: SuperGhostShuffleK3(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 3


class SuperGhostShuffleK5(SuperGhostShuffleKX):
    """GhostShuffle, 5 x 5 kernels. Structure string: SuperGhostShuffleK5(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 5


class SuperGhostShuffleK7(SuperGhostShuffleKX):
    """GhostShuffle, 7 x 7 kernels. Structure string: SuperGhostShuffleK7(in, out, stride, bottleneck, sub_layers)."""

    kernel_size = 7


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in (SuperGhostShuffleK3, SuperGhostShuffleK5, SuperGhostShuffleK7)}
