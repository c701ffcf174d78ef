"""Functions of a lag between two positions of a square map, for all cells at once.

A map of a random network is alike at all its positions but for the border. What is known of two positions, such as their
covariance, then depends on their distance (dx, dy) alone, and neither on its sign nor on which axis is which. The map is closed
to a torus, so that a lag goes up to half the height; of the pairs (dx, dy) those with dx >= dy are kept, in one row of numbers
for each cell, (0, 0) first. The Fourier transform of such a row is one matrix product, and an average over a window a factor
behind it.
"""

from __future__ import annotations

import math

import numpy as np

# Terms of the Hermite expansion by which a squared rectified channel is correlated between two positions.
_TERMS = 14


class Lags:
    """The lags of maps of one height, an even number, and what windows do to functions of them.

    count: lags, and frequencies. window: factor of an average over 3 x 3 positions. pooling: the same of average pooling that
    leaves the padding out. halving: of the covariance of averages over 2 x 2. line: correlation of values that are alike along
    one axis and independent along the other, as what lies at a border, less their mean.
    """

    def __init__(self, height: int) -> None:
        half = height // 2
        self.height = height
        self._far, self._near = np.tril_indices(half + 1)
        self.count = len(self._far)
        lag = np.arange(half + 1)
        # How often a lag occurs along one axis of the torus.
        often = np.where((lag == 0) | (lag == half), 1.0, 2.0)
        cosine = np.cos(2 * np.pi * np.outer(lag, lag) / height)
        self._times = self._both(often) * np.where(self._far == self._near, 1, 2)
        both = cosine[np.ix_(self._far, self._far)] * cosine[np.ix_(self._near, self._near)]
        both += cosine[np.ix_(self._far, self._near)] * cosine[np.ix_(self._near, self._far)]
        self._transform = both / 2 * self._times[:, None]
        wave = 2 * np.pi * lag / height
        self.window = self._both((1 + 2 * np.cos(wave)) / 3)
        self.pooling = self._both(pooling_factors(height))
        self.halving = self._both((1 + np.cos(wave)) / 2)
        # Behind a stride of 2 these lags are left, in the order of a map of half the height.
        place = {pair: index for index, pair in enumerate(zip(self._far, self._near, strict=True))}
        far, near = np.tril_indices(half // 2 + 1)
        self.even = np.array([place[2 * x, 2 * y] for x, y in zip(far, near, strict=True)])
        line = (self._far == 0) * 0.5 + (self._near == 0) * 0.5
        self.line = (line - self.mean(line)) / (line - self.mean(line))[0]

    def _both(self, along_one: np.ndarray) -> np.ndarray:
        """A product of the same function of either axis."""
        return along_one[self._far] * along_one[self._near]

    def spectrum(self, function: np.ndarray) -> np.ndarray:
        """The Fourier transform, real: (cells, count)."""
        return function @ self._transform

    def of(self, spectrum: np.ndarray) -> np.ndarray:
        """The function of a spectrum: (cells, count)."""
        return spectrum @ self._transform / self.height**2

    def mean(self, function: np.ndarray) -> np.ndarray:
        """The mean over all pairs of positions."""
        return function @ self._times / self.height**2

    # At lag 0 the function is the mean of its spectrum.
    at_zero = mean

    def averaged(self, function: np.ndarray) -> np.ndarray:
        """The mean over two windows of 3 x 3 positions, one at either end of the lag."""
        return self.of(self.spectrum(function) * self.window**2)

    def spread(self, function: np.ndarray) -> np.ndarray:
        """A function of the lags of a map of half the height, at the places to which a stride of 2 takes it; 0 between them.

        A mean over all positions: a quarter of pairs at an even lag start from a position that the stride keeps.
        """
        result = np.zeros((len(function), self.count))
        result[:, self.even] = function / 4
        return result


def pooling_matrix(height: int) -> np.ndarray:
    """Average pooling over three positions along one axis, stride 1, of those that lie on the map: (height, height)."""
    near = np.abs(np.subtract.outer(np.arange(height), np.arange(height))) <= 1
    return near / near.sum(axis=1, keepdims=True)


def pooling_factors(height: int) -> np.ndarray:
    """What is left of each frequency of a torus behind a pooling that leaves the padding out: (height / 2 + 1,).

    Its eigenvectors are nearly cosines of half those frequencies. A frequency of the torus takes the mean fourth power of two
    neighbouring eigenvalues: so the variance behind two poolings is right.
    """
    values = np.sort(np.linalg.eigvals(pooling_matrix(height)).real)[::-1]
    fourth = values**4
    pairs = ((fourth[1:-1:2] + fourth[2:-1:2]) / 2) ** 0.25 * np.sign(values[1:-1:2] + values[2:-1:2])
    return np.concatenate([values[:1], pairs, values[-1:]])


def rectified_kernel(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E max(x, 0) max(y, 0) and P(x, y > 0) of standard normal x and y: arc-cosine kernels (Cho and Saul 2009)."""
    rho = np.clip(correlation, -1, 1)
    angle = np.arccos(rho)
    kernel = (np.sqrt(1 - rho * rho) + rho * (np.pi - angle)) / (2 * np.pi)
    return kernel, 0.5 - angle / (2 * np.pi)


def _squared_rectifier() -> np.ndarray:
    """Squared Hermite coefficients of (max(z, 0) - its mean)^2, over that of order 0, which is left out."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    values = weights / weights.sum() * (np.maximum(nodes, 0) - 1 / math.sqrt(2 * math.pi)) ** 2
    before, polynomial = np.ones_like(nodes), nodes
    found = [values.sum()]
    for order in range(1, _TERMS):
        found.append((values * polynomial).sum())
        before, polynomial = polynomial, (nodes * polynomial - math.sqrt(order) * before) / math.sqrt(order + 1)
    squares = np.square(found)
    squares[1:] /= squares[0]
    squares[0] = 0
    return squares


_SQUARED_RECTIFIER = _squared_rectifier()


def squared_rectifier_kernel(correlation: np.ndarray) -> np.ndarray:
    """Relative covariance of (max(x, 0) - mean)^2 and the same of y, x and y standard normal."""
    result = np.zeros_like(correlation)
    for share in _SQUARED_RECTIFIER[::-1]:
        result = result * correlation + share
    return result


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, and 0 where the denominator is 0, as for maps through which nothing flows."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)


def row(values: np.ndarray) -> np.ndarray:
    """One number for each cell, (cells,), beside functions of a lag: (cells, 1)."""
    return values[:, None]
