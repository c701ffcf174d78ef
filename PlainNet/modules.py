"""The torch side of the blocks. Only `Block.module` imports this file.

Attribute names fix the state-dict keys that published checkpoints use: `module_list.S.module_list.L.netblock.weight`
for the layers of super-blocks, `proj.0.*` and `proj.1.*` for projections, `primary_conv.0` and `cheap_operation.0` for
GhostConv.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from PlainNet.style import Style


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution padded so that stride 1 keeps the map's size."""
    padding = (kernel_size - 1) // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)


def _activation(name: str) -> nn.Module:
    """The module of an activation that `Style` names."""
    return nn.ReLU() if name == "relu" else nn.Hardswish()


def batch_norm(channels: int, style: Style) -> nn.BatchNorm2d:
    """Batch normalisation with the style's eps."""
    return nn.BatchNorm2d(channels, eps=style.bn_eps)


def linear(in_channels: int, out_channels: int, bias: bool) -> nn.Linear:
    """A fully connected layer."""
    return nn.Linear(in_channels, out_channels, bias)


class Layer(nn.Module):
    """One torch layer under the key `netblock`."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.netblock = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.netblock(x)


def bare(module: nn.Module) -> nn.Module:
    """The torch layer inside a `Layer`; any other module as it is."""
    return module.netblock if isinstance(module, Layer) else module


class Chain(nn.Module):
    """Modules one after the other."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.module_list:
            x = layer(x)
        return x


class Residual(Chain):
    """A body with an identity shortcut.

    stochastic_depth: what may leave the body out, sample by sample, in training (Huang et al. 2016); None for nothing.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__(layers)
        self.stochastic_depth: nn.Module | None = None

    def body(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        y = super().forward(x)
        return y if self.stochastic_depth is None else self.stochastic_depth(y)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x


class ProjectedResidual(Residual):
    """A body with a projection (1 x 1 convolution with bias, BN) as its shortcut."""

    def __init__(
        self, layers: Sequence[nn.Module], in_channels: int, out_channels: int, stride: int, style: Style
    ) -> None:
        super().__init__(layers)
        projection: list[nn.Module] = [convolution(in_channels, out_channels, 1, stride, bias=True)]
        if not style.no_BN:
            projection.append(batch_norm(out_channels, style))
        self.proj = nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.proj(x)


class GhostConvolution(nn.Module):
    """Half of the maps by a convolution, the others by a depth-wise convolution on those (Han et al. 2020)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, cheap_kernel_size: int
    ) -> None:
        super().__init__()
        half = (out_channels + 1) // 2
        self.out_channels = out_channels
        self.primary_conv = nn.Sequential(convolution(in_channels, half, kernel_size, stride))
        self.cheap_operation = nn.Sequential(convolution(half, half, cheap_kernel_size, 1, groups=half))

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        both = torch.cat((primary, self.cheap_operation(primary)), dim=1)
        return both if self.out_channels % 2 == 0 else both[:, : self.out_channels]


def shuffle_halves(x: Tensor) -> Tensor:
    """Channels in even positions first, then those in odd ones; (N, C, H, W) to the same shape, C even."""
    n, c, h, w = x.shape
    return x.view(n, c // 2, 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class GhostShuffle(Chain):
    """Projection branch and body branch, concatenated; see `PlainNet.composite_blocks.GhostShuffleBlock`."""

    def __init__(
        self,
        layers: Sequence[nn.Module],
        projection: Sequence[nn.Module],
        activation: str,
        split: bool,
        shuffle: bool,
    ) -> None:
        super().__init__(layers)
        self.proj = nn.Sequential(*projection, _activation(activation))
        self.split = split
        self.shuffle = shuffle

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1) if self.split else (x, x)
        y = torch.cat((self.proj(left), super().forward(right)), dim=1)
        return shuffle_halves(y) if self.shuffle else y


class SqueezeExcite(nn.Module):
    """Channel gate (Hu et al. 2018) with BN inside."""

    def __init__(self, channels: int, squeezed_channels: int, style: Style) -> None:
        super().__init__()
        # Identity keeps the positions, and so the keys, where BN is left out.
        self.netblock = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            convolution(channels, squeezed_channels, 1, 1),
            nn.Identity() if style.no_BN else batch_norm(squeezed_channels, style),
            _activation(style.se_activation),
            convolution(squeezed_channels, channels, 1, 1),
            nn.Identity() if style.no_BN else batch_norm(channels, style),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.netblock(x)


class BranchSum(Chain):
    """Sum of branches that all read the input."""

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in self.module_list]
        if torch.jit.is_tracing():
            # ncnn ends the process where it runs a sum over stacked maps.
            return functools.reduce(torch.add, branches)
        return torch.stack(branches).sum(dim=0)


class BranchConcatenation(Chain):
    """Concatenation over channels of branches that all read the input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.module_list], dim=1)


def pool(x: Tensor) -> Tensor:
    """Global average: (N, C, H, W) to (N, C)."""
    return functional.adaptive_avg_pool2d(x, 1).flatten(1)
