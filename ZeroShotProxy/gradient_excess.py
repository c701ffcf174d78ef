"""What a convolution's random weights do to the gradient through the BN behind it; docs/gradient_growth.md derives it."""

from __future__ import annotations

import numpy as np

from PlainNet.compiling import compiled, unfolded
from PlainNet.mean_field import Step
from ZeroShotProxy.gradient_layout import FIRST, HEIGHT, NUMBER, OTHER, WIDTH
from ZeroShotProxy.mean_field_map import OVERLAP, OVERLAP_LAG, SIZE
from ZeroShotProxy.mean_field_windows import averaged


@compiled
def dense_excess(overlap: float, inputs: float) -> float:
    """E of w'w / w'Cw for normal weights w and inputs' covariance C of mean eigenvalue 1, to second order in C - 1.

    Channels whose weights make a small output are enlarged by BN, and so is their gradient. overlap: tr C^2 / (tr C)^2,
    which is 1 / inputs where C is 1; E (u'Au)^2 = 2 tr A^2 / (n (n + 2)) for a direction u and A of trace 0.
    """
    return 1 + 2 * max(0.0, overlap - 1 / inputs) * inputs / (inputs + 2)


@compiled
def depthwise_excess(overlap: float, lag: float, kernel: int) -> float:
    """The same of a window over one channel, whose taps are alike as far as channels overlap."""
    taps = float(kernel * kernel)
    return 1 + 2 * overlap * max(0.0, averaged(lag, kernel) - 1 / taps) * taps / (taps + 2)


@unfolded
def note_excess(kind: int, record: np.ndarray, state: np.ndarray, overlap: float, lag: float) -> None:
    """After a convolution: what it does to the gradient through the BN behind it.

    overlap, lag: of the map before the step.
    """
    height = record[HEIGHT]
    if kind == Step.DENSE:
        reached = min(record[NUMBER + 1], height)
        first = other = dense_excess(state[OVERLAP], record[WIDTH] * reached * reached / record[NUMBER + 3])
    elif kind == Step.DEPTHWISE:
        reached = min(record[NUMBER], height)
        first = other = depthwise_excess(overlap, lag, int(reached))
    else:
        reached = min(record[NUMBER + 1], height)
        cheap = int(min(record[NUMBER + 3], state[SIZE]))
        # The header is the mean of both halves: taken back to the first one's.
        lag = state[OVERLAP_LAG] - (cheap * cheap - 1) / 12
        overlap = state[OVERLAP] / (0.5 + 0.5 * averaged(lag, cheap))
        first = dense_excess(overlap, record[WIDTH] * reached * reached)
        other = first * depthwise_excess(overlap, lag, cheap)
    record[FIRST], record[OTHER] = first, other
