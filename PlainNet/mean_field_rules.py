"""Mean-field rules of convolutions, BN and joins; `Block.mean_field` of the primitives calls them.

Sources: Poole et al. 2016 and Yang et al. 2019 for mean-field propagation with BN; Hanin and Nica 2020 for finite width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PlainNet.errors import StructureError
from PlainNet.mean_field import BN_KEPT, BN_MOVED, Group, State, Texture, Window, averaged, diffused, window


def dense(state: State, out_channels: int, kernel_size: int, stride: int, out_size: int, parts: int = 1) -> State:
    """A convolution in `parts` groups with standard normal weights: an output channel mixes all that it reads."""
    sums = window(state.size, state.diffusion, kernel_size, stride)
    variance = covariance = offset = 0.0
    for group in state.groups:
        one = _one_channel(group, sums)
        variance += group.channels * one.variance
        covariance += group.channels * one.covariance
        offset += group.channels * one.offset
    kernel = min(kernel_size, state.size)
    texture, own_fourth = _mixed_texture(state, kernel, stride, out_channels)
    variance, covariance, offset = variance / parts, covariance / parts, offset / parts
    mixed = Group(out_channels, 0.0, variance, covariance, offset, 0.0, own_fourth * variance * variance)
    diffusion = diffused(state.size, state.diffusion, kernel_size, stride, out_size)
    return State((mixed,), out_size, diffusion, texture, state.log_scale)


def depthwise(state: State, kernel_size: int, stride: int, out_size: int) -> State:
    """A depth-wise convolution: every channel is a random mixture of its own taps."""
    sums = window(state.size, state.diffusion, kernel_size, stride)
    kernel = min(kernel_size, state.size)
    texture = state.texture
    taps = 1 / averaged(1.0, texture.own_reach, kernel)
    groups = []
    for group in state.groups:
        one = _one_channel(group, sums)
        fourth = own_cumulant(group.kurtosis - 3, group.squared_skewness, taps) * one.variance * one.variance
        groups.append(one._replace(fourth=fourth))
    after = Texture(
        averaged(texture.norm, texture.norm_reach, kernel),
        _moved(texture.norm_reach, kernel, stride),
        averaged(texture.overlap, texture.overlap_reach, kernel),
        _moved(texture.overlap_reach, kernel, stride),
        _moved(texture.reach, kernel, stride),
        1 / (taps * state.channels),
    )
    diffusion = diffused(state.size, state.diffusion, kernel_size, stride, out_size)
    return State(tuple(groups), out_size, diffusion, after, state.log_scale)


def own_cumulant(excess_kurtosis: float, squared_skewness: float, terms: float) -> float:
    """Fourth cumulant, less the squared third, of a unit-variance sum of `terms` equal terms with normal weights.

    E sum w^4 / (sum w^2)^2 = 3 / (n + 2) and E (sum w^3)^2 / (sum w^2)^3 = 15 / ((n + 2)(n + 4)) for n normal weights. The
    squared third belongs here because E |y| of an almost Gaussian y is lowered by fourth / 24 and raised by third^2 / 24.
    """
    return 3 * excess_kurtosis / (terms + 2) - 15 * squared_skewness / ((terms + 2) * (terms + 4))


def _one_channel(group: Group, sums: Window) -> Group:
    # Where the window reaches beyond the border it misses part of the mean: that varies over positions.
    squared_mean = group.mean * group.mean
    spatial = squared_mean * (sums.inside - sums.inside_mean)
    return Group(
        group.channels,
        0.0,
        group.variance * sums.inside + spatial,
        group.covariance * sums.inside + spatial,
        squared_mean * sums.inside_mean + group.offset * sums.inside,
    )


def _mixed_texture(state: State, kernel: int, stride: int, out_channels: int) -> tuple[Texture, float]:
    texture = state.texture
    total = sum([group.channels * group.variance for group in state.groups])
    shares = [group.channels * group.variance / total for group in state.groups]
    kurtosis = skewness = overlap = 0.0
    for group, share in zip(state.groups, shares, strict=True):
        overlap += share * share / group.channels
        kurtosis += share * share / group.channels * (group.kurtosis - 1)
        skewness += share * group.squared_skewness
    reach = texture.own_reach
    norm, own_norm = averaged(texture.norm, texture.norm_reach, kernel), averaged(kurtosis, reach, kernel)
    shared, own_overlap = averaged(texture.overlap, texture.overlap_reach, kernel), averaged(overlap, reach, kernel)
    after = Texture(
        norm + own_norm + norm * own_norm,
        _moved((norm * texture.norm_reach + own_norm * reach) / (norm + own_norm), kernel, stride),
        shared + own_overlap,
        _moved((shared * texture.overlap_reach + own_overlap * reach) / (shared + own_overlap), kernel, stride),
        _moved(texture.reach, kernel, stride),
        (shared + own_overlap) / out_channels,
    )
    return after, own_cumulant(0.0, skewness, 1 / own_overlap)


def _moved(reach: float, kernel: int, stride: int) -> float:
    return 1 + (reach - 1 + kernel * kernel - 1) / (stride * stride)


def normalised(state: State, epsilon: float = 0.0) -> State:
    """Batch normalisation: every channel to mean 0, variance 1; the mean of the variances enters the score."""
    mean_variance = sum([group.channels * group.variance for group in state.groups]) / state.channels
    groups = []
    for group in state.groups:
        scale = 1 / (group.variance + epsilon)
        groups.append(
            Group(
                group.channels,
                0.0,
                group.variance * scale,
                group.covariance * scale,
                0.0,
                group.third * scale**1.5,
                group.fourth * scale * scale,
            )
        )
    # Mean of the logarithm over draws of the weights, to second order.
    statistic = mean_variance * (1 - state.texture.jitter)
    scale_sum = state.log_scale + 0.5 * math.log(BN_KEPT + BN_MOVED * statistic)
    return State(merged(groups), state.size, state.diffusion, state.texture, scale_sum)


def merged(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups with neighbours of the same kind made one."""
    result: list[Group] = []
    for group in groups:
        if result and result[-1][1:] == group[1:]:
            group = group._replace(channels=result.pop().channels + group.channels)
        result.append(group)
    return tuple(result)


def first_channels(groups: Sequence[Group], count: int) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """The groups of the first `count` channels, and those of the others."""
    first: list[Group] = []
    for index, group in enumerate(groups):
        if group.channels > count:
            rest = (group._replace(channels=group.channels - count), *groups[index + 1 :])
            return (*first, *([group._replace(channels=count)] if count else [])), rest
        first.append(group)
        count -= group.channels
    return tuple(first), ()


def deinterleaved(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Channels in even positions first, then those in odd positions."""
    halves: tuple[list[Group], list[Group]] = ([], [])
    position = 0
    for group in groups:
        for parity, half in enumerate(halves):
            count = (group.channels + (position + parity + 1) % 2) // 2
            if count:
                half.append(group._replace(channels=count))
        position += group.channels
    return merged([*halves[0], *halves[1]])


def added(states: Sequence[State]) -> State:
    """The sum of maps whose weights are independent: cumulants add."""
    total = states[0]
    for state in states[1:]:
        total = _sum_of_two(total, state)
    return total


def _sum_of_two(left: State, right: State) -> State:
    groups: list[Group] = []
    first, second = left.groups, right.groups
    while first and second:
        count = min(first[0].channels, second[0].channels)
        groups.append(Group(count, *[a + b for a, b in zip(first[0][1:], second[0][1:], strict=True)]))
        first, second = first_channels(first, count)[1], first_channels(second, count)[1]
    if first or second or left.size != right.size:
        raise StructureError("the maps of a sum differ in shape")
    return State(
        tuple(groups),
        left.size,
        max(left.diffusion, right.diffusion),
        _blend(left, right, _total_variance(left), _total_variance(right), independent=True),
        left.log_scale + right.log_scale,
    )


def concatenated(states: Sequence[State]) -> State:
    """Maps side by side."""
    total = states[0]
    for state in states[1:]:
        if state.size != total.size:
            raise StructureError("the maps of a concatenation differ in size")
        total = State(
            merged([*total.groups, *state.groups]),
            total.size,
            max(total.diffusion, state.diffusion),
            _blend(total, state, total.channels, state.channels, independent=False),
            total.log_scale + state.log_scale,
        )
    return total


def _total_variance(state: State) -> float:
    return sum([group.channels * group.variance for group in state.groups])


def _blend(left: State, right: State, left_weight: float, right_weight: float, independent: bool) -> Texture:
    share = left_weight / (left_weight + right_weight)
    other = 1 - share
    blended = Texture(*[share * a + other * b for a, b in zip(left.texture, right.texture, strict=True)])
    if not independent:
        return blended
    norm = share * share * left.texture.norm + other * other * right.texture.norm
    overlap = share * share * left.texture.overlap + other * other * right.texture.overlap
    return blended._replace(norm=norm, overlap=overlap)
