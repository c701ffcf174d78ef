"""GSNet's GhostShuffle unit.

Sources: channel shuffle Zhang et al. 2018 and Ma et al. 2018 (ShuffleNet V1, V2); the unit is GSNet's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from PlainNet import mean_field
from PlainNet.basic_blocks import BN
from PlainNet.block import Block, interned
from PlainNet.chain import chain_figures, chain_mean_field, chain_output_size
from PlainNet.composite_blocks import SIZES, UnitBlock, fit_together
from PlainNet.convolutions import ConvDW, GhostConv
from PlainNet.costs import Cost, Figures, joined_figures
from PlainNet.errors import StructureError
from PlainNet.mean_field import Steps
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class GhostShuffleBlock(UnitBlock):
    """Two branches, each giving half of the output, concatenated; with stride 1 each reads half of the input.

    Structure string: GhostShuffleBlock([body width, [stride,]] body blocks). The other branch ("projection") is
    GhostConv 1 x 1, BN, ReLU; with stride 2 it begins with a depth-wise convolution of the body's kernel and BN.
    With stride 1 the concatenation is shuffled in two groups (even channels first), with stride 2 it is not. The style
    may close the projection by hard-swish and shuffle with either stride.
    """

    shuffled_strides: ClassVar[tuple[int, ...]] = (1,)

    @property
    def body_channels(self) -> int:
        """Channels that enter either branch."""
        return self._widths[0]

    @property
    def in_channels(self) -> int:  # type: ignore[override]
        return self.body_channels * (2 if self.stride == 1 else 1)

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return 2 * self._widths[1]

    @property
    def kernel_size(self) -> int:
        """Kernel of the body's last depth-wise convolution; 0 when it has none."""
        kernels = [block.kernel_size for block in self.body if isinstance(block, ConvDW)]
        return kernels[-1] if kernels else 0

    def projection(self, style: Style = PLAIN) -> tuple[Block, ...]:
        """The primitives of the second branch, its closing activation left out."""
        mid, half = self._widths
        return _shuffle_projection(mid, half, self.kernel_size if self.stride > 1 else 0, self.stride, style.no_BN)

    def shuffles(self, style: Style = PLAIN) -> bool:
        """Whether the channels of the concatenation are shuffled."""
        return style.shuffle_always or self.stride in self.shuffled_strides

    def validate(self) -> None:
        super().validate()
        if self.stride not in (1, 2):
            raise StructureError(f"{self}: the stride must be 1 or 2, its body has {self.stride}")
        if self.stride == 2 and not self.kernel_size:
            raise StructureError(f"{self}: with stride 2 the body needs a ConvDW, whose kernel the other branch takes")
        branches = self.body, self.projection()
        if not fit_together(tuple(chain_output_size(branch, size) for branch in branches) for size in SIZES):
            raise StructureError(f"{self}: its body gives a map of another size than the other branch")

    def with_in_channels(self, channels: int) -> Self:
        if self.stride == 1 and channels % 2:
            raise StructureError(f"{self} cannot read {channels} channels: it splits them in two halves")
        return super().with_in_channels(channels // 2 if self.stride == 1 else channels)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return Cost(*self.figures(size, style)[:4])

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        projection = chain_figures(self.projection(style), size, style)
        return joined_figures(chain_figures(self.body, size, style), projection)

    def mean_field(self, style: Style = PLAIN) -> Steps:
        enter = mean_field.split(self.body_channels) if self.stride == 1 else mean_field.COPY
        body = chain_mean_field(self.body, style)
        relu = style.projection_activation == "relu"
        closing = mean_field.RECTIFY if relu else mean_field.HARD_SWISH
        projection = chain_mean_field(self.projection(style), style) + closing
        shuffle = mean_field.DEINTERLEAVE if self.shuffles(style) else b""
        return enter + projection + mean_field.SWAP + body + mean_field.CONCATENATE + shuffle

    def module_parts(self, style: Style = PLAIN) -> tuple[Block, ...]:
        return (*self.body, *self.projection(style))

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.GhostShuffle(
            parts[: len(self.body)],
            [modules.bare(part) for part in parts[len(self.body) :]],
            activation=style.projection_activation,
            split=self.stride == 1,
            shuffle=self.shuffles(style),
        )


@lru_cache(maxsize=20_000)
def _shuffle_projection(mid: int, half: int, kernel_size: int, stride: int, no_BN: bool) -> tuple[Block, ...]:
    """Of a GhostShuffle unit; the kernel matters where the stride is above 1."""
    ghost: tuple[Block, ...] = (interned(GhostConv, mid, half, 1, 1), interned(BN, half))
    down: tuple[Block, ...] = ()
    if stride > 1:
        down = (interned(ConvDW, mid, kernel_size, stride), interned(BN, mid))
    branch = (*down, *ghost)
    return tuple(block for block in branch if not isinstance(block, BN)) if no_BN else branch


NETBLOCKS: tuple[type[Block], ...] = (GhostShuffleBlock,)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the unit to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
