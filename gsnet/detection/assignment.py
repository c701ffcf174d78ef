"""Which prior learns which object: dynamic soft label assignment (DSLA, NanoDet-Plus), image by image.

Source: Ge et al. 2021, "OTA", and "YOLOX", section 2.2, from which dynamic k comes; the soft class cost is Li et al.'s
quality focal loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gsnet.detection.overlap import iof_matrix, iou_matrix
from gsnet.detection.targets import Targets
from gsnet.interface.options import InputError


@dataclass(frozen=True)
class AssignmentSettings:
    """top: IoUs that add up to the number of positives of an object; iou_weight: of -ln IoU beside the class cost.

    tiny_radius: above 0, the nearest prior of every level up to `tiny_stride`, if it lies within that many strides of an
    object's centre, may become positive though it lies outside of it, and no prior that is neither inside nor near may. By
    default an object that holds no prior takes one that lies in another object, or none.

    ignored_share: a background prior whose box lies by more than this share in an ignored region is left out of the loss.
    Raises InputError for values that mean nothing.
    """

    top: int = 13
    iou_weight: float = 3.0
    tiny_radius: float = 0.0
    tiny_stride: int = 16
    ignored_share: float = 0.5

    def __post_init__(self) -> None:
        if self.tiny_radius < 0 or not 0 <= self.ignored_share <= 1:
            raise InputError("--tiny_radius starts at 0, --ignored_share lies from 0 to 1")


@dataclass(frozen=True)
class Assignment:
    """For P priors: `objects` (P,) the object's number or -1, `quality` (P,) its IoU or 0, `weights` (P,) 1 or 0."""

    objects: Tensor
    quality: Tensor
    weights: Tensor

    @property
    def positive(self) -> Tensor:
        """Priors that learn an object, (P,) bool."""
        return self.objects >= 0


@torch.no_grad()
def assign(
    priors: Tensor, boxes: Tensor, logits: Tensor, targets: Targets, settings: AssignmentSettings | None = None
) -> Assignment:
    """Assign the objects of one image: priors (P, 4), decoded boxes (P, 4) and logits (P, classes) of a prediction."""
    settings = settings or AssignmentSettings()
    objects = torch.full((len(priors),), -1, dtype=torch.int64, device=priors.device)
    quality = boxes.new_zeros(len(priors))
    if len(targets.boxes):
        allowed = inside(priors, targets.boxes)
        if settings.tiny_radius > 0:
            allowed = allowed | nearby(priors, targets.boxes, settings.tiny_radius, settings.tiny_stride)
        candidates = allowed.any(dim=1).nonzero()[:, 0]
        if len(candidates):
            overlaps = iou_matrix(boxes[candidates], targets.boxes)
            cost = costs(logits[candidates], targets.labels, overlaps, settings.iou_weight)
            if settings.tiny_radius > 0:
                cost = cost.masked_fill(~allowed[candidates], torch.inf)
                overlaps = overlaps.masked_fill(~allowed[candidates], 0)
            chosen = matched(cost, overlaps, settings.top)
            positive = chosen >= 0
            objects[candidates[positive]] = chosen[positive]
            quality[candidates[positive]] = overlaps[positive, chosen[positive]]
    return Assignment(objects, quality, _weights(priors, boxes, objects, targets.ignored, settings.ignored_share))


def inside(priors: Tensor, boxes: Tensor) -> Tensor:
    """Which priors (P, 4) lie strictly inside which boxes (G, 4): (P, G) bool."""
    x, y = priors[:, None, 0], priors[:, None, 1]
    return (x > boxes[:, 0]) & (y > boxes[:, 1]) & (x < boxes[:, 2]) & (y < boxes[:, 3])


def nearby(priors: Tensor, boxes: Tensor, radius: float, largest_stride: int) -> Tensor:
    """The nearest prior of each level up to largest_stride, where it lies within `radius` strides of a box's centre: (P, G)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = torch.cdist(priors[:, :2], centres)
    near = torch.zeros_like(away, dtype=torch.bool)
    for stride in priors[:, 2].unique():
        if stride > largest_stride:
            continue
        level = (priors[:, 2] == stride).nonzero()[:, 0]
        distance, place = away[level].min(dim=0)
        reached = (distance <= radius * stride).nonzero()[:, 0]
        near[level[place[reached]], reached] = True
    return near


def costs(logits: Tensor, labels: Tensor, overlaps: Tensor, iou_weight: float) -> Tensor:
    """Cost (C, G) of every candidate for every object: quality focal loss against the IoU, and -ln IoU times its weight.

    logits (C, classes), labels (G,), overlaps (C, G).
    """
    scores = logits.sigmoid()
    # For the classes that an object is not, the target is 0 and the cost does not depend on the object.
    others = functional.softplus(logits) * scores.square()
    own_logits, own_scores = logits[:, labels], scores[:, labels]
    own = (functional.softplus(own_logits) - own_logits * overlaps) * (overlaps - own_scores).square()
    class_cost = others.sum(dim=1, keepdim=True) - others[:, labels] + own
    return class_cost - iou_weight * (overlaps + 1e-7).log()


def matched(cost: Tensor, overlaps: Tensor, top: int) -> Tensor:
    """The object of every candidate, or -1: (C,). An object takes as many of its cheapest as its largest IoUs add up to.

    A candidate that several objects want goes to the cheapest; infinite costs are never taken.
    """
    count = overlaps.topk(min(top, len(overlaps)), dim=0).values.sum(dim=0).int().clamp(min=1)
    rank = cost.argsort(dim=0).argsort(dim=0)
    wanted = (rank < count) & cost.isfinite()
    cheapest = cost.argmin(dim=1)
    first = wanted.int().argmax(dim=1)
    chosen = torch.where(wanted.sum(dim=1) > 1, cheapest, first)
    return chosen.masked_fill(~wanted.any(dim=1), -1)


def _weights(priors: Tensor, boxes: Tensor, objects: Tensor, ignored: Tensor, share: float) -> Tensor:
    weights = boxes.new_ones(len(priors))
    if len(ignored):
        covered = (iof_matrix(boxes, ignored) > share) | inside(priors, ignored)
        weights[covered.any(dim=1) & (objects < 0)] = 0
    return weights
