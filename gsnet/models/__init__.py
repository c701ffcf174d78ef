"""Any network by name: `gsnet.models.load_model("resnet18", num_classes=10)`.

--arch takes, in this order: what says itself what it is (the folder of a search or of a training, a checkpoint, an exported
ONNX, safetensors or TorchScript file), a structure or a file with one (…/best_structure.txt), FILE.py:Class, a published name
of `ZenNet`, myresnet18 to myresnet152, geffnet_NAME, a torchvision name, a timm name; where several networks make sense
(`names_of`), also a list of them with commas between, or a pattern.

Importing this room needs no torch; its functions do.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ZenNet
from gsnet.interface.network_names import holds_structure
from gsnet.interface.options import InputError
from gsnet.models.described import Described, checkpoint_of, described
from gsnet.models.expected import ExpectedInput, centre_crop, of_description, published_input
from gsnet.models.named import (
    PLAIN_NET,
    check_structure_options,
    fault_of_path,
    is_several,
    names_of,
    structure_of,
    style_of,
)
from PlainNet import Style
from ZenNet.files import NoWeightsError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Described",
    "ExpectedInput",
    "described",
    "expected_input",
    "known_input",
    "list_models",
    "load_model",
    "names_of",
    "source_of",
    "structure_of",
]


def load_model(
    arch: str,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: str | None = None,
    weights_url: str | None = None,
    plainnet_struct: str | None = None,
    use_se: bool = False,
    unit: str | None = None,
) -> nn.Module:
    """The network that --arch names, on the CPU.

    num_classes: width of the logits, by default that of `weights`, else the network's own (1000 where it has none); together
    with pretrained weights of another width the classifier stays random. pretrained: with published weights, or those of a
    results folder or file. weights: a checkpoint instead, of which every tensor must fit; what it says of its network need not
    be given.
    weights_url: a mirror of the published networks. plainnet_struct: the structure for "PlainNet" and for classes that take it;
    use_se: with squeeze-and-excitation in structures; unit: their GhostShuffle units, "searched" or "deployed" as in the
    detector (`PlainNet.UNITS`), which always has it; None: as the network says itself, else searched.

    Raises InputError (bad name, no weights), StructureError.
    """
    from gsnet.models import own
    from gsnet.models.loading import load_described
    from ZenNet.state import classes_in, load_into, read_state

    check_structure_options(arch, plainnet_struct, use_se=use_se, unit=unit)
    if weights_url is not None and (arch not in ZenNet.list_models() or not pretrained or weights is not None):
        raise InputError("--weights_url is a mirror of ZenNet's published weights: it goes with one of its names alone")
    file = None if weights is None else _weights_file(weights, arch)
    found = source_of(arch, weights, plainnet_struct)
    if found and not _is_built_by_name(arch, found, plainnet_struct):
        how = {"pretrained": pretrained, "use_se": use_se, "unit": unit}
        return load_described(found, num_classes=num_classes, weights=file, **how)  # type: ignore[arg-type]
    if num_classes is None and found is not None:
        num_classes = found.description.classes
    if arch in ZenNet.list_models():
        return own.published_network(arch, num_classes, pretrained, weights, weights_url, unit, use_se)
    build = partial(_build, arch, plainnet_struct=plainnet_struct, style=style_of(unit, use_se))
    network = build(num_classes, pretrained=pretrained and file is None)
    if file is not None:
        state = read_state(file, network.state_dict())
        if num_classes is None and (classes := classes_in(network.state_dict(), state)):
            network = build(classes, pretrained=False)
        load_into(network, state, f"{file} as {arch}")
    if found is not None:
        own.set_batch_norm(network, found.description.bn_momentum, found.description.bn_eps)
    return network


def source_of(arch: str, weights: str | None = None, plainnet_struct: str | None = None) -> Described | None:
    """What says of a network what it is: the file of --weights, else --arch; None where neither does.

    Raises InputError where the weights are of another structure than --arch.
    """
    by_weights = described(weights) if weights is not None else None
    if by_weights is None or arch == weights:
        return described(arch) or by_weights
    structure = by_weights.description.normalised_structure()
    named = structure_of(arch, plainnet_struct)
    if named is not None and structure is not None and str(named[0]) != structure:
        raise InputError(
            f"{by_weights.weights} is of another structure than --arch {arch}: leave --arch out to use that of the weights"
        )
    return by_weights


def _is_built_by_name(arch: str, found: Described, plainnet_struct: str | None) -> bool:
    """Whether --arch is a class of the user's or a network of others, of whose weights alone `found` speaks."""
    if described(arch) is not None:
        return False
    return found.description.structure is None or structure_of(arch, plainnet_struct) is None


def _weights_file(weights: str, arch: str) -> Path:
    file = checkpoint_of(Path(weights).expanduser())
    if not file.is_file():
        raise InputError(f"There is no file {file}: --weights takes a checkpoint of {arch}")
    return file


def expected_input(arch: str, weights: str | None = None) -> ExpectedInput:
    """What a network was tested with; 224 pixels and ImageNet's figures where nothing is known.

    weights: a checkpoint in the place of the network's own weights, which may say more. Raises InputError.
    """
    if known := known_input(arch, weights):
        return known
    from gsnet.models import libraries

    if arch.startswith(libraries.GEFFNET):
        return libraries.timm_input(libraries.geffnet_to_timm(arch.removeprefix(libraries.GEFFNET)))
    if arch in libraries.torchvision_names():
        return libraries.torchvision_input(arch)
    if not (holds_structure(arch) or ".py:" in arch) and libraries.is_timm(arch):
        return libraries.timm_input(arch)
    return replace(centre_crop(224), assumed=True)


def known_input(arch: str, weights: str | None = None) -> ExpectedInput | None:
    """The same for networks that say it themselves and for published ones, without torch; None for all others."""
    for path in (weights, arch):
        if path is not None and (found := described(path)):
            return of_description(found.description)
    return published_input(arch) if arch in ZenNet.list_models() else None


def list_models() -> list[str]:
    """Every name that needs no file, timm's included where it is installed."""
    from gsnet.models import libraries

    return [
        *ZenNet.list_models(),
        *libraries.myresnet_names(),
        *libraries.torchvision_names(),
        *libraries.timm_names(),
    ]


def _build(
    arch: str, num_classes: int | None, pretrained: bool, plainnet_struct: str | None, style: Style
) -> nn.Module:
    from gsnet.models import libraries, own

    classes = num_classes or 1000
    if is_several(arch):
        raise InputError(f"--arch {arch} names several networks, and one is wanted here")
    own_class, of_small_images = ".py:" in arch, arch.startswith("myresnet")
    if (own_class or of_small_images or arch == PLAIN_NET or holds_structure(arch)) and pretrained:
        raise NoWeightsError(f"No weights of {arch} were published:", after=("--untrained",))
    if of_small_images:
        return libraries.myresnet(arch, classes)
    if own_class:
        return own.class_network(arch, num_classes, plainnet_struct, style)
    if found := structure_of(arch, plainnet_struct):
        return own.structure_network(found[0], classes, style)
    if (network := libraries.network_by_name(arch, num_classes, pretrained)) is not None:
        return network
    if fault := fault_of_path(arch):
        raise InputError(fault)
    raise InputError(f"There is no network {arch!r}: {_nearest(arch)}")


def _nearest(arch: str) -> str:
    near = difflib.get_close_matches(arch, dict.fromkeys(list_models()), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    names = "a name of ZenNet, torchvision or timm"
    files = "FILE.py:Class, a results folder, a checkpoint, a structure or a file with one (.txt)"
    return f"known are {names}, myresnet18 to myresnet152, {files}"
