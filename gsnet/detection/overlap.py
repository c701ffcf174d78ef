"""How much boxes share: IoU, generalised IoU, and the share of one box that lies in another."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST_AREA = 1e-6


def areas(boxes: Tensor) -> Tensor:
    """Areas (…) of boxes (…, 4); an inside-out box has none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def intersections(first: Tensor, second: Tensor) -> Tensor:
    """Areas that boxes share; shapes (…, 4) are broadcast."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp(min=0).prod(dim=-1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union, boxes broadcast; two boxes without area give 0."""
    shared = intersections(first, second)
    return shared / (areas(first) + areas(second) - shared).clamp(min=_SMALLEST_AREA)


def iou_matrix(first: Tensor, second: Tensor) -> Tensor:
    """IoU (A, B) of boxes (A, 4) and (B, 4)."""
    return iou(first[:, None], second[None])


def iof_matrix(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share (A, B) of each of the boxes (A, 4) that lies in each of the regions (B, 4)."""
    return intersections(boxes[:, None], regions[None]) / areas(boxes)[:, None].clamp(min=_SMALLEST_AREA)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU less the share of the enclosing box that neither fills (Rezatofighi et al. 2019, algorithm 1)."""
    shared = intersections(first, second)
    union = (areas(first) + areas(second) - shared).clamp(min=_SMALLEST_AREA)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    enclosing = (high - low).clamp(min=0).prod(dim=-1).clamp(min=_SMALLEST_AREA)
    return shared / union - (enclosing - union) / enclosing
