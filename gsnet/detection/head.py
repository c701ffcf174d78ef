"""The head: for every prior the logits of the classes and the bins of the four sides.

Source: NanoDet-Plus; bins Li et al. 2020, "Generalized Focal Loss".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gsnet.detection.layers import depthwise_separable, flat_cells, init_normal
from gsnet.detection.neck import KERNEL_SIZE

_TOWER_DEPTH = 2
# Every score begins at 0.01, so that the many priors without an object do not drown the first steps.
SCORE_BIAS = -math.log((1 - 0.01) / 0.01)


class Head(nn.Module):
    """A tower of depth-wise separable convolutions and a 1 x 1 convolution for each level, nothing shared.

    Maps (N, in_channels, h, w), one a level, become (N, priors, outputs): levels one after the other, cells in rows, class
    logits before bins.
    """

    def __init__(self, in_channels: int, channels: int, outputs: int, levels: int) -> None:
        super().__init__()
        widths = [in_channels, *[channels] * _TOWER_DEPTH]
        self.towers = nn.ModuleList(
            nn.Sequential(*(depthwise_separable(a, b, KERNEL_SIZE) for a, b in pairwise(widths))) for _ in range(levels)
        )
        self.predict = nn.ModuleList(nn.Conv2d(channels, outputs, 1) for _ in range(levels))
        init_normal(self)
        for layer in self.predict:
            nn.init.constant_(layer.bias, SCORE_BIAS)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = zip(self.towers, self.predict, maps, strict=True)
        return torch.cat([flat_cells(predict(tower(x))) for tower, predict, x in levels], dim=1)
