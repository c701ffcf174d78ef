"""Blocks that hold other blocks: chains, branches, residual links and the GhostShuffle unit.

Sources: residual links He et al. 2016; channel shuffle Zhang et al. 2018 and Ma et al. 2018 (ShuffleNet V1, V2); the
GhostShuffle unit is GSNet's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from PlainNet import mean_field
from PlainNet.basic_blocks import BN, ConvDW, GhostConv
from PlainNet.block import (
    PLAIN,
    Block,
    Cost,
    Figures,
    Style,
    chain_cost,
    chain_figures,
    chain_mean_field,
    chain_output_size,
    chain_widths,
    convolution_cost,
    first_mismatch,
    interned,
    joined_figures,
    mismatch_reason,
)
from PlainNet.errors import StructureError
from PlainNet.lazy import lazy
from PlainNet.mean_field import Steps

if TYPE_CHECKING:
    from torch import nn

    from PlainNet.parser import Reader


def validate_chain(blocks: tuple[Block, ...]) -> None:
    """Raise StructureError unless every block is sound and reads what the one before it gives."""
    for block in blocks:
        block.validate()
    if mismatch := first_mismatch(blocks):
        raise StructureError(mismatch_reason(blocks[mismatch[0]], blocks[mismatch[1]]))


def with_chain_in_channels(blocks: tuple[Block, ...], channels: int) -> tuple[Block, ...]:
    """Blocks one after the other, the first one that has a width of its own reading `channels` channels.

    The width travels on through blocks whose output is as wide as their input.
    """
    changed: list[Block] = []
    for block in blocks:
        if not block.any_width and channels == block.in_channels:
            return (*changed, *blocks[len(changed) :])
        changed.append(block.with_in_channels(channels))
        channels = channels if block.any_width else changed[-1].out_channels
    return tuple(changed)


@dataclass(frozen=True)
class BodyBlock(Block):
    """Base of the blocks that wrap a chain."""

    body: tuple[Block, ...]

    @lazy
    def _widths(self) -> tuple[int, int]:
        return chain_widths(self.body)

    @property
    def in_channels(self) -> int:  # type: ignore[override]
        return self._widths[0]

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return self._widths[1]

    @lazy
    def stride(self) -> int:  # type: ignore[override]
        product = 1
        for block in self.body:
            product *= block.stride
        return product

    @lazy
    def body_text(self) -> str:
        """The canonical text of the chain."""
        return "".join([block.text for block in self.body])

    def validate(self) -> None:
        if not self.body:
            raise StructureError(f"{type(self).__name__} holds no block")
        validate_chain(self.body)

    def with_in_channels(self, channels: int) -> Self:
        return replace(self, body=with_chain_in_channels(self.body, channels))

    def output_size(self, size: int) -> int:
        return chain_output_size(self.body, size)


@dataclass(frozen=True)
class Sequential(BodyBlock):
    """Blocks one after the other. Structure string: Sequential(blocks)."""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.blocks())

    @lazy
    def text(self) -> str:  # type: ignore[override]
        return f"Sequential({self.body_text})"

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return chain_cost(self.body, size, style)[0]

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return chain_mean_field(self.body, style)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Chain([block.module(style) for block in self.body])


@dataclass(frozen=True)
class UnitBlock(BodyBlock):
    """Base of the units written as Name(body width, stride, body); both numbers may be left out."""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        stated = reader.leading_integers(at_most=2)
        unit = cls(reader.blocks())
        for name, value, actual in zip(("in_channels", "stride"), stated, (unit._widths[0], unit.stride), strict=False):
            if value != actual:
                raise StructureError(f"{cls.__name__} states {name} {value}, but its body has {actual}: {unit.text}")
        return unit

    @lazy
    def text(self) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({self._widths[0]},{self.stride},{self.body_text})"


@dataclass(frozen=True)
class ResBlock(UnitBlock):
    """Body plus shortcut: the identity where shapes allow, else a projection (1 x 1 convolution with bias, BN).

    Structure string: ResBlock([in, [stride,]] blocks). No activation after the sum.
    """

    @property
    def has_projection(self) -> bool:
        """Whether the shortcut is a projection."""
        return self.stride > 1 or self.in_channels != self.out_channels

    @lazy
    def _known_figures(self) -> dict[tuple[int, Style], Figures]:
        return {}

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        known = self._known_figures.get((size, style))
        if known is None:
            known = chain_figures(self.body, size, style)
            if self.has_projection:
                known = joined_figures(known, self._projection_figures(size, known[4], style))
            self._known_figures[size, style] = known
        return known

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return Cost(*self.figures(size, style)[:4])

    def _projection_figures(self, size: int, out: int, style: Style) -> Figures:
        width = self.out_channels
        parameters, flops, memory_access, peak = convolution_cost(self.in_channels, width, 1, size, out)
        return parameters + (width if style.no_BN else 3 * width), flops, memory_access, peak, out

    def mean_field(self, style: Style = PLAIN) -> Steps:
        shortcut = b""
        if self.has_projection:
            shortcut = mean_field.dense(self.out_channels, 1, self.stride)
            shortcut += b"" if style.no_BN else mean_field.NORMALISE
        return mean_field.COPY + chain_mean_field(self.body, style) + mean_field.SWAP + shortcut + mean_field.ADD

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        body = [block.module(style) for block in self.body]
        if not self.has_projection:
            return modules.Residual(body)
        return modules.ProjectedResidual(body, self.in_channels, self.out_channels, self.stride, style)


@dataclass(frozen=True)
class ResBlockProj(ResBlock):
    """Body plus projection, always. Structure string: ResBlockProj([in, [stride,]] blocks)."""

    @property
    def has_projection(self) -> bool:
        return True


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
        return enter + body + mean_field.SWAP + projection + mean_field.SWAP + mean_field.CONCATENATE + shuffle

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.GhostShuffle(
            [block.module(style) for block in self.body],
            [modules.bare(block.module(style)) for block in self.projection(style)],
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


@dataclass(frozen=True)
class BranchBlock(Block):
    """Base of the blocks whose branches all read the same input; a branch of several blocks is a Sequential."""

    branches: tuple[Block, ...]
    label: str = ""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        branches = reader.branches()
        return cls(tuple(b[0] if len(b) == 1 else Sequential(b) for b in branches), reader.label)

    @property
    def in_channels(self) -> int:  # type: ignore[override]
        return self.branches[0].in_channels

    @property
    def stride(self) -> int:  # type: ignore[override]
        return self.branches[0].stride

    @lazy
    def text(self) -> str:  # type: ignore[override]
        label = f"{self.label}|" if self.label else ""
        return f"{type(self).__name__}({label}{';'.join([branch.text for branch in self.branches])})"

    def validate(self) -> None:
        if not self.branches:
            raise StructureError(f"{type(self).__name__} holds no branch")
        first = self.branches[0]
        for branch in self.branches:
            branch.validate()
            if branch.in_channels != first.in_channels or branch.stride != first.stride:
                raise StructureError(f"{type(self).__name__}: {branch} and {first} differ in input width or stride")

    def with_in_channels(self, channels: int) -> Self:
        return replace(self, branches=tuple(branch.with_in_channels(channels) for branch in self.branches))

    def output_size(self, size: int) -> int:
        return self.branches[0].output_size(size)

    def _branch_steps(self, style: Style) -> Steps:
        # Every branch but the last reads a copy of the input; finished ones wait below it, in order.
        *others, last = [branch.mean_field(style) for branch in self.branches]
        return b"".join([mean_field.COPY + branch + mean_field.SWAP for branch in others]) + last

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        total = Cost()
        for branch in self.branches:
            total = total.plus(branch.cost(size, style))
        return total


@dataclass(frozen=True)
class MultiSumBlock(BranchBlock):
    """Sum of branches. Structure string: MultiSumBlock([label|] branch; branch...)."""

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return self.branches[0].out_channels

    def validate(self) -> None:
        super().validate()
        for branch in self.branches:
            if branch.out_channels != self.out_channels:
                raise StructureError(f"MultiSumBlock: {branch} and {self.branches[0]} differ in output width")

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return self._branch_steps(style) + mean_field.ADD * (len(self.branches) - 1)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.BranchSum([branch.module(style) for branch in self.branches])


@dataclass(frozen=True)
class MultiCatBlock(BranchBlock):
    """Concatenation of branches over channels. Structure string: MultiCatBlock([label|] branch; branch...)."""

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return sum(branch.out_channels for branch in self.branches)

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return self._branch_steps(style) + mean_field.CONCATENATE * (len(self.branches) - 1)

    def module(self, style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.BranchConcatenation([branch.module(style) for branch in self.branches])


NETBLOCKS: tuple[type[Block], ...] = (
    Sequential,
    MultiSumBlock,
    MultiCatBlock,
    ResBlock,
    ResBlockProj,
    GhostShuffleBlock,
)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the composite blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
