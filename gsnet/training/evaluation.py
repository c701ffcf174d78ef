"""Accuracy on validation images during a training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from gsnet.validation.precision import autocast
from gsnet.validation.tally import Accuracy, Tally


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
    tally = Tally(device)
    for images, labels in islice(batches, limit):
        if not len(labels):
            # Broken images were all that it held.
            continue
        labels = labels.to(device, non_blocking=True)
        with autocast(device, dtype):
            logits = network(images.to(device, memory_format=layout, non_blocking=True))
        tally.add(logits.float(), labels)
    return tally.accuracy()
