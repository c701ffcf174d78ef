"""What layers are made from: blocks that define their own costs, and those as wide as their input."""

from __future__ import annotations

from dataclasses import replace

from PlainNet.block import Block
from PlainNet.costs import Figures
from PlainNet.lazy import lazy
from PlainNet.style import PLAIN, Style


class Primitive(Block):
    """Base of the layers that define their own costs; what they cost at a map size, in the latest style, is remembered."""

    @lazy
    def _known_figures(self) -> dict[int, tuple[Style, Figures]]:
        return {}

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        known = self._known_figures.get(size)
        # The same object, for to compare what is in it takes as long as to count most layers.
        if known is None or known[0] is not style:
            known = self._known_figures[size] = style, (*self.cost(size, style), self.output_size(size))
        return known[1]


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
