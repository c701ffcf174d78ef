"""Networks of ours that are built for one score: copies of blocks that were built before, without memory.

Building a layer takes some thirty times as long as copying it, and the neighbours of a search have most of their blocks in
common. A block is therefore built once, on the meta device, and remembered; a network is put together from copies, and gets its
tensors by `ZeroShotProxy.flat_tensors`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from Masternet import MasterNet
from PlainNet import Network, Style
from PlainNet.block import Block
from PlainNet.lazy import remembered
from ZeroShotProxy.batch_norm import ScoredBatchNorm
from ZeroShotProxy.lean_network import overwrite_maps, overwrite_maps_between

# The dictionaries of hooks that every module has. Those of remembered blocks stay empty, so that one will do for all of them.
_HOOKS = tuple(name for name, value in vars(nn.Module()).items() if isinstance(value, OrderedDict))
_NO_HOOKS: OrderedDict = OrderedDict()
_REMEMBERED_BLOCKS = 2_000


class ScoredNetwork(MasterNet):
    """A network whose tensors are all to be set. Its normalisation is `ScoredBatchNorm`."""

    lean = False

    def __init__(self, network: Network, style: Style, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, plainnet_struct=network, style=style)

    def _module_of(self, block: Block) -> nn.Module:
        return _copied(_skeleton(block, self.style, self.lean))


class LeanNetwork(ScoredNetwork):
    """The same for forward passes alone: maps are overwritten where nobody reads them, see `ZeroShotProxy.lean_network`."""

    lean = True

    def __init__(self, network: Network, style: Style, num_classes: int) -> None:
        super().__init__(network, style, num_classes)
        overwrite_maps_between(self)


def is_of_own_layers(network: Network, style: Style) -> bool:
    """Whether the package made every layer of a network: of those of others nothing is known that a copy would have to keep."""
    return all(_is_of_own_layers(block, style) for block in network.blocks)


@remembered(_REMEMBERED_BLOCKS)
def _is_of_own_layers(block: Block, style: Style) -> bool:
    if not _makes_own_module(block):
        return _is_of_package(type(block).module_of_parts) and all(
            _is_of_own_layers(part, style) for part in block.module_parts(style)
        )
    return _is_of_package(type(block).module)


def _makes_own_module(block: Block) -> bool:
    return type(block).module is not Block.module


def _is_of_package(method: object) -> bool:
    return getattr(method, "__module__", "").startswith("PlainNet.")


@remembered(_REMEMBERED_BLOCKS)
def _skeleton(block: Block, style: Style, lean: bool) -> nn.Module:
    """The module of a block on the meta device, to be copied."""
    parts = [_copied(_skeleton(part, style, lean)) for part in block.module_parts(style)]
    with torch.device("meta"):
        module = block.module(style) if _makes_own_module(block) else block.module_of_parts(parts, style)
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = ScoredBatchNorm
            layer.num_batches_tracked = None
    if lean:
        overwrite_maps(module)
    for layer in module.modules():
        vars(layer).update(dict.fromkeys(_HOOKS, _NO_HOOKS))
    return module


def _copied(module: nn.Module) -> nn.Module:
    """A module with parameters, buffers, children and hooks of its own; the tensors are those of the other."""
    copy = object.__new__(type(module))
    own = vars(copy)
    own.update(vars(module))
    for name in _HOOKS:
        own[name] = OrderedDict()
    own["_parameters"] = module._parameters.copy()
    own["_buffers"] = module._buffers.copy()
    own["_modules"] = {name: child and _copied(child) for name, child in module._modules.items()}
    return copy
