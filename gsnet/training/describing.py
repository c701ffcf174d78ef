"""What a training takes over from a network that says of itself what it is, and what its checkpoints say in turn."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import replace

from torch import nn

from gsnet.data import DataSettings
from gsnet.data.settings import CIFAR_SIDE
from gsnet.interface.description import CENTRE, WHOLE, NetworkDescription, versions
from gsnet.interface.network_names import holds_structure
from gsnet.interface.options import InputError
from gsnet.models import described
from gsnet.models.described import checkpoint_of
from gsnet.models.describing import structure_description
from gsnet.models.named import BUILT_AS, PLAIN_NET, SEARCHED
from gsnet.models.options import RESOLUTION, refuse_wrong_path, resolution_of
from gsnet.training.starting import name_network, starting_file
from gsnet.validation.tally import Accuracy

_LOG = logging.getLogger(__name__)


def complete(options: Namespace) -> None:
    """Fill in what the network says of itself, where the options do not: its structure, resolution, unit and SE.

    --start_from or --load_parameters_from alone will do for --arch, where the checkpoint says what it is of. Raises InputError.
    """
    name_network(options)
    if options.load_parameters_from is not None:
        options.load_parameters_from = checkpoint_of(options.load_parameters_from)
    if options.arch is None and (options.plainnet_struct or options.plainnet_struct_txt):
        options.arch = PLAIN_NET
    if options.arch is None:
        if options.load_parameters_from is None or described(options.load_parameters_from) is None:
            raise InputError(
                "Name a network: by --arch, or by --start_from with a folder or a checkpoint that says what it is of"
            )
        options.arch = str(options.load_parameters_from)
    if options.arch in BUILT_AS and options.plainnet_struct_txt is not None and described(options.plainnet_struct_txt):
        options.arch, options.plainnet_struct_txt = str(options.plainnet_struct_txt), None
    # Before a results folder is made, which may be the one that is missing.
    refuse_wrong_path(options.arch)
    found, weights = described(options.arch), None
    file = starting_file(options) or options.load_parameters_from
    goes_on = options.pretrained or options.resume or options.auto_resume
    if options.evaluate_only and found is not None and found.weights and file is None and not goes_on:
        raise InputError(
            f"--arch takes the structure of {options.arch} and not its weights: evaluate these with --start_from in its place"
        )
    of_weights = None if file is None else described(file)
    if found is None and of_weights is not None:
        found, weights = of_weights, str(file)
    if found is None:
        side = resolution_of(options.arch, options.input_image_size)
        options.input_image_size = side or _usual_side(options.arch, options.dataset)
        options.unit = options.unit or SEARCHED
        return
    options.input_image_size = resolution_of(options.arch, options.input_image_size, weights) or RESOLUTION
    options.unit = options.unit or found.description.unit
    options.use_se = options.use_se or found.description.use_se
    if of_weights is not None and (weights is not None or of_weights.file != found.file):
        # --arch would build it with its own, or with the usual ones.
        for name in ("bn_momentum", "bn_eps"):
            if getattr(options, name) is None:
                setattr(options, name, getattr(of_weights.description, name))


def _usual_side(arch: str, dataset: str) -> int:
    """Side of images where neither the options nor the network say one, which is told.

    A structure and a class of the user's are made for no side: they see the data set's own. A library's network is made for 224
    pixels, to which it brings smaller images, as timm does.
    """
    small = dataset in ("cifar10", "cifar100")
    made_for_none = holds_structure(arch) or arch in BUILT_AS or ".py:" in arch
    if small and made_for_none:
        told = "images are %d x %d pixels, as %s has them: neither options nor network name another side"
        _LOG.info(told, CIFAR_SIDE, CIFAR_SIDE, dataset)
        return CIFAR_SIDE
    _LOG.log(
        logging.WARNING if small else logging.INFO,
        "images%s are brought to %d x %d pixels, as neither options nor network name another side",
        f" of {CIFAR_SIDE} x {CIFAR_SIDE} pixels" * small,
        *(RESOLUTION, RESOLUTION),
    )
    return RESOLUTION


def describe(
    options: Namespace, network: nn.Module, data: DataSettings, class_names: tuple[str, ...]
) -> NetworkDescription:
    """What is known of a network before its first step.

    data: of the validation images. class_names: of the data's classes, as far as they have some.
    """
    whole = data.kind.cifar
    found = described(options.arch)
    arch = (found.description.arch if found else None) or options.arch
    named = len(class_names) == data.fake_classes
    return replace(
        structure_description(network, arch),
        resolution=data.input_image_size,
        crop=data.side,
        resize=data.side if whole else data.resize,
        crop_mode=WHOLE if whole else CENTRE,
        mean=data.normalisation[0],
        std=data.normalisation[1],
        classes=data.fake_classes,
        class_names=class_names if named else (),
        dataset=data.dataset,
        search=found.description.search if found else {},
        versions=versions(),
        seed=options.seed,
    )


def validated(
    description: NetworkDescription, accuracy: Accuracy | None, epoch: int, batch_size: int
) -> NetworkDescription:
    """The same with what a validation said; None where there was none. epoch: from 0."""
    if accuracy is None:
        return description
    figures = {"top1": accuracy.top1, "top5": accuracy.top5, "loss": accuracy.loss, "images": accuracy.images}
    return replace(description, accuracy=figures | {"epoch": epoch, "batch_size": batch_size})
