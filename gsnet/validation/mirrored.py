"""Test-time flips: what a network says of an image and of its mirror image together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gsnet.models.module_costs import as_logits


class Mirrored(nn.Module):
    """A classifier whose probabilities are the mean of those of the image and of its mirror image.

    Images (N, C, H, W) to the logarithms of the mean probabilities, (N, classes), in float32, which are logits of the same.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        both = (self.network(images), self.network(images.flip(-1)))
        one, other = (as_logits(logits).float().log_softmax(1) for logits in both)
        return torch.logaddexp(one, other) - math.log(2)
