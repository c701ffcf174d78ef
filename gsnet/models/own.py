"""Networks of this project and of its users: published ones, structure files, and classes in Python files."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import nn

import PlainNet
from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError
from Masternet import MasterNet
from PlainNet import Network, Style
from ZenNet import get_ZenNet

_ROOT = Path(__file__).parent.parent.parent


def published_network(
    name: str,
    num_classes: int | None,
    pretrained: bool,
    weights: str | None,
    weights_url: str | None,
    unit: str | None,
    use_se: bool,
) -> nn.Module:
    """A network of `ZenNet.list_models()`."""
    options = {"weights": weights, "weights_url": weights_url, "unit": unit or "searched", "use_se": use_se or None}
    return get_ZenNet(name, pretrained, num_classes=num_classes, **options)  # type: ignore[arg-type]


def structure_network(structure: Network | str, num_classes: int, style: Style) -> MasterNet:
    """A structure with fresh weights. Raises StructureError."""
    network = MasterNet(num_classes=num_classes, plainnet_struct=structure, style=style)
    network.init_parameters()
    return network


def described_network(description: NetworkDescription, weights_follow: bool) -> MasterNet:
    """The network of a description that has a structure; weights_follow: whoever asks sets all weights himself."""
    make = MasterNet.uninitialised if weights_follow else MasterNet
    structure = description.structure or ""
    network = make(num_classes=description.classes, plainnet_struct=structure, style=description.style)
    if not weights_follow:
        network.init_parameters()
    return network


def set_batch_norm(network: nn.Module, momentum: float | None, eps: float | None) -> None:
    """Override momentum and eps of every batch normalisation; None leaves them."""
    for layer in _batch_norms(network):
        layer.momentum = layer.momentum if momentum is None else momentum
        layer.eps = layer.eps if eps is None else eps


def batch_norm_of(network: nn.Module) -> tuple[float | None, float | None]:
    """Momentum and eps that every batch normalisation of a network has; None where there is none, or they differ."""
    momenta, epsilons = ({getattr(layer, name) for layer in _batch_norms(network)} for name in ("momentum", "eps"))
    return tuple(values.pop() if len(values) == 1 else None for values in (momenta, epsilons))  # type: ignore[return-value]


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def class_network(arch: str, num_classes: int | None, structure: str | None, style: Style) -> nn.Module:
    """An object of the class in FILE.py:Class, whose file is run; it gets those of our options that it names.

    num_classes None: the class's own default, 1000 where it has none.

    The file is looked for in the working folder, then in the project. Raises InputError.
    """
    path, _, name = arch.rpartition(":")
    file = next((f for f in (Path(path).expanduser(), _ROOT / path) if f.is_file()), None)
    if file is None:
        raise InputError(f"There is no file {path}: --arch FILE.py:Class names a class in a Python file")
    constructor = MasterNet if file.resolve() == _ROOT / "Masternet.py" and name == "MasterNet" else _member(file, name)
    known = inspect.signature(constructor).parameters
    if "plainnet_struct" not in known and structure is not None:
        raise InputError(f"{arch} takes no plainnet_struct: leave --plainnet_struct out")
    if style != Style() and not {"style", "use_se"} & known.keys():
        raise InputError(f"{arch} takes neither style nor use_se: leave --use_se and --unit out")
    if "plainnet_struct" in known and structure is None:
        raise InputError(f"{arch} is built from a structure: give --plainnet_struct, or the file with it as --arch")
    options: dict[str, Any] = {"num_classes": num_classes, "plainnet_struct": structure}
    options |= {"use_se": style.use_se, "style": style}
    if num_classes is None and "num_classes" in known:
        default = known["num_classes"].default
        options["num_classes"] = 1000 if default is inspect.Parameter.empty else default
    try:
        with PlainNet.user_files.told():
            network = constructor(**{key: value for key, value in options.items() if key in known})
    except PlainNet.UserFileError as error:
        raise InputError(f"{arch} cannot be made: {error}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{arch} gives a {type(network).__name__}, not a torch.nn.Module")
    if type(network).forward is nn.Module.forward:
        raise InputError(f"{arch} has no forward(self, images), which gives an image's logits")
    return network


def _member(file: Path, name: str):  # type: ignore[no-untyped-def]
    try:
        module = PlainNet.user_files.load(file)
    except PlainNet.UserFileError as error:
        raise InputError(str(error)) from error
    member = getattr(module, name, None)
    if not callable(member):
        found = (n for n, value in vars(module).items() if inspect.isclass(value))
        classes = [n for n in found if getattr(module, n).__module__ == module.__name__]
        raise InputError(f"{file} has no class {name}; it has {', '.join(classes) or 'none'}")
    return member
