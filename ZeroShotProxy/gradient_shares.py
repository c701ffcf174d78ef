"""How gradients at two positions of an image, and in two images, go together, as parts of their mean square.

A row of such shares stands beside each gradient of `gradient_map`; docs/gradient_norm.md derives what becomes of them.
"""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from PlainNet.mean_field import Step
from ZeroShotProxy.gradient_layout import FIRST, KIND, NUMBER, PAIR_COUNT, PAIRS
from ZeroShotProxy.gradient_map import NORMED, PROFILE, SIZE, sum_over_channels
from ZeroShotProxy.gradient_map import scale_all as scale_gradient
from ZeroShotProxy.gradient_slopes import BESIDE_PARAMETERS

# A row of shares. SAME, ABROAD: covariance of the gradients at two positions of an image, and in two images. *_OUT: that of
# their products with the output of the BN before, behind an activation; OWN_OUT: the mean square of such a product.
# ALONG_SHIFT, ALONG_SCALE: what a gradient with respect to BN's shift and scale misses since a window over one channel follows.
# TOGETHER: in front of BN, the mean over positions and images of squared gradient times squared map, over the product of means.
SAME, ABROAD, SAME_OUT, ABROAD_OUT, OWN_OUT, ALONG_SHIFT, ALONG_SCALE, TOGETHER = range(8)
SHARES = 8
# Squares by kind of parameter.
CONVOLUTIONS, DEPTHWISE, SCALES, SHIFTS = range(4)
_RECTIFIER, _BISECTIONS = 3, 40


@compiled
def density_at_chance(chance: float) -> float:
    """The standard normal density where the distribution has this value."""
    low, high = -8.0, 8.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < chance:
            low = middle
        else:
            high = middle
    return math.exp(-0.5 * low * low) / math.sqrt(2 * math.pi)


@compiled
def mean_squares(gradient: np.ndarray, shares: np.ndarray, images: float) -> tuple[float, float]:
    """The squared sum over all positions and images of gradient, and of gradient times BN's output, over the sum of squares."""
    others = gradient[SIZE] * gradient[SIZE] - 1
    abroad = (others + 1) * (images - 1)
    shift = 1 + others * shares[SAME] + abroad * shares[ABROAD]
    scale = shares[OWN_OUT] + others * shares[SAME_OUT] + abroad * shares[ABROAD_OUT]
    return shift, scale


@compiled
def centred(gradient: np.ndarray, profile: np.ndarray) -> float:
    """Zero padding makes both gradient and map smaller at a border; by how much the mean of their product is larger for it.

    profile: of the map's variance along an axis, of mean 1 like that of the squared gradient.
    """
    size = int(gradient[SIZE])
    total = 0.0
    for position in range(size):
        total += gradient[PROFILE + position] * profile[position]
    mean = total / size
    return mean * mean


@compiled
def normalise_shares(
    gradient: np.ndarray, shares: np.ndarray, record: np.ndarray, images: float, squares: np.ndarray
) -> None:
    """Before a gradient goes back through BN: squares of scale and shift, and what BN takes from what all have in common."""
    shift, scale = mean_squares(gradient, shares, images)
    together = centred(gradient, record[PAIRS + 2 * int(record[PAIR_COUNT]) :]) * math.exp(gradient[NORMED])
    size = gradient[SIZE] * gradient[SIZE]
    square, values = images * size * sum_over_channels(gradient), images * size
    squares[SHIFTS] += square * max(0.0, shift - shares[ALONG_SHIFT])
    squares[SCALES] += square * together * max(0.0, scale - shares[ALONG_SCALE])
    # What a value has in common with itself alone is made up for by the overlap of a batch, which is larger where norms vary.
    left = 1 - (shift - 1 + scale - shares[OWN_OUT]) / values
    scale_gradient(gradient, left * (1 + 2 * record[FIRST] / values))
    same = (shares[SAME] - shift / values) / left
    set_shares(shares, same, -(1 + (size - 1) * same) / (size * max(1.0, images - 1)))
    shares[TOGETHER] = together


@compiled
def set_shares(shares: np.ndarray, same: float, abroad: float) -> None:
    """Of a gradient that no activation follows."""
    shares[SAME], shares[ABROAD], shares[OWN_OUT], shares[TOGETHER] = same, abroad, 1.0, 1.0
    shares[SAME_OUT] = shares[ABROAD_OUT] = shares[ALONG_SHIFT] = shares[ALONG_SCALE] = 0.0


@compiled
def activate_shares(shares: np.ndarray, record: np.ndarray) -> None:
    """Back through an activation: slopes at two positions are independent."""
    kind, chance = int(record[KIND]), record[FIRST]
    beside = BESIDE_PARAMETERS[_RECTIFIER if kind == Step.RECTIFY else int(record[NUMBER])]
    kept, along = beside[0], beside[1]
    if kind == Step.RECTIFY and 0 < chance < 1:
        density = density_at_chance(chance)
        kept, along = chance, density * density / chance
    shares[SAME_OUT], shares[ABROAD_OUT], shares[OWN_OUT] = along * shares[SAME], along * shares[ABROAD], beside[2]
    shares[SAME] *= kept
    shares[ABROAD] *= kept
    # Without an activation in between BN's scale is all that a window's BN takes away.
    shares[ALONG_SHIFT], shares[ALONG_SCALE] = shares[ALONG_SCALE] * beside[3], shares[ALONG_SCALE] * beside[4]


@compiled
def pool_shares(shares: np.ndarray, size: float, height: float) -> None:
    """Back through average pooling: all positions of a window have the same gradient."""
    window = height * height / (size * size)
    pairs = height * height - 1
    if pairs > 0:
        set_shares(shares, (window - 1 + (size * size - 1) * window * shares[SAME]) / pairs, shares[ABROAD])


@compiled
def blend_shares(first: np.ndarray, second: np.ndarray, weight: float) -> None:
    """Of two gradients together, into the first; weight: its part of the square."""
    for field in range(SHARES):
        first[field] = weight * first[field] + (1 - weight) * second[field]


@compiled
def divide_shares(lower: np.ndarray, upper: np.ndarray, part: float) -> None:
    """Back through a sum: what goes along with its output goes along with a part of it as far as that is the output."""
    for field in range(SHARES):
        upper[field] = lower[field]
    for field in (SAME_OUT, ABROAD_OUT, ALONG_SHIFT, ALONG_SCALE):
        lower[field] *= part
        upper[field] *= 1 - part
    lower[OWN_OUT] = 1 + (lower[OWN_OUT] - 1) * part
    upper[OWN_OUT] = 1 + (upper[OWN_OUT] - 1) * (1 - part)
