"""What a fine-tuning treats otherwise than the rest: frozen parts, the classifier, layers that are early.

All of it works on any network: on ours and timm's by the layers that they name themselves, on others by their children.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from torch import nn

from gsnet.interface.options import InputError
from gsnet.training.fine_tuning_options import BACKBONE, NORMS
from PlainNet.classifier import Classifier

_LOG = logging.getLogger(__name__)


def head_of(network: nn.Module, classes: int) -> nn.Module:
    """The classifier: what `get_classifier` names, else the last layer with as many outputs as there are classes.

    Raises InputError where there is none.
    """
    if hasattr(network, "get_classifier"):
        found = network.get_classifier()  # type: ignore[operator]
        if isinstance(found, nn.Module) and next(found.parameters(), None) is not None:
            return found
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not layers or layers[-1].weight.shape[0] != classes:
        raise InputError(
            f"{type(network).__name__} does not end with a layer of {classes} classes that would be its head"
        )
    return layers[-1]


def blocks_of(network: nn.Module, head: nn.Module) -> list[nn.Module]:
    """The blocks in front of the classifier, from the image on.

    Of our networks those of the structure, of others their children that have parameters, where a plain Sequential stands for
    what is in it.
    """
    if isinstance(blocks := getattr(network, "module_list", None), nn.ModuleList):
        return list(blocks)
    own = set(head.modules())
    return [child for child in _children(network) if own.isdisjoint(child.modules())]


def _children(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if type(child) in (nn.Sequential, nn.ModuleList):
            yield from _children(child)
        elif next(child.parameters(), None) is not None:
            yield child


def freeze(network: nn.Module, what: tuple[str, ...], classes: int) -> tuple[nn.Module, ...]:
    """Take parts out of the training; returns the modules that must stay in evaluation mode.

    what: "backbone" for all but the classifier, a number for so many blocks from the image on, "bn" for every batch
    normalisation; several together. Frozen normalisation keeps its statistics too. Raises InputError.
    """
    if not what:
        return ()
    frozen: dict[nn.Module, None] = {}
    for part in what:
        frozen |= dict.fromkeys(_part(network, part, classes))
    if BACKBONE in what:
        # Parameters of modules that hold the classifier, too, as the tokens of a transformer.
        network.requires_grad_(False)
        head_of(network, classes).requires_grad_(True)
    for module in frozen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    total, trained = _counts(network)
    if not trained:
        raise InputError(f"--freeze {','.join(what)} leaves nothing to train")
    _LOG.info("Frozen by freeze %s: %s of %s parameters are trained", ",".join(what), f"{trained:,}", f"{total:,}")
    return tuple(frozen)


def _counts(network: nn.Module) -> tuple[int, int]:
    """Parameters, and those that are trained."""
    parameters = list(network.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def _part(network: nn.Module, part: str, classes: int) -> list[nn.Module]:
    if part == NORMS:
        return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    head = head_of(network, classes)
    if part == BACKBONE:
        own = set(head.modules())
        return [module for module in network.modules() if own.isdisjoint(module.modules())]
    blocks = blocks_of(network, head)
    if int(part) > len(blocks):
        raise InputError(f"--freeze {part}: the network has {len(blocks)} blocks in front of its classifier")
    return [module for block in blocks[: int(part)] for module in block.modules()]


def rate_scales(
    network: nn.Module, classes: int, head_scale: float = 1.0, layer_decay: float | None = None
) -> dict[nn.Parameter, float]:
    """What the learning rate of a parameter is multiplied by; parameters that are not named have 1.

    head_scale: of the classifier. layer_decay: of every layer the classifier is away (Clark et al. 2020, section 3.2), as
    timm counts them. Raises InputError.
    """
    scales = {}
    if layer_decay is not None:
        numbers = _layer_numbers(network, classes)
        last = max(numbers.values())
        scales = {weight: layer_decay ** (last - numbers[name]) for name, weight in network.named_parameters()}
    if head_scale != 1:
        scales |= dict.fromkeys(head_of(network, classes).parameters(), head_scale)
    return scales


def _layer_numbers(network: nn.Module, classes: int) -> dict[str, int]:
    """The number of the layer that a parameter belongs to, from the image on; the classifier is the last."""
    if isinstance(network, Classifier):
        patterns = [re.compile(pattern) for pattern in network.group_matcher().values()]
        return {
            name: next((i for i, pattern in enumerate(patterns) if pattern.match(name)), len(patterns))
            for name, _ in network.named_parameters()
        }
    if hasattr(network, "group_matcher"):
        from timm.models import group_parameters

        return group_parameters(network, network.group_matcher(), reverse=True)  # type: ignore[operator, return-value]
    head = head_of(network, classes)
    layers = [*blocks_of(network, head), head]
    number_of = {weight: number for number, layer in enumerate(layers) for weight in layer.parameters()}
    return {name: number_of.get(weight, 0) for name, weight in network.named_parameters()}
