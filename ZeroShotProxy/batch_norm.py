"""Batch normalisation for forward passes that are scored: no counter, and over its input where nobody else reads that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


class ScoredBatchNorm(nn.BatchNorm2d):
    """Batch normalisation, (N, C, H, W), that does not count its batches: that would be a kernel a pass.

    passes: batches of equal size that lie one behind the other in its input. Each is normalised by itself, and each moves the
    running statistics by a step.
    """

    passes = 1

    def reset_running_stats(self) -> None:
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.passes == 1:
            return self._normalised(x)
        return torch.cat([self._normalised(part) for part in x.chunk(self.passes)])

    def _normalised(self, x: Tensor) -> Tensor:
        running = (self.running_mean, self.running_var)
        return functional.batch_norm(x, *running, self.weight, self.bias, self.training, self.momentum or 0.0, self.eps)


class InPlaceBatchNorm(ScoredBatchNorm):
    """The same in training mode written over its input. It has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        saved = x.new_empty(x.shape[1]), x.new_empty(x.shape[1])
        for part in x.chunk(self.passes) if self.passes > 1 else (x,):
            self._overwrite(part, *saved)
        return x

    def _overwrite(self, x: Tensor, save_mean: Tensor, save_invstd: Tensor) -> None:
        if x.numel() == x.shape[1]:
            # The refusal of torch.nn.functional.batch_norm, which this operator does not check for.
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        torch.ops.aten.native_batch_norm.out(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            True,
            self.momentum,
            self.eps,
            out=x,
            save_mean=save_mean,
            save_invstd=save_invstd,
        )


@contextmanager
def joined_passes(network: nn.Module, passes: int) -> Iterator[None]:
    """Inside this context so many batches, one behind the other, go through a network of ours as if one after the other."""
    layers = [layer for layer in network.modules() if isinstance(layer, ScoredBatchNorm)]
    for layer in layers:
        layer.passes = passes
    try:
        yield
    finally:
        for layer in layers:
            layer.passes = 1
