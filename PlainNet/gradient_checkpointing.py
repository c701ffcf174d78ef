"""Gradient checkpointing (Chen et al. 2016): maps inside a block are computed again in the backward pass, not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """block(x), of which only x is kept for the backward pass.

    The running statistics of batch normalisation see every batch once, as without checkpointing: torch's own would update
    them again in the backward pass.
    """
    if torch.compiler.is_compiling():
        # The compiler computes again what it chooses itself, and never an update.
        return checkpoint(block, x, use_reentrant=False)
    return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), statistics_kept(block)))


@contextmanager
def statistics_kept(block: nn.Module) -> Iterator[None]:
    """While this lasts the running statistics of batch normalisation stay as they are."""
    norms = [layer for layer in block.modules() if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm)]
    kept = [(layer, layer.momentum, layer.num_batches_tracked) for layer in norms]
    for layer in norms:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, momentum, batches in kept:
            layer.momentum, layer.num_batches_tracked = momentum, batches
