"""Mean-field rules as steps: what a block does to a map, written down for the closed-form scores.

A block's rule (`Block.mean_field`) is a sequence of the steps below, each a function of a map on top of a stack of maps.
The rules need no numbers but the block's own, so that they can be remembered with the block; the theory behind every step
is in `ZeroShotProxy.mean_field_kernel`, which carries them out.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache

Steps = bytes
# A step is its kind and four numbers.
STEP_WIDTH = 5
_ENCODING = struct.Struct(f"{STEP_WIDTH}d")


class Step(IntEnum):
    """The kinds of steps."""

    DENSE = 0
    DEPTHWISE = 1
    NORMALISE = 2
    RECTIFY = 3
    SMOOTH = 4
    COPY = 5
    SPLIT = 6
    SWAP = 7
    ADD = 8
    CONCATENATE = 9
    FIRST_CHANNELS = 10
    DEINTERLEAVE = 11
    AVERAGE_POOL = 12
    GATE = 13
    GHOST = 14
    BIAS = 15


class Smooth(IntEnum):
    """Pointwise functions that are handled by quadrature."""

    HARD_SWISH = 0
    SWISH = 1
    SIGMOID = 2


def _step(kind: Step, *numbers: float) -> Steps:
    return _ENCODING.pack(kind, *numbers, *[0.0] * (STEP_WIDTH - 1 - len(numbers)))


@lru_cache(maxsize=10_000)
def dense(out_channels: int, kernel_size: int, stride: int, groups: int = 1) -> Steps:
    """A convolution with standard normal weights that mixes all channels, or those of each of `groups` groups."""
    return _step(Step.DENSE, out_channels, kernel_size, stride, groups)


@lru_cache(maxsize=10_000)
def depthwise(kernel_size: int, stride: int) -> Steps:
    """A convolution with standard normal weights, channel by channel."""
    return _step(Step.DEPTHWISE, kernel_size, stride)


@lru_cache(maxsize=10_000)
def normalise(epsilon: float = 0.0) -> Steps:
    """Batch normalisation; the mean variance over channels enters Zen-Score. epsilon matters on pooled maps alone."""
    return _step(Step.NORMALISE, epsilon)


@lru_cache(maxsize=10_000)
def smooth(function: Smooth) -> Steps:
    """A pointwise function of `Smooth`."""
    return _step(Step.SMOOTH, function)


@lru_cache(maxsize=10_000)
def split(channels: int) -> Steps:
    """The map becomes two: its first `channels` channels, on top of the others."""
    return _step(Step.SPLIT, channels)


@lru_cache(maxsize=10_000)
def first_channels(channels: int) -> Steps:
    """Only the first `channels` channels stay."""
    return _step(Step.FIRST_CHANNELS, channels)


@lru_cache(maxsize=10_000)
def ghost(out_channels: int, kernel_size: int, stride: int, cheap_kernel_size: int) -> Steps:
    """A convolution to half of the channels, rounded up, then what a depth-wise one makes of these: 2 channels or more."""
    return _step(Step.GHOST, out_channels, kernel_size, stride, cheap_kernel_size)


@lru_cache(maxsize=10_000)
def average_pool(out_size: int) -> Steps:
    """Average pooling to out_size x out_size."""
    return _step(Step.AVERAGE_POOL, out_size)


NORMALISE: Steps = normalise()  # batch normalisation of a map
RECTIFY: Steps = _step(Step.RECTIFY)  # max(x, 0)
HARD_SWISH: Steps = smooth(Smooth.HARD_SWISH)
COPY: Steps = _step(Step.COPY)  # a second copy on top
SWAP: Steps = _step(Step.SWAP)  # the two topmost maps change places
ADD: Steps = _step(Step.ADD)  # the two topmost maps become their sum
CONCATENATE: Steps = _step(Step.CONCATENATE)  # the two topmost maps become one, the lower one's channels first
DEINTERLEAVE: Steps = _step(Step.DEINTERLEAVE)  # channels in even positions first, then the others
GATE: Steps = _step(Step.GATE)  # the map below times the 1 x 1 map on top
BIAS: Steps = _step(Step.BIAS)  # a bias of 0: nothing happens, but it has parameters
