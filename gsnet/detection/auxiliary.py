"""The assignment guidance module: a second, heavier head that exists in training alone and decides what is positive.

Source: NanoDet-Plus.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gsnet.detection.head import SCORE_BIAS
from gsnet.detection.layers import flat_cells, init_normal, leaky_relu
from gsnet.detection.neck import GhostPAN

_DEPTH = 4
_GROUPS = 32


class AuxiliaryHead(nn.Module):
    """A class tower and a box tower of 3 x 3 convolutions with group normalisation, shared by all levels.

    Maps (N, channels, h, w) become (N, priors, classes + bins) as in `Head`. Bins are multiplied by a number that each
    level learns.
    """

    def __init__(self, channels: int, classes: int, bins: int, levels: int) -> None:
        super().__init__()
        self.class_tower, self.box_tower = _tower(channels), _tower(channels)
        self.predict_class = nn.Conv2d(channels, classes, 3, padding=1)
        self.predict_box = nn.Conv2d(channels, bins, 3, padding=1)
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in range(levels))
        init_normal(self)
        nn.init.constant_(self.predict_class.bias, SCORE_BIAS)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = []
        for scale, x in zip(self.scales, maps, strict=True):
            logits = self.predict_class(self.class_tower(x))
            bins = self.predict_box(self.box_tower(x)) * scale
            levels.append(flat_cells(torch.cat((logits, bins), dim=1)))
        return torch.cat(levels, dim=1)


def _tower(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(_DEPTH):
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(_GROUPS, channels), leaky_relu()]
    return nn.Sequential(*layers)


class Auxiliary(nn.Module):
    """A neck that begins as a copy of the detector's, and a head that reads both necks' maps side by side."""

    def __init__(self, neck: GhostPAN, channels: int, classes: int, bins: int, levels: int) -> None:
        super().__init__()
        self.neck = copy.deepcopy(neck)
        self.head = AuxiliaryHead(2 * channels, classes, bins, levels)

    def forward(self, maps: Sequence[Tensor], features: Sequence[Tensor], detached: bool) -> Tensor:
        """Predictions (N, priors, outputs) from the backbone's maps and the neck's features.

        detached: no gradient reaches either, as in the later part of a training.
        """
        if detached:
            maps, features = [x.detach() for x in maps], [x.detach() for x in features]
        return self.head([torch.cat(pair, dim=1) for pair in zip(features, self.neck(maps), strict=True)])
