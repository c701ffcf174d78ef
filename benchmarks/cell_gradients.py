"""The way back through NAS-Bench-201's networks in closed form: second moments of the gradient at the map behind each block.

docs/cells_closed_form.md derives the rules. A gradient comes back as maps go forward: at each node it is a sum of independent
sources - the gradient at the cell's output and those that come out of convolutions - each behind a filter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.cell_lags import Lags, ratio, rectified_kernel, row
from benchmarks.cell_layers import Maps
from benchmarks.cell_maps import EDGE, CellRecord, ReductionRecord

# The chance that two positions of different images are both positive.
_BOTH = 0.25


class Gradient(NamedTuple):
    """A gradient of each cell: covariance of two positions by their lag, (cells, lags), and of two images, (cells,)."""

    within: np.ndarray
    between: np.ndarray


def last_gradient(lags: Lags, maps: Maps, batch_size: float) -> Gradient:
    """At the last cell's output: of a random linear function of the logits, through average, rectifier and BN."""
    variance = maps.variance
    rho = ratio(maps.clean, row(variance))
    _, positive = rectified_kernel(rho)
    gradient = Gradient(positive, np.zeros(len(rho)))
    return through_bn(lags, gradient, rho, ratio(np.ones_like(variance), variance), batch_size)


def through_bn(
    lags: Lags, gradient: Gradient, correlation: np.ndarray, slope: np.ndarray, batch_size: float
) -> Gradient:
    """Before BN: without the mean over batch and positions, and without the part along BN's output; slope: the rest's factor.

    correlation: of BN's output.
    """
    within, between = gradient
    mean = lags.mean(within) / batch_size + (1 - 1 / batch_size) * between
    within = within - row(mean)
    within -= row(lags.mean(within * correlation) / batch_size) * correlation
    return Gradient(within * row(slope), (between - mean) * slope)


def cell_gradient(record: CellRecord, gradient: Gradient, batch_size: float) -> Gradient:
    """At a cell's input, from that at its output."""
    lags, one = record.lags, np.ones((len(gradient.between), 1))
    filters: dict[int, dict[int, np.ndarray]] = {3: {-1: one}}
    spectra, between = {-1: lags.spectrum(gradient.within)}, {-1: gradient.between}
    nodes = {3: gradient}
    for node in (2, 1, 0):
        found: dict[int, np.ndarray] = {}
        for target in range(node + 1, 4):
            edge = EDGE[node, target]
            for source, factor in filters[target].items():
                found[source] = found.get(source, 0) + record.linear[edge] * factor
            slope, correlation = record.slopes[edge], record.correlations[edge]
            back = through_bn(lags, nodes[target], correlation, slope, batch_size)
            spectra[edge], between[edge] = lags.spectrum(back.within * record.positive[node]), back.between * _BOTH
            found[edge] = one
        filters[node] = found
        squares = {source: factor * factor for source, factor in found.items()}
        # The mean over positions passes as frequency 0 does.
        nodes[node] = Gradient(
            lags.of(sum(square * spectra[source] for source, square in squares.items())),
            sum(square[:, 0] * between[source] for source, square in squares.items()),
        )
    return nodes[0]


def reduction_gradient(
    record: ReductionRecord, gradient: Gradient, shortcut: np.ndarray, batch_size: float
) -> Gradient:
    """At a reduction's input, from that at its output.

    shortcut: the share of the last map's variance that came through this shortcut. Behind a 1 x 1 convolution without BN
    channels differ in variance; the last BN enlarges the gradient of the small ones, whose weights are small too.
    """
    lags, halved = record.lags, record.halved
    back = through_bn(halved, gradient, record.second.clean, record.second.slope, batch_size)
    back = Gradient(back.within * record.second_positive, back.between * _BOTH)
    back = through_bn(halved, back, record.first.clean, record.first.slope, batch_size)
    # Twice as many channels read the input as it has; a stride of 2 leaves a quarter of the positions, along either run.
    body = 2 * record.positive * lags.spread(back.within)
    gain = 2 * record.gain * (1 - 2 * shortcut**2 / record.channels)
    side = lags.of(lags.spectrum(lags.spread(gradient.within)) * lags.halving)
    between = 2 * _BOTH * back.between + gain * gradient.between
    return Gradient(body + row(gain) * side, between / 16)


def log_norm(lags: Lags, gradient: Gradient, channels: int) -> np.ndarray:
    """Logarithm of the gradient's norm, up to a constant; minus infinity where no gradient comes."""
    square = np.maximum(gradient.within[:, 0], 0) * channels * lags.height**2
    return 0.5 * np.log(square, out=np.full(len(square), -np.inf), where=square > 0)
