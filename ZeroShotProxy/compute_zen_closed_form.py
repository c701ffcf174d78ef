"""Zen-Score in closed form: mean-field theory in place of forward passes (docs/zen_closed_form.md)."""

from __future__ import annotations

import numpy as np

from PlainNet import Block, Network, StructureError, Style
from PlainNet.step_table import StepTable
from ZeroShotProxy.mean_field_machine import FAILURES, first_map, prepare, room, run
from ZeroShotProxy.per_thread import PerThread
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext

WITHOUT_LINKS = Style(no_reslink=True)
# Maps behind beginnings: 2 kB each at resolution 32; twice as many as a population of 512 has.
LARGEST_BEGINNINGS = 8_000
# No map is kept behind the last block, nor behind the one before: of the mutations of n blocks, of which two are replaced at
# random places, one in n^2 shares all but the last with its parent. Keeping a map for it costs more than it saves.
SELDOM_SHARED = 2


# Blocks that several networks begin with: a number of their own, and the map behind them, `maps[row]`.
Beginning = tuple[int, np.ndarray, int]


class Beginnings:
    """The maps behind the first blocks of networks that were scored lately; a mutation keeps a third of its parent's.

    What was used since half as many maps as it may hold were new is still there; older ones go.
    """

    def __init__(self, largest: int) -> None:
        self._half = largest // 2
        self._recent: dict[tuple[int, str], Beginning] = {}
        self._older: dict[tuple[int, str], Beginning] = {}
        self._count = 0

    def longest(self, beginning: Beginning, blocks: tuple[Block, ...]) -> tuple[Beginning, int]:
        """The longest known beginning of these blocks, and how many of them it has."""
        recent, older = self._recent, self._older
        count = 0
        for block in blocks:
            key = beginning[0], block.key
            longer = recent.get(key)
            if longer is None:
                longer = older.get(key)
                if longer is None:
                    break
                recent[key] = longer
            beginning = longer
            count += 1
        return beginning, count

    def add(self, beginning: Beginning, blocks: tuple[Block, ...], maps: np.ndarray) -> None:
        """Take in the maps behind each of the blocks that follow a beginning."""
        if len(self._recent) > self._half:
            self._older, self._recent = self._recent, {}
        number, count, recent = beginning[0], self._count, self._recent
        for row, block in enumerate(blocks):
            count += 1
            recent[number, block.key] = count, maps, row
            number = count
        self._count = count


class ClosedForm:
    """Expected scores of random networks, for one way of scoring.

    It remembers the steps of the blocks that it has met, and the maps behind the first blocks of networks, where a network that
    begins alike is taken up.

    resolution: of the images, at least 1. gamma: the perturbation's size. style: links, squeeze-and-excitation, BN. The same
    network always gets the same score, whatever was scored before.
    """

    def __init__(self, resolution: int = 32, gamma: float = 1e-2, style: Style = WITHOUT_LINKS) -> None:
        if resolution < 1 or not gamma > 0:
            raise ValueError(f"resolution is {resolution} and gamma {gamma}; both must be positive")
        self.resolution = resolution
        self.gamma = gamma
        self.style = style
        self._table = StepTable(style)
        self._stack = room(resolution)
        self._map_width = first_map(resolution, gamma, 1).size
        self._images: dict[int, Beginning] = {}
        self._beginnings = Beginnings(LARGEST_BEGINNINGS)
        prepare()

    def forget_beginnings(self) -> None:
        """Compute the next networks from their images on; the steps of blocks stay known."""
        self._beginnings = Beginnings(LARGEST_BEGINNINGS)

    def score(self, network: Network) -> float:
        """Expected Zen-Score. Raises ProxyFailure where a block has no mean-field rule."""
        perturbation, scale = self.parts(network)
        return perturbation + scale

    def parts(self, network: Network) -> tuple[float, float]:
        """Its two terms: log sum |f(x) - f(x')|, and the sum over BN layers of log sqrt(running variance)."""
        blocks = network.blocks
        shared = max(0, len(blocks) - SELDOM_SHARED)
        # The number of an activation that stands first is a note.
        channels = network.in_channels if blocks[0].any_width else blocks[0].in_channels
        images = self._images.get(channels) or self._no_block(channels)
        beginning, first = self._beginnings.longest(images, blocks[:shared])
        _, maps, row = beginning
        calls = self._calls(blocks[first:])
        kept = np.empty((shared - first, self._map_width))
        failure, perturbation, scale = run(calls, self._table.rows, maps, row, kept, self._stack)
        if failure:
            raise ProxyFailure(FAILURES[failure])
        self._beginnings.add(beginning, blocks[first:shared], kept)
        return perturbation, scale

    def _no_block(self, channels: int) -> Beginning:
        """What all networks that read images of so many channels begin with: the images."""
        images = self._images[channels] = -channels, first_map(self.resolution, self.gamma, channels), 0
        return images

    def _calls(self, blocks: tuple[Block, ...]) -> np.ndarray:
        if self._table.is_full:
            self._table = StepTable(self.style)
        known, call = self._table.calls, self._table.call
        try:
            # Of a bytearray, which may be written to: for a read-only array the machine would be compiled a second time.
            return np.frombuffer(bytearray().join([known.get(block.key) or call(block) for block in blocks]))
        except StructureError as error:
            raise ProxyFailure(str(error)) from None


_closed_forms = PerThread(ClosedForm)


def _for(context: ScoringContext) -> ClosedForm:
    settings = context.settings
    return _closed_forms.get(settings.resolution, settings.gamma, context.style)


@proxy("ZenClosedForm", needs=Needs.VALUE, keeps_links=False)
def zen_closed_form(network: Network, context: ScoringContext) -> float:
    """Mean of the Zen-Score over weights and images (Lin et al. 2021, algorithm 1). Larger is better."""
    return _for(context).score(network)


@proxy("PerturbationClosedForm", needs=Needs.VALUE)
def perturbation_closed_form(network: Network, context: ScoringContext) -> float:
    """Zen-Score without its BN sum: log of the mean absolute change of the last map. Larger is better."""
    return _for(context).parts(network)[0]
