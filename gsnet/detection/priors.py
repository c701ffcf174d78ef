"""Priors, and boxes as distances from them.

A prior is `centre x, centre y, stride, stride` in pixels: the corner of its cell, without the half cell that other
detectors add. A box's sides are read from bins 0 to 7, in strides: the mean of the bins under their softmax (Li et al.
2020, "Generalized Focal Loss", equation 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gsnet.detection.settings import REG_MAX

# The largest target, so that a bin lies on either side of it.
_LARGEST = REG_MAX - 0.1


def priors(
    height: int,
    width: int,
    strides: Sequence[int],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Priors (P, 4) of an input of height x width pixels: levels one after the other, cells in rows."""
    levels = []
    for stride in strides:
        # Rounded up without a negative number, whose division ONNX files of torch round the other way.
        ys = torch.arange((height + stride - 1) // stride, device=device, dtype=dtype) * stride
        xs = torch.arange((width + stride - 1) // stride, device=device, dtype=dtype) * stride
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        size = torch.full_like(x, stride)
        levels.append(torch.stack((x, y, size, size), dim=-1).reshape(-1, 4))
    return torch.cat(levels)


def distances(bins: Tensor) -> Tensor:
    """Bins (…, 4 * 8) to the distances of left, top, right and bottom (…, 4) in strides."""
    shares = bins.unflatten(-1, (4, REG_MAX + 1)).softmax(dim=-1)
    return (shares * torch.arange(REG_MAX + 1, device=bins.device, dtype=bins.dtype)).sum(dim=-1)


def decode(bins: Tensor, priors: Tensor) -> Tensor:
    """Boxes (…, P, 4) in pixels from bins (…, P, 32) and priors (P, 4)."""
    left, top, right, bottom = (distances(bins) * priors[..., 2:3]).unbind(-1)
    x, y = priors[..., 0], priors[..., 1]
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=-1)


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Distances (P, 4) in strides, from 0 to 6.9, of the sides of boxes (P, 4) to priors (P, 4): the bins' targets."""
    x, y, stride = priors[..., 0], priors[..., 1], priors[..., 2:3]
    sides = torch.stack((x - boxes[..., 0], y - boxes[..., 1], boxes[..., 2] - x, boxes[..., 3] - y), dim=-1)
    return (sides / stride).clamp(0, _LARGEST)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes cut off at the borders of an input of height x width pixels."""
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)
