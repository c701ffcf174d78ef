"""A network of ours rearranged for forward passes only: channels last in memory, and maps overwritten where nobody reads them.

Lean networks compute the same function. They are for scores without gradients. On a CPU a forward pass of thin layers spends as
much time on moving maps about as on arithmetic, and on a GPU as much on launches.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn

from Masternet import MasterNet
from PlainNet import modules
from ZeroShotProxy.batch_norm import InPlaceBatchNorm, ScoredBatchNorm

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


def make_lean(network: MasterNet) -> None:
    """Rearrange a network that nobody else uses, after its weights are set. It must stay in training mode."""
    overwrite_maps(network)
    lay_channels_last(network)


def overwrite_maps(network: nn.Module) -> None:
    """Have normalisation and activations write over their input where nothing else reads it."""
    for parent in network.modules():
        overwrite_maps_between(parent)


def overwrite_maps_between(parent: nn.Module) -> None:
    """The same for the modules that a single parent applies one after the other."""
    for before, after in pairwise(_in_order(parent)):
        layer = modules.bare(after)
        if not _makes_fresh_map(modules.bare(before)):
            continue
        if type(layer) in (nn.BatchNorm2d, ScoredBatchNorm):
            # The same state under another forward; a second module for each would cost more than it saves.
            layer.__class__ = InPlaceBatchNorm
        elif isinstance(layer, nn.ReLU | nn.Hardswish | nn.SiLU):
            layer.inplace = True


def _makes_fresh_map(layer: nn.Module) -> bool:
    """Whether a layer's output is whole memory: of an odd GhostConv it is a part, over which normalisation writes wrongly."""
    return isinstance(layer, _FRESH) and not (isinstance(layer, modules.GhostConvolution) and layer.out_channels % 2)


def lay_channels_last(network: nn.Module) -> None:
    """Lay the weights of convolutions channels last: their output takes that over, and so do the layers behind them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def _in_order(parent: nn.Module) -> Iterable[nn.Module]:
    """The modules that a parent applies one after the other, each reading only the one before it."""
    if isinstance(parent, modules.Chain | MasterNet) and not isinstance(parent, _PARALLEL):
        return list(parent.module_list)
    return list(parent) if isinstance(parent, nn.Sequential) else []
