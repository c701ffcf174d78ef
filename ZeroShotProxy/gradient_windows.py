"""The gradient's profile on its way back through a sliding window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from PlainNet.compiling import compiled, unfolded
from ZeroShotProxy.four_numbers import put
from ZeroShotProxy.gradient_map import PROFILE, SIZE
from ZeroShotProxy.mean_field_windows import sum_of_one, sums_of_four


@compiled
def tap_sums(size: int, out: int, kernel: int, stride: int) -> tuple[float, float]:
    """How many positions the taps of a zero-padded window see, and the squares of these numbers, summed over taps of one axis.

    size, out: height of the map before and behind the window.
    """
    padding = (kernel - 1) // 2
    total = squares = 0.0
    for tap in range(kernel):
        # Positions q with 0 <= stride q + tap - padding < size.
        first = max(0, (padding - tap + stride - 1) // stride)
        last = min(out - 1, (size - 1 + padding - tap) // stride)
        seen = float(max(0, last - first + 1))
        total += seen
        squares += seen * seen
    return total, squares


@unfolded
def spread_windows(gradient: np.ndarray, height: int, kernel: int, stride: int, work: np.ndarray) -> float:
    """`slide_back` of a window that is larger than a pixel."""
    size, padding = int(gradient[SIZE]), (kernel - 1) // 2
    if stride == 1:
        # Every position sums what it has given to: the profile between zeros.
        first = kernel - 1 - padding
        for index in range(kernel):
            work[index] = work[first + size + index] = 0.0
        for place in range(size):
            work[first + place] = gradient[PROFILE + place]
        whole = height // 4 * 4
        for place in range(0, whole, 4):
            put(gradient, PROFILE + place, sums_of_four(work, place, kernel))
        for place in range(whole, height):
            gradient[PROFILE + place] = sum_of_one(work, place, kernel)
    else:
        # As far as the last window reaches, whatever the stride: the padding that is seen behind the map is no wider.
        for index in range(height + 2 * padding):
            work[index] = 0.0
        for place in range(size):
            value = gradient[PROFILE + place]
            for tap in range(kernel):
                work[place * stride + tap] += value
        for position in range(height):
            gradient[PROFILE + position] = work[padding + position]
    gradient[SIZE] = height
    total = 0.0
    for position in range(PROFILE, PROFILE + height):
        total += gradient[position]
    mean = total / height
    inverse = 1 / mean if mean > 0 else 0.0
    for position in range(PROFILE, PROFILE + height):
        gradient[position] = gradient[position] * inverse if mean > 0 else 1.0
    return mean * mean


@compiled
def spread_any(gradient: np.ndarray, height: int, kernel: int, stride: int, work: np.ndarray) -> float:
    """`spread_windows` for kernels that are not common."""
    return spread_windows(gradient, height, kernel, stride, work)


def spread_of(kernel: int) -> Callable[[np.ndarray, int, int, np.ndarray], float]:
    """`spread_windows` for one kernel, so that loops over its taps are unrolled."""
    # For a plain integer, numba would go through all of it once more for each kernel; LLVM sees the number either way.
    taps: Any = np.int64(kernel)

    @compiled
    def spread(gradient: np.ndarray, height: int, stride: int, work: np.ndarray) -> float:
        return spread_windows(gradient, height, taps, stride, work)

    return spread


spread_3, spread_5, spread_7 = spread_of(3), spread_of(5), spread_of(7)


@compiled
def slide_back(gradient: np.ndarray, height: int, kernel: int, stride: int, work: np.ndarray) -> float:
    """The gradient's profile before a zero-padded window; the squared gradient there over that behind it, for one weight.

    height: of the map before the window.
    """
    if kernel == 1 and stride == 1:
        return 1.0
    if kernel == 3:
        return spread_3(gradient, height, stride, work)
    if kernel == 5:
        return spread_5(gradient, height, stride, work)
    if kernel == 7:
        return spread_7(gradient, height, stride, work)
    return spread_any(gradient, height, kernel, stride, work)
