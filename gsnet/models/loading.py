"""A network that says of itself what it is, as a module with its weights."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from torch import nn

from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError
from gsnet.models import libraries, own
from gsnet.models.described import ONNX_SUFFIX, Described, UnnamedClassError, checkpoint_in, chosen
from ZenNet.files import NoWeightsError
from ZenNet.state import classes_in, load_into, read_state

_LOG = logging.getLogger(__name__)


def load_described(
    found: Described,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: Path | None = None,
    use_se: bool = False,
    unit: str | None = None,
) -> nn.Module:
    """The network that a file or a results folder describes, on the CPU.

    pretrained: with the weights found there; where num_classes is another number, the classifier starts anew, which is said.
    weights: a checkpoint instead, whose number of classes counts. num_classes, use_se and unit, where given, win. Raises
    InputError.
    """
    own_weights = found.weights if pretrained and weights is None else None
    if pretrained and weights is None and own_weights is None:
        raise _without_weights(found)
    description = chosen(found, use_se=use_se, unit=unit)
    told = description.classes
    description = replace(description, classes=num_classes or told, class_names=())
    file = weights or own_weights
    if file is None:
        return _built(description, found.file, weights_follow=False)
    if file.suffix == ONNX_SUFFIX:
        from gsnet.models.onnx_network import OnnxNetwork

        return OnnxNetwork(file)
    new_classes = description.classes if own_weights is not None and description.classes != told else None
    network = _built(description, found.file, weights_follow=new_classes is None)
    source = f"{file} as {description.arch}" if description.structure is None else str(file)
    state = read_state(file, network.state_dict())
    if num_classes is None and weights is not None and (classes := classes_in(network.state_dict(), state)):
        network = _built(replace(description, classes=classes), found.file, weights_follow=True)
    load_into(network, state, source, new_classes)
    if new_classes is not None:
        _LOG.info("%s: the classifier starts anew, with %d classes instead of %d", file, new_classes, told)
    return network


def _built(description: NetworkDescription, file: Path, weights_follow: bool) -> nn.Module:
    network = _as_built(description, file, weights_follow)
    own.set_batch_norm(network, description.bn_momentum, description.bn_eps)
    return network


def _as_built(description: NetworkDescription, file: Path, weights_follow: bool) -> nn.Module:
    if description.structure is not None:
        return own.described_network(description, weights_follow)
    name = description.arch or ""
    if ".py:" in name:
        raise UnnamedClassError(file, name)
    network = libraries.network_by_name(name, description.classes, False)
    if network is None:
        raise InputError(f"{file} is of the network {name}, which neither torchvision nor timm has here")
    return network


def _without_weights(found: Described) -> NoWeightsError:
    folder = found.file.parent
    trained = [each for each in sorted(folder.iterdir()) if each.is_dir() and checkpoint_in(each)]
    hint = f"; one was trained in {trained[0]}" if trained else ""
    problem = f"{folder} holds the network of a search, which has no weights{hint}:"
    return NoWeightsError(problem, before=("name a training's folder",), after=("use --untrained",))
