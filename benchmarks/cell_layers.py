"""Single layers of NAS-Bench-201's networks in closed form: second moments of maps behind a rectifier and a convolution.

docs/cells_closed_form.md derives the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.cell_lags import Lags, ratio, rectified_kernel, row, squared_rectifier_kernel

# Squared mean of a rectified standard normal variable.
SQUARED_MEAN = 1 / (2 * math.pi)
LARGEST_OVERLAP = 0.45
# BN's running variance starts at 1 and moves by 0.1 towards the batch variance in each of two passes.
BN_KEPT, BN_MOVED = 0.81, 0.19


@dataclass
class Maps:
    """A map of each cell: functions of a lag, (cells, lags).

    clean: covariance of two positions. crossed: of the clean run with the perturbed one. common: of two images, which zero
    padding gives a pattern along the border in common. overlap: mean squared correlation of two channels. norm: relative
    covariance of the squared norm, beyond what the map's own channels add. shortcuts: by the channels before a reduction, the
    share of the variance that came through its shortcut, (cells,).
    """

    clean: np.ndarray
    crossed: np.ndarray
    common: np.ndarray
    overlap: np.ndarray
    norm: np.ndarray
    shortcuts: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def variance(self) -> np.ndarray:
        """(cells,)."""
        return self.clean[:, 0]

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Maps:
        """All functions of a lag changed alike."""
        changed = [change(f) for f in (self.clean, self.crossed, self.common, self.overlap, self.norm)]
        return Maps(changed[0], changed[1], changed[2], changed[3], changed[4], self.shortcuts)


class Rectified(NamedTuple):
    """Behind a rectifier, less the mean: as in `Maps`, and more.

    own_norm: what the channels add to the norm's covariance. positive: chance that both positions are. squared_mean: of a
    channel.
    """

    clean: np.ndarray
    crossed: np.ndarray
    common: np.ndarray
    overlap: np.ndarray
    own_norm: np.ndarray
    positive: np.ndarray
    squared_mean: np.ndarray


class Convolved(NamedTuple):
    """Behind a convolution with BN: as in `Maps`.

    raw: variance before BN with weights of variance 1, (cells,). slope: what a squared gradient is multiplied by, (cells,).
    """

    clean: np.ndarray
    crossed: np.ndarray
    common: np.ndarray
    overlap: np.ndarray
    raw: np.ndarray
    slope: np.ndarray


def images(lags: Lags, count: int, gamma: float) -> Maps:
    """Behind the stem: white images, a 3 x 3 convolution of 3 channels, BN."""
    clean = np.zeros((count, lags.count))
    clean[:, 0] = 1
    overlap = lags.averaged(clean / 3)
    return Maps(clean, clean / math.sqrt(1 + gamma * gamma), np.zeros_like(clean), overlap, 2 * overlap)


def rectify(maps: Maps, channels: int) -> Rectified:
    """A rectifier; maps are sums of BN's outputs, so that channels have no mean."""
    variance = maps.variance
    rho = ratio(maps.clean, row(variance))
    # Norms that vary from position to position make the mean smaller, the more the further two positions are apart.
    norm, overlap = maps.norm[:, 0], maps.overlap[:, 0]
    kurtosis = row((1 + norm) / (1 + 2 * overlap))
    alike = kurtosis ** ((ratio(np.maximum(maps.norm, 0), row(norm)) - 1) / 4)
    squared_mean = kurtosis**-0.25 * SQUARED_MEAN
    kernel, positive = rectified_kernel(rho)
    # The correlation at a lag differs from channel to channel; the kernel's curvature makes their mean larger.
    spread = maps.overlap / (4 * np.pi)
    spread[:, 0] = 0
    crossed, _ = rectified_kernel(ratio(maps.crossed, row(variance)))
    common, _ = rectified_kernel(ratio(maps.common, row(variance)))
    gain = ((0.25 / (0.5 - squared_mean)) ** 2) * maps.overlap
    return Rectified(
        row(variance) * (kernel * alike - squared_mean + spread),
        row(variance) * (crossed * alike - squared_mean + spread),
        row(variance) * (common - SQUARED_MEAN),
        gain,
        squared_rectifier_kernel(rho) / channels,
        positive,
        squared_mean[:, 0] * variance,
    )


def convolve(lags: Lags, maps: Rectified, kernel: int, channels: int) -> Convolved:
    """A convolution of `channels` inputs, zero padding, and BN; behind a stride take `lags.even` of it.

    With random weights, taps are independent: covariances of one position's window with another's keep their lag.
    """
    overlap = ratio(maps.clean, row(maps.clean[:, 0])) ** 2 / channels + maps.overlap
    if kernel == 3:
        overlap = lags.averaged(overlap)
    inputs = kernel * kernel * channels
    excess = (1 - 2 / inputs) * (1 + 2 * np.minimum(overlap[:, 0], LARGEST_OVERLAP))
    # Sums over taps, along one axis squared: of the share of positions that a tap reaches, and of its square.
    reach = 1 - 1 / lags.height
    reached, squared = ((1 + 2 * reach) ** 2, (1 + 2 * reach**2) ** 2) if kernel == 3 else (1.0, 1.0)
    # What a position at the border misses of the channels' means is the same for all images. Of a pattern that lies there
    # already, windows of which a third is cut off keep less.
    kept = math.sqrt(6 / reached) if kernel == 3 else 1.0
    missed = row((reached - squared) * maps.squared_mean)
    common = reached * kept * maps.common + missed * lags.line
    clean = reached * (maps.clean - maps.common) + common
    crossed = reached * (maps.crossed - maps.common) + common
    raw = clean[:, 0]
    scale = row(ratio(np.ones_like(raw), raw))
    slope = excess * reached * scale[:, 0]
    return Convolved(clean * scale, crossed * scale, common * scale, overlap, channels * raw, slope)


def log_scale(made: Convolved, channels: int) -> np.ndarray:
    """Half the logarithm of BN's running variance, its mean over draws of the weights."""
    return 0.5 * np.log(BN_KEPT + BN_MOVED * made.raw / (1 + made.overlap[:, 0] / channels))
