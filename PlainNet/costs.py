"""What blocks and networks cost, as values, and the cost of a convolution by its arguments."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """What a block or a network costs for one image, counted without building it.

    parameters: elements of all trainable tensors.
    flops: multiply-accumulates of convolutions and linear layers (bias, BN and activations left out).
    memory_access: elements that convolutions and linear layers read and write plus their weights
        (Ma et al. 2018, ShuffleNet V2, section 3, G1; for a 1 x 1 layer hw(c1 + c2) + c1 c2).
    peak_feature_map: elements of the largest output of a convolution or linear layer.
    """

    parameters: int = 0
    flops: int = 0
    memory_access: int = 0
    peak_feature_map: int = 0

    def plus(self, other: Cost) -> Cost:
        """The cost of both: sums, and the larger peak."""
        return Cost(
            self.parameters + other.parameters,
            self.flops + other.flops,
            self.memory_access + other.memory_access,
            max(self.peak_feature_map, other.peak_feature_map),
        )

    def times(self, count: int) -> Cost:
        """The cost of `count` copies."""
        if count == 0:
            return NO_COST
        return Cost(self.parameters * count, self.flops * count, self.memory_access * count, self.peak_feature_map)


NO_COST = Cost()
# Parameters, flops, memory access, peak feature map; then the height of the output map.
Figures = tuple[int, int, int, int, int]


def window_output(size: int, kernel_size: int, stride: int, padding: int) -> int:
    """Output height of a sliding window over a map of height `size`."""
    return (size + 2 * padding - kernel_size) // stride + 1


def convolution_cost(
    in_channels: int, out_channels: int, kernel_size: int, in_size: int, out_size: int, groups: int = 1
) -> Cost:
    """Cost of a bias-free convolution from a map of `in_size` to one of `out_size` (heights of square maps)."""
    weights = in_channels // groups * out_channels * kernel_size * kernel_size
    positions = out_size * out_size
    output = out_channels * positions
    return Cost(weights, weights * positions, in_channels * in_size * in_size + output + weights, output)


def joined_figures(one: Figures, other: Figures) -> Figures:
    """Of two branches of a map: sums, the larger peak, and the output height of the first."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], max(one[3], other[3]), one[4]
