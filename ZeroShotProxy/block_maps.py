"""The maps between the blocks of a network: behind its stem and behind every block of its chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from Masternet import MasterNet
from PlainNet.modules import Chain, Layer, bare

# What ends the maps of a classifier.
_CLASSIFIER = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Linear)


@dataclass
class BlockModules:
    """The modules of one block, in order. composite: one of them has parallel paths, or a forward pass of its own."""

    modules: list[nn.Module] = field(default_factory=list)
    composite: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether it holds a convolution; normalisation and activation before a classifier are no block."""
        return any(isinstance(layer, _ConvNd) for module in self.modules for layer in module.modules())


def blocks_of(network: nn.Module) -> list[BlockModules]:
    """The blocks that a network applies one after the other, the stem included, the classifier not.

    Chains (MasterNet's blocks, nn.Sequential, the network's own children in their order) are taken apart. In them, a module
    with parallel paths is a block, together with plain layers right behind it; of plain layers, a convolution begins a block
    that lasts up to the next one. A block of a structure string without parallel paths is one block, whatever its layers.
    """
    while not isinstance(network, MasterNet) and not _links(network) and len(list(network.children())) == 1:
        network = next(network.children())
    if isinstance(network, MasterNet):
        return _structure_blocks(network)
    parts = _parts(_links(network) or list(network.children()))
    return [part for part in parts if part.has_weights]


def _structure_blocks(network: MasterNet) -> list[BlockModules]:
    """As `blocks_of`; a BN or an activation that stands alone in the structure belongs to the block before it."""
    blocks: list[BlockModules] = []
    for block in network.module_list:
        parts = _parts([block])
        if not any(part.composite for part in parts):
            parts = [BlockModules([module for part in parts for module in part.modules])]
        for part in parts:
            if part.has_weights or not blocks:
                blocks.append(part)
            else:
                blocks[-1].modules += part.modules
    return blocks


def _parts(modules: Iterable[nn.Module]) -> list[BlockModules]:
    parts: list[BlockModules] = []
    open_part: BlockModules | None = None
    for module in modules:
        if links := _links(module):
            parts += _parts(links)
            open_part = None
        elif isinstance(bare(module), _CLASSIFIER):
            open_part = None
        elif any(module.children()) and not isinstance(module, Layer):
            open_part = BlockModules([module], composite=True)
            parts.append(open_part)
        elif open_part is None or isinstance(bare(module), _ConvNd):
            open_part = BlockModules([module])
            parts.append(open_part)
        else:
            open_part.modules.append(module)
    return parts


def _links(module: nn.Module) -> list[nn.Module]:
    """The modules that a chain applies one after the other; none where the module has a forward pass of its own."""
    if isinstance(module, Chain) and type(module).forward is Chain.forward:
        return list(module.module_list)
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        return list(module)
    return []


@contextmanager
def recorded_block_maps(network: nn.Module) -> Iterator[list[Tensor]]:
    """Inside this context, forward passes append the map behind every block: (batch, channels, height, width), as computed.

    What comes behind reads a copy, so that an activation in place changes no recorded map; gradients flow through it.
    """
    maps: list[Tensor] = []

    def remember(module: nn.Module, inputs: tuple, output: object) -> Tensor | None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            return None
        maps.append(output)
        return output.clone()

    handles = [block.modules[-1].register_forward_hook(remember) for block in blocks_of(network)]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()
