"""What layers are made from: blocks that define their own costs, and those as wide as their input."""

from __future__ import annotations

from dataclasses import replace

from PlainNet.block import Block
from PlainNet.costs import Figures
from PlainNet.lazy import lazy
from PlainNet.style import PLAIN, Style


class Primitive(Block):
    """Base of the layers that define their own costs; what they cost at a map size is remembered."""

    @lazy
    def _known_figures(self) -> dict[int, Figures]:
        return {}

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        known = self._known_figures.get(size)
        if known is None:
            known = self._known_figures[size] = (*self.cost(size, style), self.output_size(size))
        return known


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
