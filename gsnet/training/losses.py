"""Targets and losses of classification and distillation: label smoothing, mixup, CutMix, a teacher's logits and maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional

from gsnet.training.usual import CUTMIX_ALPHA, MIXUP_ALPHA


def smoothed_targets(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Probabilities (N, classes): 1 - smoothing on the label, and smoothing spread evenly over all classes.

    Source: Szegedy et al. 2016, section 7.
    """
    return functional.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over the batch of -sum targets log softmax(logits); both (N, classes). weights: (classes,), of the summands."""
    if weights is not None:
        targets = targets * weights
    return -(targets * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Binary cross-entropy of every class by itself, mean over classes and batch (Wightman et al. 2021, section 4).

    threshold: targets above it count as 1, all others as 0; None for targets as they are. Is called as `soft_cross_entropy`.
    """

    threshold: float | None = None

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.threshold is not None:
            targets = (targets > self.threshold).to(targets.dtype)
        return functional.binary_cross_entropy_with_logits(logits, targets, weights)


def teacher_logit_loss(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy with the teacher's probabilities, mean over the batch; both logits (N, classes).

    Both are divided by the temperature T, and the loss is multiplied by its square, so that gradients keep their size
    (Hinton et al. 2015, section 2).
    """
    return temperature**2 * soft_cross_entropy(logits / temperature, (teacher / temperature).softmax(dim=1))


def teacher_feature_loss(projected: Tensor, teacher: Tensor, clip: float | None = None) -> Tensor:
    """Mean smooth L1 distance of a projected map (N, C, h, w) from the teacher's (N, C, H, W).

    The teacher's map is first bounded to [-clip, clip] and brought to (h, w) by bilinear interpolation.
    """
    if clip is not None:
        teacher = teacher.clamp(-clip, clip)
    if teacher.shape[2:] != projected.shape[2:]:
        teacher = functional.interpolate(teacher, projected.shape[2:], mode="bilinear")
    return functional.smooth_l1_loss(projected, teacher)


def blended(values: Tensor, partners: Tensor, share: float) -> Tensor:
    """share of each value and 1 - share of its partner's; partners: indices (N,)."""
    return share * values + (1 - share) * values[partners]


def mixup(images: Tensor, targets: Tensor, alpha: float = MIXUP_ALPHA) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) and targets (N, classes) blended with those of a random partner (Zhang et al. 2018).

    One share for the batch, from Beta(alpha, alpha) and torch's random numbers of the CPU.
    """
    share, partners = _share(alpha), _partners(images)
    return blended(images, partners, share), blended(targets, partners, share)


def cutmix(images: Tensor, targets: Tensor, alpha: float = CUTMIX_ALPHA) -> tuple[Tensor, Tensor]:
    """A rectangle of each image comes from a random partner; targets mix by area (Yun et al. 2019, section 3.1)."""
    share, partners = _share(alpha), _partners(images)
    height, width = images.shape[-2:]
    centre = int(torch.randint(height, ())), int(torch.randint(width, ()))
    return pasted(images, targets, partners, share, centre)


def pasted(
    images: Tensor, targets: Tensor, partners: Tensor, share: float, centre: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Images with the partners' rectangle around centre (row, column), which would keep `share` of an image's area.

    Where the border cuts the rectangle, the targets take the area that is left of it.
    """
    height, width = images.shape[-2:]
    scale = (1 - share) ** 0.5 / 2
    top, bottom = _span(centre[0], height * scale, height)
    left, right = _span(centre[1], width * scale, width)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[partners, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, blended(targets, partners, kept)


def _span(centre: int, half: float, length: int) -> tuple[int, int]:
    return max(0, int(centre - half)), min(length, int(centre + half))


def _share(alpha: float) -> float:
    return float(Beta(alpha, alpha).sample())


def _partners(images: Tensor) -> Tensor:
    # Without waiting: a GPU is behind by the steps before.
    return torch.randperm(len(images)).to(images.device, non_blocking=True)
