"""Losses of a prediction against what was assigned to it: quality focal, generalised IoU and distribution focal loss.

Source: Li et al. 2020, "Generalized Focal Loss", equations 2 and 6; weights and normalisation NanoDet-Plus'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gsnet.detection.assignment import Assignment
from gsnet.detection.overlap import generalised_iou
from gsnet.detection.priors import decode, encode
from gsnet.detection.settings import REG_MAX
from gsnet.detection.targets import Targets
from gsnet.validation.processes import place, summed

CLASS_WEIGHT, BOX_WEIGHT, BINS_WEIGHT = 1.0, 2.0, 0.25


class Losses(NamedTuple):
    """The weighted parts of one head's loss; their sum is what is minimised."""

    quality_focal: Tensor
    generalised_iou: Tensor
    distribution_focal: Tensor

    def total(self) -> Tensor:
        """The sum."""
        return self.quality_focal + self.generalised_iou + self.distribution_focal


def quality_focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy times the squared distance of the score from its target, summed over classes: (P,).

    logits and targets (P, classes); a target is the quality at the object's class and 0 elsewhere.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (entropy * (targets - logits.sigmoid()).square()).sum(dim=1)


def distribution_focal_loss(bins: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the two bins around each target, by their nearness; bins (…, 8), targets (…) from 0 to 7: (…)."""
    left = targets.floor().long().clamp(max=REG_MAX - 1)
    share = targets - left
    logarithms = bins.log_softmax(dim=-1)
    low = logarithms.gather(-1, left[..., None])[..., 0]
    high = logarithms.gather(-1, left[..., None] + 1)[..., 0]
    return -(1 - share) * low - share * high


def head_loss(
    predictions: Tensor, priors: Tensor, assignments: Sequence[Assignment], targets: Sequence[Targets], classes: int
) -> Losses:
    """Losses of a batch: predictions (N, P, classes + 32), priors (P, 4), an assignment and targets for each image.

    Every part is divided by counts over all processes (their mean), so that gradients average to those of one large
    batch. Without a positive prior the box losses are 0 and still part of the graph.
    """
    logits, bins = predictions[..., :classes], predictions[..., classes:]
    wanted = torch.zeros_like(logits)
    chosen = torch.stack([a.positive for a in assignments])
    image, prior = chosen.nonzero(as_tuple=True)
    labels = torch.cat([t.labels[a.objects[a.positive]] for a, t in zip(assignments, targets, strict=True)])
    boxes = torch.cat([t.boxes[a.objects[a.positive]] for a, t in zip(assignments, targets, strict=True)])
    quality = torch.cat([a.quality[a.positive] for a in assignments])
    wanted[image, prior, labels] = quality.to(wanted)
    weights = torch.stack([a.weights for a in assignments]).to(logits)

    positives = _mean_over_processes(chosen.sum()).to(logits)
    focal = quality_focal_loss(logits.flatten(0, 1), wanted.flatten(0, 1)) * weights.flatten()
    certainty = logits[image, prior].detach().sigmoid().amax(dim=1)
    share = certainty / _mean_over_processes(certainty.sum()).to(certainty)

    found, where = bins[image, prior], priors[prior]
    overlap = 1 - generalised_iou(decode(found, where), boxes.to(found))
    sides = distribution_focal_loss(found.unflatten(-1, (4, REG_MAX + 1)), encode(boxes.to(found), where))
    # A sum over nothing, as of an image without objects, is 0 and keeps the graph of every output.
    kept = predictions.sum() * 0
    return Losses(
        CLASS_WEIGHT * focal.sum() / positives,
        BOX_WEIGHT * (share * overlap).sum() + kept,
        BINS_WEIGHT * (share[:, None] * sides).sum() / 4 + kept,
    )


def _mean_over_processes(value: Tensor) -> Tensor:
    """The mean over processes, at least 1, as float64."""
    return (summed(value.detach().double()) / place()[1]).clamp(min=1)
