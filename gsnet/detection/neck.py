"""Ghost-PAN: maps of several strides, mixed top down and bottom up by ghost blocks.

Sources: path aggregation Liu et al. 2018; ghost modules Han et al. 2020; their combination is NanoDet-Plus'.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsnet.detection.layers import conv_bn, conv_bn_act, depthwise_separable, init_kaiming, leaky_relu

KERNEL_SIZE = 5


class GhostModule(nn.Module):
    """Half of the maps by a 1 x 1 convolution, the others by a depth-wise 3 x 3 on those; each with BN, and leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, activate: bool) -> None:
        super().__init__()
        half = (out_channels + 1) // 2
        closing = [leaky_relu()] if activate else []
        self.out_channels = out_channels
        self.primary = nn.Sequential(*conv_bn(in_channels, half, 1), *closing)
        self.cheap = nn.Sequential(*conv_bn(half, half, 3, groups=half), *([leaky_relu()] if activate else []))

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        return torch.cat((primary, self.cheap(primary)), dim=1)[:, : self.out_channels]


class GhostBlock(nn.Module):
    """Two ghost modules beside a depth-wise separable shortcut without activation; nothing after their sum."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            GhostModule(in_channels, out_channels, activate=True),
            GhostModule(out_channels, out_channels, activate=False),
        )
        self.shortcut = nn.Sequential(
            *conv_bn(in_channels, in_channels, KERNEL_SIZE, groups=in_channels), *conv_bn(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class GhostPAN(nn.Module):
    """Maps of strides s, 2s, 4s … with in_channels each become as many maps of `channels`, and one more at twice the last.

    The next finer map is twice as high and wide as its neighbour, so the image's sides must be multiples of the coarsest
    stride; the extra level rounds its size up. In a concatenation the map that was resampled comes first.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, extra_level: bool = True) -> None:
        super().__init__()
        steps = range(len(in_channels) - 1)
        self.reduce = nn.ModuleList(conv_bn_act(width, channels, 1) for width in in_channels)
        self.top_down = nn.ModuleList(GhostBlock(2 * channels, channels) for _ in steps)
        self.downsample = nn.ModuleList(depthwise_separable(channels, channels, KERNEL_SIZE, 2) for _ in steps)
        self.bottom_up = nn.ModuleList(GhostBlock(2 * channels, channels) for _ in steps)
        extra = range(2 if extra_level else 0)
        # Of the coarsest reduced map and of the coarsest finished one.
        self.extra = nn.ModuleList(depthwise_separable(channels, channels, KERNEL_SIZE, 2) for _ in extra)
        for part in (self.reduce, self.downsample, self.extra):
            init_kaiming(part)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        reduced = [layer(x) for layer, x in zip(self.reduce, maps, strict=True)]
        finer = [reduced[-1]]
        for block, x in zip(self.top_down, reversed(reduced[:-1]), strict=True):
            above = functional.interpolate(finer[0], scale_factor=2.0, mode="bilinear", align_corners=False)
            finer.insert(0, block(torch.cat((above, x), dim=1)))
        outputs = [finer[0]]
        for down, block, x in zip(self.downsample, self.bottom_up, finer[1:], strict=True):
            outputs.append(block(torch.cat((down(outputs[-1]), x), dim=1)))
        if len(self.extra):
            outputs.append(self.extra[0](reduced[-1]) + self.extra[1](outputs[-1]))
        return outputs
