"""The gradient's way back through convolutions."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled
from ZeroShotProxy.gradient_layout import HEIGHT, KEPT, NUMBER, PASSED, WIDTH
from ZeroShotProxy.gradient_map import (
    ALONG,
    CHANNELS,
    CONSTANT,
    COUNT,
    FIELDS,
    HEADER,
    KERNEL,
    NORMED,
    SIZE,
    add_gradient,
    append_group,
    keep_channels,
    scale_all,
    set_one_group,
    sum_over_channels,
)
from ZeroShotProxy.gradient_windows import slide_back
from ZeroShotProxy.mean_field_kernel import ONE


@compiled
def pass_window(gradient: np.ndarray, record: np.ndarray) -> None:
    """What a window keeps of what is the same at all positions, and of what follows norms."""
    gradient[CONSTANT] *= record[KEPT]
    gradient[NORMED] *= record[PASSED]


@compiled
def dense_back(gradient: np.ndarray, record: np.ndarray, pairs: float, groups: float, work: np.ndarray) -> None:
    """Through a convolution over all channels, or those of each of `groups` groups.

    pairs: which part of an output's gradient goes along with that of others. Two outputs of correlation r have weights
    whose product is r on average; where their gradients have correlation -ALONG r, what they give to the inputs partly cancels.
    """
    outputs = 0.0
    for index in range(int(gradient[COUNT])):
        outputs += gradient[HEADER + index * FIELDS + CHANNELS]
    square = sum_over_channels(gradient) / groups
    kernel, height = record[NUMBER + 1], record[HEIGHT]
    reached = min(kernel, height)
    inputs = record[WIDTH] * reached * reached / groups
    cancelled = gradient[ALONG] * pairs * outputs / (groups * inputs)
    if cancelled > 0 and (kernel > 1 or gradient[KERNEL] > 1):
        cancelled *= shared_pairs(gradient[KERNEL], kernel)
    factor = slide_back(gradient, int(height), int(kernel), int(record[NUMBER + 2]), work)
    set_one_group(gradient, record[WIDTH], square * factor * (1 - min(0.5, cancelled)))
    gradient[ALONG], gradient[KERNEL] = 2 / (inputs + 2), reached


@compiled
def shared_pairs(one: float, other: float) -> float:
    """Sum over distances of what two windows share at that distance, each as a part of its size."""
    total = 1.0
    for distance in range(1, int(min(one, other))):
        total += 2 * (1 - distance / one) * (1 - distance / other)
    return total * total


@compiled
def ghost_back(gradient: np.ndarray, record: np.ndarray, second: np.ndarray, work: np.ndarray) -> bool:
    """Through a ghost convolution: the cheap half's gradient joins that of the half that it is made from."""
    half = float((int(record[NUMBER]) + 1) // 2)
    if not keep_channels(gradient, second, half):
        return False
    scale_all(second, slide_back(second, int(second[SIZE]), int(record[NUMBER + 3]), ONE, work))
    made = 0.0
    for index in range(int(second[COUNT])):
        made += second[HEADER + index * FIELDS + CHANNELS]
    if not append_group(second, half - made, 0.0) or not add_gradient(gradient, second, work):
        return False
    # Half of a channel's gradient is its own, the other comes by the one that is made from it, which points elsewhere.
    dense_back(gradient, record, 0.5, 1.0, work)
    return True
