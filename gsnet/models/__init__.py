"""Any network by name: `gsnet.models.load_model("resnet18", num_classes=10)`.

--arch takes, in this order: a structure file (…/best_structure.txt), FILE.py:Class, a published name of `ZenNet`,
myresnet18 to myresnet152, geffnet_NAME, a torchvision name, a timm name; where several networks make sense (`names_of`), also a
list of them with commas between, or a pattern.

Importing this room needs no torch; its functions do.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import ZenNet
from gsnet.interface.options import InputError
from gsnet.models.expected import ExpectedInput, centre_crop
from gsnet.models.named import check_structure_options, is_several, names_of, structure_of
from PlainNet import UNITS, Style

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ExpectedInput", "expected_input", "list_models", "load_model", "names_of", "structure_of"]

_GEFFNET = "geffnet_"
_STRUCTURE = "PlainNet"


def load_model(
    arch: str,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: str | None = None,
    weights_url: str | None = None,
    plainnet_struct: str | None = None,
    use_se: bool = False,
    unit: str = "searched",
) -> nn.Module:
    """The network that --arch names, on the CPU.

    num_classes: width of the logits, by default the network's own (1000 where it has none); together with pretrained
    weights of another width the classifier stays random. pretrained: with published weights. weights: a checkpoint
    instead, of which every tensor must fit. weights_url: a mirror of the published networks. plainnet_struct: the
    structure for "PlainNet" and for classes that take one; use_se: with squeeze-and-excitation in structures; unit: their
    GhostShuffle units, "searched" or "deployed" as in the detector (`PlainNet.UNITS`), which always has it.

    Raises InputError (bad name, no weights), StructureError.
    """
    from gsnet.models import own
    from ZenNet.state import load_into, read_state

    check_structure_options(arch, plainnet_struct, use_se=use_se, unit=unit)
    if weights_url is not None and (arch not in ZenNet.list_models() or not pretrained or weights is not None):
        raise InputError("--weights_url is a mirror of ZenNet's published weights: it goes with one of its names alone")
    if arch in ZenNet.list_models():
        return own.published_network(arch, num_classes, pretrained, weights, weights_url, unit, use_se)
    style = replace(UNITS[unit], use_se=use_se or UNITS[unit].use_se)
    network = _build(arch, num_classes, pretrained and weights is None, plainnet_struct, style)
    if weights is not None:
        file = Path(weights).expanduser()
        if not file.is_file():
            raise InputError(f"There is no file {file}: --weights takes a checkpoint of {arch}")
        load_into(network, read_state(file, network.state_dict()), f"{file} as {arch}")
    return network


def expected_input(arch: str) -> ExpectedInput:
    """What a network was tested with; 224 pixels and ImageNet's figures where nothing is known. Raises InputError."""
    from gsnet.models import libraries, own

    if arch in ZenNet.list_models():
        return own.published_input(arch)
    if arch.startswith(_GEFFNET):
        return libraries.timm_input(libraries.geffnet_to_timm(arch.removeprefix(_GEFFNET)))
    if arch in libraries.torchvision_names():
        return libraries.torchvision_input(arch)
    if not _is_file(arch) and libraries.is_timm(arch):
        return libraries.timm_input(arch)
    return replace(centre_crop(224), assumed=True)


def list_models() -> list[str]:
    """Every name that needs no file, timm's included where it is installed."""
    from gsnet.models import libraries

    return [
        *ZenNet.list_models(),
        *libraries.myresnet_names(),
        *libraries.torchvision_names(),
        *libraries.timm_names(),
    ]


def _is_file(arch: str) -> bool:
    return arch.endswith(".txt") or ".py:" in arch


def _build(
    arch: str, num_classes: int | None, pretrained: bool, plainnet_struct: str | None, style: Style
) -> nn.Module:
    from gsnet.models import libraries, own

    classes = num_classes or 1000
    if arch == _STRUCTURE or _is_file(arch) or arch.startswith("myresnet"):
        if pretrained:
            raise InputError(f"No weights of {arch} were published: give a checkpoint with --weights FILE")
        if arch.startswith("myresnet"):
            return libraries.myresnet(arch, classes)
        if arch.endswith(".txt"):
            return own.structure_file_network(arch, classes, style)
        if arch == _STRUCTURE:
            arch = "Masternet.py:MasterNet"
        return own.class_network(arch, num_classes, plainnet_struct, style)
    if arch.startswith(_GEFFNET):
        return libraries.timm_network(libraries.geffnet_to_timm(arch.removeprefix(_GEFFNET)), num_classes, pretrained)
    if arch in libraries.torchvision_names():
        return libraries.torchvision_network(arch, num_classes, pretrained)
    if libraries.is_timm(arch):
        return libraries.timm_network(arch, num_classes, pretrained)
    if is_several(arch):
        raise InputError(f"--arch {arch} names several networks, and one is wanted here")
    raise InputError(f"There is no network {arch!r}: {_nearest(arch)}")


def _nearest(arch: str) -> str:
    near = difflib.get_close_matches(arch, list_models(), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    names = "a name of ZenNet, torchvision or timm"
    return f"--arch takes {names}, myresnet18 to myresnet152, FILE.py:Class or a structure file (.txt)"
