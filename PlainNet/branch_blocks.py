"""Blocks whose branches all read the same input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from PlainNet import mean_field
from PlainNet.block import Arguments, Block
from PlainNet.composite_blocks import SIZES, Sequential, fit_together
from PlainNet.costs import Cost
from PlainNet.errors import StructureError
from PlainNet.lazy import lazy
from PlainNet.mean_field import Steps
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BranchBlock(Block):
    """Base of the blocks whose branches all read the same input; a branch of several blocks is a Sequential."""

    branches: tuple[Block, ...]
    label: str = ""

    @classmethod
    def read(cls, reader: Arguments) -> Self:
        branches = reader.branches()
        return cls(tuple(b[0] if len(b) == 1 else Sequential(b) for b in branches), reader.label)

    @property
    def in_channels(self) -> int:  # type: ignore[override]
        return self._first.in_channels

    @property
    def _first(self) -> Block:
        """The first branch that has a width of its own, if there is one."""
        return next((branch for branch in self.branches if not branch.any_width), self.branches[0])

    @property
    def branch_widths(self) -> tuple[int, ...]:
        """What each branch gives; one that has no width of its own gives what it reads."""
        return tuple(self.in_channels if branch.any_width else branch.out_channels for branch in self.branches)

    @property
    def stride(self) -> int:  # type: ignore[override]
        """How many pixels the window moves: the same in all branches."""
        return self.branches[0].stride

    @lazy
    def text(self) -> str:  # type: ignore[override]
        label = f"{self.label}|" if self.label else ""
        return f"{type(self).__name__}({label}{';'.join([branch.text for branch in self.branches])})"

    def validate(self) -> None:
        if not self.branches:
            raise StructureError(f"{type(self).__name__} holds no branch")
        for branch in self.branches:
            branch.validate()
        first = self._first
        for branch in self.branches:
            wrong_width = not branch.any_width and branch.in_channels != first.in_channels
            if wrong_width or branch.stride != first.stride:
                raise StructureError(f"{type(self).__name__}: {branch} and {first} differ in input width or stride")
        if not fit_together(tuple(branch.output_size(size) for branch in self.branches) for size in SIZES):
            raise StructureError(f"{self}: its branches give maps of different sizes")

    def with_in_channels(self, channels: int) -> Self:
        return replace(self, branches=tuple(branch.with_in_channels(channels) for branch in self.branches))

    def output_size(self, size: int) -> int:
        return self.branches[0].output_size(size)

    def module_parts(self, style: Style = PLAIN) -> tuple[Block, ...]:
        return self.branches

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

    @lazy
    def any_width(self) -> bool:  # type: ignore[override]
        """Whether no branch has a width, as activations alone."""
        return all(branch.any_width for branch in self.branches)

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return self.branch_widths[0]

    def validate(self) -> None:
        super().validate()
        for branch, width in zip(self.branches, self.branch_widths, strict=True):
            if width != self.out_channels:
                raise StructureError(f"MultiSumBlock: {branch} and {self.branches[0]} differ in output width")

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return self._branch_steps(style) + mean_field.ADD * (len(self.branches) - 1)

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.BranchSum(parts)


@dataclass(frozen=True)
class MultiCatBlock(BranchBlock):
    """Concatenation of branches over channels. Structure string: MultiCatBlock([label|] branch; branch...).

    It has a width whatever it holds: of activations alone, that which they note.
    """

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        return sum(self.branch_widths)

    def mean_field(self, style: Style = PLAIN) -> Steps:
        return self._branch_steps(style) + mean_field.CONCATENATE * (len(self.branches) - 1)

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.BranchConcatenation(parts)


NETBLOCKS: tuple[type[Block], ...] = (MultiSumBlock, MultiCatBlock)


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the branching blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in NETBLOCKS}
