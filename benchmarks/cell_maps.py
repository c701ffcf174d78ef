"""The forward pass of NAS-Bench-201's networks in closed form: second moments of all maps, for many cells at once.

docs/cells_closed_form.md derives the rules. An edge either copies a map, averages it, or makes a new one that random weights
keep uncorrelated with all others. So each node of a cell is a sum of independent *sources* - the cell's input and its
convolutions - each behind a filter of its own, and maps that meet again by another way are one source with one filter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.cell_lags import Lags, ratio, row
from benchmarks.cell_layers import Convolved, Maps, convolve, log_scale, rectify
from benchmarks.nas_bench_201 import EDGES, OPERATIONS

COPY, SMALL, LARGE, POOL = (
    OPERATIONS.index(o) for o in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
)
EDGE = {edge: place for place, edge in enumerate(EDGES)}
# A source is a convolution, by the place of its edge, or this.
INPUT = -1
# By a source's number.
Filters = dict[int, np.ndarray]
# Smaller variances are those of rounding: nothing flows.
_NOTHING = 1e-12


class CellRecord(NamedTuple):
    """What the way back needs of a cell. linear: filter of each edge; slopes, correlations: of each edge's convolution."""

    lags: Lags
    channels: int
    linear: list[np.ndarray]
    slopes: list[np.ndarray]
    correlations: list[np.ndarray]
    positive: list[np.ndarray]


def run_cell(lags: Lags, maps: Maps, operations: np.ndarray, channels: int) -> tuple[Maps, np.ndarray, CellRecord]:
    """One cell of each network: its output, the sum of its BN layers' logarithms, and what the way back needs.

    operations: (cells, 6), places in OPERATIONS.
    """
    cell = _Cell(lags, maps, operations, channels)
    for node in range(3):
        cell.convolve_from(node)
        cell.add_up(node + 1)
    return cell.nodes[3], cell.scale, cell.record()


class _Cell:
    """A cell under way: its nodes so far, and the spectra of its sources."""

    def __init__(self, lags: Lags, maps: Maps, operations: np.ndarray, channels: int) -> None:
        one = np.ones((len(operations), 1))
        self.lags, self.channels = lags, channels
        is_of = {o: (operations == o).astype(float).T[:, :, None] for o in (COPY, SMALL, LARGE, POOL)}
        self.linear = [is_of[COPY][e] + is_of[POOL][e] * lags.pooling for e in range(len(EDGES))]
        self.small, self.large = is_of[SMALL], is_of[LARGE]
        self.nodes, self.filters = [maps], [{INPUT: one}]
        self.spectra = {INPUT: [lags.spectrum(f) for f in (maps.clean, maps.crossed, maps.common)]}
        self.overlaps: Filters = {INPUT: maps.overlap}
        # The squared norm of a source goes back to the input's and to what the channels of the nodes add, by their numbers.
        self.norms = {INPUT: lags.spectrum(maps.norm)}
        self.norm_filters: dict[int, Filters] = {INPUT: {INPUT: one}}
        self.norm_nodes: list[Filters] = [{INPUT: one}]
        self.scale = np.zeros(len(operations))
        self.slopes: dict[int, np.ndarray] = {}
        self.correlations: dict[int, np.ndarray] = {}
        self.positive: list[np.ndarray] = []

    def convolve_from(self, node: int) -> None:
        """The convolutions that read a node."""
        lags = self.lags
        maps = rectify(self.nodes[node], self.channels)
        self.positive.append(maps.positive)
        self.norms[node] = lags.spectrum(maps.own_norm)
        made = [convolve(lags, maps, kernel, self.channels) for kernel in (1, 3)]
        logs = [log_scale(m, self.channels) for m in made]
        spectra = [[lags.spectrum(f) for f in (m.clean, m.crossed, m.common)] for m in made]
        for target in range(node + 1, 4):
            edge = EDGE[node, target]
            small, large = self.small[edge], self.large[edge]
            self.spectra[edge] = [small * s + large * t for s, t in zip(*spectra, strict=True)]
            self.overlaps[edge] = small * made[0].overlap + large * made[1].overlap
            self.scale += small[:, 0] * logs[0] + large[:, 0] * logs[1]
            self.slopes[edge] = small[:, 0] * made[0].slope + large[:, 0] * made[1].slope
            self.correlations[edge] = small * made[0].clean + large * made[1].clean
            averages = small + large * lags.window
            self.norm_filters[edge] = {m: averages * f for m, f in self.norm_nodes[node].items()} | {node: averages}

    def add_up(self, node: int) -> None:
        """The sum of the edges that lead to a node."""
        lags = self.lags
        filters: Filters = {}
        for before in range(node):
            edge = EDGE[before, node]
            for source, factor in self.filters[before].items():
                filters[source] = filters.get(source, 0) + self.linear[edge] * factor
            filters[edge] = self.small[edge] + self.large[edge]
        self.filters.append(filters)
        squares = {source: factor * factor for source, factor in filters.items()}
        clean, crossed, common = (lags.of(_sum(squares, self.spectra, part)) for part in range(3))
        for function in (clean, crossed, common):
            function[clean[:, 0] < _NOTHING] = 0
        variance = clean[:, 0]
        overlap = np.zeros_like(clean)
        norms: Filters = {}
        for source, square in squares.items():
            share = row(ratio(lags.at_zero(square * self.spectra[source][0]), variance))
            overlap += share * share * self.overlaps[source]
            for name, factor in self.norm_filters[source].items():
                norms[name] = norms.get(name, 0) + share * factor
            if source == INPUT:
                passed = share[:, 0]
        self.norm_nodes.append(norms)
        norm = lags.of(sum(factor * factor * self.norms[name] for name, factor in norms.items()))
        shortcuts = {width: share * passed for width, share in self.nodes[0].shortcuts.items()}
        self.nodes.append(Maps(clean, crossed, common, overlap, norm, shortcuts))

    def record(self) -> CellRecord:
        """What the way back needs."""
        slopes, correlations = ([d[e] for e in range(len(EDGES))] for d in (self.slopes, self.correlations))
        return CellRecord(self.lags, self.channels, self.linear, slopes, correlations, self.positive)


def _sum(squares: Filters, spectra: dict[int, list[np.ndarray]], part: int) -> np.ndarray:
    return sum((square * spectra[source][part] for source, square in squares.items()), np.zeros(()))


class ReductionRecord(NamedTuple):
    """What the way back needs of a reduction. first, second: its convolutions; gain: of the shortcut's variance."""

    lags: Lags
    halved: Lags
    channels: int
    gain: float
    first: Convolved
    second: Convolved
    positive: np.ndarray
    second_positive: np.ndarray


def run_reduction(
    lags: Lags, halved: Lags, maps: Maps, channels: int, gain: float
) -> tuple[Maps, np.ndarray, ReductionRecord]:
    """The residual block of stride 2 between stages, like `run_cell`.

    channels: of its input. gain: variance behind the shortcut's 1 x 1 convolution over that before, which has no BN.
    """
    before = rectify(maps, channels)
    first = convolve(lags, before, 3, channels)
    norm = lags.averaged(maps.norm + before.own_norm)
    within = Maps(first.clean, first.crossed, first.common, first.overlap, norm).each(lambda f: f[:, lags.even])
    between = rectify(within, 2 * channels)
    second = convolve(halved, between, 3, 2 * channels)
    rho = ratio(maps.clean, row(maps.variance))
    own_norm = 2 * rho * rho / channels
    shortcut = [
        gain * lags.of(lags.spectrum(f) * lags.halving)[:, lags.even] for f in (maps.clean, maps.crossed, maps.common)
    ]
    clean, crossed, common = (s + f for s, f in zip(shortcut, second[:3], strict=True))
    share = ratio(shortcut[0][:, 0], clean[:, 0])
    squared, rest = row(share * share), row((1 - share) ** 2)
    overlap = rest * second.overlap + squared * (own_norm / 2 + maps.overlap)[:, lags.even]
    norm = rest * halved.averaged(within.norm + between.own_norm)
    norm += squared * lags.of(lags.spectrum(maps.norm + own_norm) * lags.halving)[:, lags.even]
    shortcuts = {width: s * share for width, s in maps.shortcuts.items()} | {channels: share}
    scale = log_scale(first, 2 * channels) + log_scale(second, 2 * channels)
    within_first = first._replace(clean=within.clean)
    record = ReductionRecord(lags, halved, channels, gain, within_first, second, before.positive, between.positive)
    return Maps(clean, crossed, common, overlap, norm, shortcuts), scale, record
