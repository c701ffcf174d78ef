"""The gradient's way back through activations and gates."""

from __future__ import annotations

import math

import numpy as np

from PlainNet.compiling import compiled
from PlainNet.mean_field import Step
from ZeroShotProxy.gradient_layout import FIRST, HEIGHT, KEPT, KIND, NUMBER, OTHER, PAIR_COUNT, PAIRS, PASSED
from ZeroShotProxy.gradient_map import (
    ALONG,
    CONSTANT,
    NORMED,
    PROFILE,
    SIZE,
    copy_gradient,
    scale_all,
    scale_groups,
    sum_over_channels,
)
from ZeroShotProxy.gradient_norms import GATE_POWER, HARD_SWISH_POWER
from ZeroShotProxy.gradient_slopes import linear_part, smooth_slopes, tilted
from ZeroShotProxy.gradient_steady import alike_in_pairs


@compiled
def gathered(chance: float, positive: float) -> float:
    """How much more often a sum is positive where a rectified part of it is: P(sum > 0 | part > 0) / P(sum > 0).

    chance: P(sum > 0). positive: P(part > 0); where the part is 0, the sum is positive by half. A rectifier before the part
    lets through what comes from there.
    """
    if positive <= 0 or chance >= 1:
        return 1.0
    return max(1.0, min(1.0, (chance - 0.5 * (1 - positive)) / positive) / chance)


@compiled
def follow_profile(gradient: np.ndarray, profile: np.ndarray, power: float) -> float:
    """Squared slopes are larger where the map's variance is; what that makes of the squared gradient.

    profile: of the variance, of mean 1. power: d log E f'^2 / d log variance.
    """
    size = int(gradient[SIZE])
    total = 0.0
    for position in range(size):
        value = gradient[PROFILE + position] * (1 + power * (profile[position] - 1))
        gradient[PROFILE + position] = value
        total += value
    mean = total / size
    inverse = 1 / mean
    for position in range(PROFILE, PROFILE + size):
        gradient[position] *= inverse
    return mean * mean


@compiled
def activate_back(gradient: np.ndarray, record: np.ndarray, positive: float, work: np.ndarray) -> bool:
    """Through an activation. positive: how much larger the squared gradient is where a rectifier lets it through."""
    before = sum_over_channels(gradient)
    if not scale_groups(gradient, record[PAIRS:], int(record[PAIR_COUNT]), work):
        return False
    if before <= 0:
        return True
    # A constant gradient passes a function's mean slope; its square is what stays constant.
    kept = sum_over_channels(gradient) / before
    if int(record[KIND]) == Step.RECTIFY:
        scale_all(gradient, min(positive, 1 / kept))
    else:
        function = int(record[NUMBER])
        factor, power = tilted(function, gradient[NORMED])
        if record[HEIGHT] > 1:
            factor *= follow_profile(gradient, record[PAIRS + 2 * int(record[PAIR_COUNT]) :], power)
        scale_all(gradient, factor)
        gradient[NORMED] += power * record[PASSED]
        kept = smooth_slopes(function) / kept
    if gradient[CONSTANT] > 0:
        gradient[CONSTANT] *= kept + (1 - kept) * alike_in_pairs(record[OTHER])
    gradient[ALONG] *= kept * linear_part(int(record[KIND]), int(record[NUMBER]))
    return True


@compiled
def gate_back(gradient: np.ndarray, upper: np.ndarray, record: np.ndarray) -> None:
    """Back through a product: `upper` becomes the gradient of the gate, a sum over positions of gradient times map."""
    copy_gradient(gradient, upper)
    positions = record[HEIGHT] * record[HEIGHT]
    square, constant, share = record[FIRST], record[OTHER], gradient[CONSTANT]
    norms, images = record[PASSED], record[KEPT]
    follows, of_images = gradient[NORMED], images / norms if norms > 0 else 0.0
    # Gradient and map are both larger where norms are.
    alone = positions * (square - share * constant) * math.exp(follows)
    alike = positions * positions * share * constant * math.exp(follows * of_images)
    scale_all(upper, alone + alike)
    upper[SIZE], upper[CONSTANT], upper[PROFILE], upper[ALONG] = 1, 1.0, 1.0, 0.0
    upper[NORMED] = (follows + norms) * of_images
    power = GATE_POWER * HARD_SWISH_POWER
    scale_all(gradient, record[PAIRS] * math.exp(power * follows * of_images))
    gradient[NORMED] += power * images
