"""Mean-field theory of random networks: what a map of a network with standard normal weights looks like on average.

A `State` describes a map by a few numbers; every primitive layer has a rule (`Block.mean_field`) that turns the state of
its input into that of its output. Derivation, sources and accuracy: docs/zen_closed_form.md.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from PlainNet.errors import StructureError

# BN's running variance starts at 1 and moves by 0.1 towards the batch variance in each of two passes.
BN_KEPT, BN_MOVED = 0.81, 0.19


class Group(NamedTuple):
    """Channels of one kind, at a typical position of a typical channel.

    mean, variance: over images and positions. covariance: between the clean and the perturbed run. offset: variance over
    channels of a channel's own mean, which BN removes. third, fourth: cumulants of a channel beside what `Texture` says.
    """

    channels: int
    mean: float
    variance: float
    covariance: float
    offset: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    @property
    def kurtosis(self) -> float:
        """Fourth central moment over squared variance, 3 for a Gaussian."""
        return 3 + self.fourth / (self.variance * self.variance)

    @property
    def squared_skewness(self) -> float:
        """Squared third central moment over cubed variance."""
        return self.third * self.third / self.variance**3


class Texture(NamedTuple):
    """How a map departs from independent Gaussian channels at finite width (Hanin and Nica 2020).

    norm: relative variance, from position to position, of the squared norm that all channels share. overlap: mean squared
    correlation between two channels. jitter: relative variance, halved, of the mean variance over draws of the weights.

    Reaches tell how far a fluctuation is alike in neighbouring positions: 1 for white noise; an average over a k x k window
    keeps reach / (reach + k^2 - 1) of its variance and raises the reach by k^2 - 1 (Gaussian lags under a triangular
    window). reach: of one channel's own correlation.
    """

    norm: float = 0.0
    norm_reach: float = 1.0
    overlap: float = 0.0
    overlap_reach: float = 1.0
    reach: float = 1.0
    jitter: float = 0.0

    @property
    def own_reach(self) -> float:
        """The reach of a channel's squared correlation: half the width in lags."""
        return 1 + 0.5 * (self.reach - 1)

    @property
    def excess(self) -> float:
        """Kurtosis over 3 of a channel that reads a map of this texture, 1 for a Gaussian.

        Positions of larger norm make it larger; channels that overlap do not, their joint Gaussian has both.
        """
        return (1 + self.norm) / (1 + 2 * self.overlap)


class State(NamedTuple):
    """A map: its groups in channel order, its height, and Zen's BN sum so far.

    diffusion: how often a 3 x 3 window has lowered the variance near the border, see `variance_profile`.
    log_scale: sum over BN layers of log sqrt(running variance).
    """

    groups: tuple[Group, ...]
    size: int
    diffusion: int = 0
    texture: Texture = Texture()
    log_scale: float = 0.0

    @property
    def channels(self) -> int:
        """Width of the map."""
        return sum([group.channels for group in self.groups])


def image_state(resolution: int, gamma: float, channels: int = 3) -> State:
    """Standard normal images x beside x + gamma e; both runs are normalised by the first BN, hence the covariance."""
    return State((Group(channels, 0.0, 1.0, 1 / math.sqrt(1 + gamma * gamma)),), resolution)


class Window(NamedTuple):
    """What zero padding does to a k x k window on a map of a given variance profile, both axes together.

    inside: sum over taps of the mean variance they see. inside_mean: sum over taps of the squared mean deviation.
    """

    inside: float
    inside_mean: float


@lru_cache(maxsize=50_000)
def window(size: int, diffusion: int, kernel_size: int, stride: int) -> Window:
    """The window's sums; both are kernel_size^2 where no tap meets the border."""
    taps = _taps(variance_profile(size, diffusion), kernel_size, stride)
    count = len(taps[0])
    if not count:
        raise StructureError(f"a {kernel_size} x {kernel_size} window does not fit a map of {size} x {size}")
    inside = sum(sum(tap) for tap in taps) / count
    inside_mean = sum((sum(map(math.sqrt, tap)) / count) ** 2 for tap in taps)
    return Window(inside * inside, inside_mean * inside_mean)


@lru_cache(maxsize=20_000)
def variance_profile(size: int, diffusion: int) -> tuple[float, ...]:
    """Variance along one axis, mean 1, after `diffusion` zero-padded 3-tap windows over a flat map.

    It falls towards the border and tends to the window's leading eigenvector. Variances of a 2-D map are products.
    """
    if diffusion == 0:
        return (1.0,) * size
    for step in range(0, diffusion, 200):  # keeps the recursion shallow
        before = variance_profile(size, step)
    before = variance_profile(size, diffusion - 1)
    sums = [sum(column) for column in zip(*_taps(before, 3, 1), strict=True)]
    mean = sum(sums) / size
    return tuple([value / mean for value in sums])


def _taps(profile: tuple[float, ...], kernel_size: int, stride: int) -> list[list[float]]:
    size, padding = len(profile), (kernel_size - 1) // 2
    starts = range(-padding, size + padding - kernel_size + 1, stride)
    return [[profile[s + t] if 0 <= s + t < size else 0.0 for s in starts] for t in range(kernel_size)]


def diffused(size: int, diffusion: int, kernel_size: int, stride: int, out_size: int) -> int:
    """The diffusion after a k x k convolution: it counts window variances, of which a 3 x 3 window has one.

    Under a stride the map's unit grows, and so a count stands for stride^2 as many.
    """
    return min((diffusion + (kernel_size * kernel_size - 1) // 8) // (stride * stride), out_size * out_size)


def averaged(value: float, reach: float, kernel_size: int) -> float:
    """What remains of a fluctuation of this reach after averaging over a k x k window."""
    return value * reach / (reach + kernel_size * kernel_size - 1)
