"""Maps of a network that is being written: where the channels of a view lie, and how wide convolutions shall be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import fx

from gsnet.runtimes.channel_graph import View


@dataclass(frozen=True)
class Widths:
    """multiple: convolutions are widened to multiples of it. least: none is split into parts narrower than this.

    most, narrow: a dense layer reads a map of up to so many times as many channels as it needs, or of so few in all, the others
    with weights of zero, rather than a part that is cut out of it: a cut takes a map out of its blocked layout and back again.
    copied: so many numbers are copied in the time that one more convolution costs by being called.
    """

    multiple: int
    least: int = 24
    most: int = 4
    narrow: int = 64
    copied: int = 30_000

    def apart(self, more: int, numbers: int) -> bool:
        """Whether convolutions of each map and their sum, `more` in all, are better than copying the maps' numbers together."""
        return self.multiple > 1 and numbers >= self.copied * (more - 1)


@dataclass
class Map:
    """A map of the new network: of each position the (layer, channel) that lies there, or nobody's zeros."""

    node: fx.Node
    channels: View


@dataclass
class Lying:
    """Where a view lies. parts: (map, first channel, behind its last); width: of all; places: of each channel its position."""

    parts: tuple[tuple[int, int, int], ...]
    width: int
    places: np.ndarray


@dataclass
class Joined:
    """Maps side by side, `width` channels. places: of each channel of a view its position."""

    node: fx.Node
    width: int
    places: np.ndarray

    def in_order(self) -> bool:
        """Whether this is the view, and nothing else."""
        return self.width == len(self.places) and bool((self.places == np.arange(self.width)).all())

    def channels(self) -> np.ndarray | None:
        """Of each position the channel of the view that lies there, or -1; None where one of them stands for several."""
        order = np.full(self.width, -1)
        order[self.places] = np.arange(len(self.places))
        return order if int((order >= 0).sum()) == len(self.places) else None
