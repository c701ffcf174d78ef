"""A network of ours rearranged for forward passes only: channels last in memory, and maps overwritten where nobody reads them.

Lean networks compute the same function. They are for scores without gradients on a CPU, where a forward pass of thin layers
spends as much time on moving maps about as on arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from Masternet import MasterNet
from PlainNet import modules

# Layers whose output is memory of its own, or that of an input which nothing else reads.
_FRESH = (
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.Hardswish,
    nn.SiLU,
    modules.Residual,
    modules.ProjectedResidual,
    modules.GhostConvolution,
    modules.GhostShuffle,
)
_PARALLEL = (modules.BranchSum, modules.BranchConcatenation)


class InPlaceBatchNorm(nn.BatchNorm2d):
    """Batch normalisation, (N, C, H, W), in training mode written over its input. It has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        positions = x.numel() // x.shape[1]
        if positions == 1:
            # The refusal of torch.nn.functional.batch_norm, which this operator does not check for.
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        mean, inverse = x.new_empty(0), x.new_empty(0)
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
            save_mean=mean,
            save_invstd=inverse,
        )
        return x


def make_lean(network: MasterNet) -> None:
    """Rearrange a network that nobody else uses, after its weights are set. It must stay in training mode."""
    for parent in network.modules():
        if isinstance(parent, nn.Conv2d):
            # A convolution's output takes over the layout of its weight, and the layers behind it take over that.
            parent.weight.data = parent.weight.data.contiguous(memory_format=torch.channels_last)
        for before, after in pairwise(_in_order(parent)):
            layer = modules.bare(after)
            if not isinstance(modules.bare(before), _FRESH):
                continue
            if type(layer) is nn.BatchNorm2d:
                # The same state under another forward; a second module for each would cost more than it saves.
                layer.__class__ = InPlaceBatchNorm
            elif isinstance(layer, nn.ReLU | nn.Hardswish | nn.SiLU):
                layer.inplace = True


def _in_order(parent: nn.Module) -> Iterable[nn.Module]:
    """The modules that a parent applies one after the other, each reading only the one before it."""
    if isinstance(parent, modules.Chain | MasterNet) and not isinstance(parent, _PARALLEL):
        return list(parent.module_list)
    return list(parent) if isinstance(parent, nn.Sequential) else []
