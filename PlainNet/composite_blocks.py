"""Blocks that hold a chain of others: sequences and residual links.

Source: residual links He et al. 2016.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from PlainNet import mean_field
from PlainNet.block import Arguments, Block
from PlainNet.chain import (
    chain_cost,
    chain_figures,
    chain_mean_field,
    chain_output_size,
    chain_widths,
    first_mismatch,
    mismatch_reason,
)
from PlainNet.costs import Cost, Figures, convolution_cost, joined_figures, window_output
from PlainNet.errors import StructureError
from PlainNet.lazy import lazy
from PlainNet.mean_field import Steps
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn

# Heights of maps at which those that are joined are compared.
SIZES = 1024, 1023


def fit_together(sizes_at: Iterable[tuple[int, ...]]) -> bool:
    """Whether maps that are joined have the same size at one of `SIZES` at least; a window of 2 has at even ones alone."""
    return any(len(set(sizes)) == 1 for sizes in sizes_at)


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
        """How many pixels the window moves: that of the blocks inside, multiplied."""
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

    def module_parts(self, style: Style = PLAIN) -> tuple[Block, ...]:
        return self.body


@dataclass(frozen=True)
class Sequential(BodyBlock):
    """Blocks one after the other. Structure string: Sequential(blocks)."""

    @lazy
    def any_width(self) -> bool:  # type: ignore[override]
        """Whether it holds nothing that has a width, as activations alone."""
        return all(block.any_width for block in self.body)

    @classmethod
    def read(cls, reader: Arguments) -> Self:
        return cls(reader.blocks())

    @lazy
    def text(self) -> str:  # type: ignore[override]
        return f"Sequential({self.body_text})"

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return chain_cost(self.body, size, style)[0]

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return chain_mean_field(self.body, style)

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Chain(parts)


@dataclass(frozen=True)
class UnitBlock(BodyBlock):
    """Base of the units written as Name(body width, stride, body); both numbers may be left out."""

    @classmethod
    def read(cls, reader: Arguments) -> Self:
        stated = reader.leading_integers(at_most=2)
        unit = cls(reader.blocks())
        if unit.any_width and stated and stated[0] != unit.in_channels:
            unit = unit.with_in_channels(stated[0])
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
    def any_width(self) -> bool:  # type: ignore[override]
        """Whether neither body nor shortcut has a width, as with activations alone."""
        return not self.has_projection and all(block.any_width for block in self.body)

    def validate(self) -> None:
        super().validate()
        # Maps of one pixel would be added to all pixels of the others.
        if not fit_together(
            (chain_output_size(self.body, size), window_output(size, 1, self.stride, 0)) for size in SIZES
        ):
            raise StructureError(f"{self}: its body gives a map of another size than its shortcut")

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
            shortcut = mean_field.dense(self.out_channels, 1, self.stride) + mean_field.BIAS
            shortcut += b"" if style.no_BN else mean_field.NORMALISE
        return mean_field.COPY + chain_mean_field(self.body, style) + mean_field.SWAP + shortcut + mean_field.ADD

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        if not self.has_projection:
            return modules.Residual(parts)
        return modules.ProjectedResidual(parts, self.in_channels, self.out_channels, self.stride, style)


@dataclass(frozen=True)
class ResBlockProj(ResBlock):
    """Body plus projection, always. Structure string: ResBlockProj([in, [stride,]] blocks)."""

    @property
    def has_projection(self) -> bool:
        return True


NETBLOCKS: tuple[type[Block], ...] = (Sequential, ResBlock, ResBlockProj)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the chains to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
