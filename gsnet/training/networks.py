"""From options to the network that is trained, and to the one that teaches it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import nn

import PlainNet
from gsnet.interface.options import InputError
from gsnet.models import described, load_model
from gsnet.models.described import UnnamedClassError
from gsnet.models.module_costs import output_of
from gsnet.models.own import set_batch_norm
from gsnet.training.initialisers import initialise
from gsnet.training.network_options import checkpoint_gradients, with_drop_path
from gsnet.training.settings_of_options import training_side
from gsnet.training.starting import load_start, say_published, starting_file
from ZenNet.files import NoWeightsError
from ZenNet.state import load_into, read_state


def build_network(options: Namespace, classes: int) -> nn.Module:
    """The network of --arch with its first weights. Raises InputError, StructureError."""
    file = starting_file(options)
    published = options.pretrained or (options.start_from is not None and file is None)
    if options.pretrained and options.weight_init != "None":
        raise InputError("--weight_init would overwrite the weights of --pretrained: use one of them")
    network = _made(
        "--load_parameters_from",
        options.arch,
        num_classes=classes,
        pretrained=published,
        plainnet_struct=_structure(options.plainnet_struct, options.plainnet_struct_txt),
        use_se=options.use_se,
        unit=options.unit,
    )
    network = with_drop_path(network, options.drop_path) if options.drop_path else network
    if options.grad_checkpointing:
        checkpoint_gradients(network)
    initialise(network, options.weight_init)
    set_batch_norm(network, options.bn_momentum, options.bn_eps)
    if file := file or options.load_parameters_from:
        load_start(network, file, options.arch, classes)
    elif published and described(options.arch) is None:
        say_published(options.arch, classes)
    _check(network, options)
    return network


def _check(network: nn.Module, options: Namespace) -> None:
    """Raise InputError, before anything is written, where there is nothing to train, or images that cannot be looked at."""
    if not any(weight.requires_grad for weight in network.parameters()):
        raise InputError(f"--arch {options.arch} has no weights that could be trained")
    for side in sorted({training_side(options), options.input_image_size}):
        output_of(network, side, options.arch)
    network.train()


def build_teacher(options: Namespace, classes: int, side: int) -> nn.Module:
    """The network of --teacher_arch with its weights, for images of that side, in pixels. Raises InputError, StructureError."""
    teacher = _made(
        "--teacher_load_parameters_from",
        options.teacher_arch,
        num_classes=classes,
        pretrained=options.teacher_pretrained,
        plainnet_struct=_structure(options.teacher_plainnet_struct, options.teacher_plainnet_struct_txt),
        use_se=options.teacher_use_se,
    )
    if file := options.teacher_load_parameters_from:
        file = file.expanduser()
        load_into(teacher, read_state(file, teacher.state_dict()), f"{file} as {options.teacher_arch}")
        if found := described(file):
            set_batch_norm(teacher, found.description.bn_momentum, found.description.bn_eps)
    output_of(teacher, side, f"The teacher {options.teacher_arch}")
    return teacher


def _made(other: str, *named: Any, **how: Any) -> nn.Module:
    """`load_model`, whose errors name the option that this script has for weights of one's own, and none that it lacks."""
    try:
        return load_model(*named, **how)
    except NoWeightsError as error:
        raise InputError(error.told(other)) from error
    except UnnamedClassError as error:
        raise InputError(error.told(other, other.replace("load_parameters_from", "arch"))) from error


def _structure(text: str | None, file: Path | None) -> str | None:
    return text if file is None else str(PlainNet.read_structure_file(file))
