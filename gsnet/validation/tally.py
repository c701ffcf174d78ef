"""What is counted of a classifier's answers: images, right ones, losses; over batches, and over processes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gsnet.interface.options import InputError
from gsnet.validation.precision import sum_type
from gsnet.validation.processes import summed

_AMONG = 5


@dataclass(frozen=True)
class Accuracy:
    """images: how many were classified; loss: mean cross-entropy; top1 and top5: per cent whose label is the first, or among
    the first five.
    """

    images: int
    loss: float
    top1: float
    top5: float

    def __str__(self) -> str:
        return f"top-1 {self.top1:.3f}%, top-5 {self.top5:.3f}%, loss {self.loss:.4f}, {self.images} images"


class Tally:
    """Images, right answers and losses of batches, summed on the device: to read a number is to wait for it."""

    def __init__(self, device: str) -> None:
        self.images = 0
        # Cross-entropies, labels ranked first and among the first five.
        self._sums = torch.zeros(3, dtype=sum_type(device), device=device)

    def add(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Count a batch and return which classes were ranked first, (N,).

        logits: (N, classes) in float32; labels: (N,) below classes; both on the device.
        """
        self.images += len(labels)
        ranked = logits.topk(min(_AMONG, logits.shape[1])).indices
        right = ranked == labels[:, None]
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        self._sums += torch.stack([loss, right[:, 0].sum(), right.any(dim=1).sum()])
        return ranked[:, 0]

    def accuracy(self) -> Accuracy:
        """What was counted in all processes. Raises InputError where there was no image."""
        # On the processor, whose float64 holds counts below 2^53 exactly.
        own = torch.cat([torch.tensor([self.images], dtype=torch.float64), self._sums.cpu().double()])
        images, loss, first, among = summed(own).tolist()
        if not images:
            raise InputError("The data set has no validation images")
        return Accuracy(int(images), loss / images, 100 * first / images, 100 * among / images)
