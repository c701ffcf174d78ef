"""Accuracy on validation images during a training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsnet.interface.options import InputError
from gsnet.validation.precision import autocast
from gsnet.validation.processes import summed


@dataclass(frozen=True)
class Accuracy:
    """Mean cross-entropy, and per cent of images whose label is the first, or among the first five."""

    images: int
    loss: float
    top1: float
    top5: float

    def __str__(self) -> str:
        return f"top-1 {self.top1:.3f}%, top-5 {self.top5:.3f}%, loss {self.loss:.4f}, {self.images} images"


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: str,
    dtype: torch.dtype | None = None,
    limit: int | None = None,
    channels_last: bool = False,
) -> Accuracy:
    """Classify batches of images (N, 3, H, W), of all processes together.

    dtype: of mixed precision, None for float32. limit: batches, for a dry run. The network is left in evaluation mode.
    Raises InputError where there are no images.
    """
    network.eval()
    layout = torch.channels_last if channels_last else torch.preserve_format
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    for images, labels in islice(batches, limit):
        if not len(labels):
            # Broken images were all that it held.
            continue
        labels = labels.to(device, non_blocking=True)
        with autocast(device, dtype):
            logits = network(images.to(device, memory_format=layout, non_blocking=True))
        sums += counts(logits.float(), labels)
    count, loss, first, five = (float(value) for value in summed(sums))
    if not count:
        raise InputError("The data set has no validation images")
    return Accuracy(int(count), loss / count, 100 * first / count, 100 * five / count)


def counts(logits: Tensor, labels: Tensor) -> Tensor:
    """Images, summed cross-entropy, labels ranked first and among the first five: (4,) in float64."""
    found = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    values = torch.stack([found[:, 0].sum().double(), found.any(dim=1).sum().double()])
    return torch.cat([torch.stack([torch.full_like(loss, len(labels)).double(), loss.double()]), values])
