"""A network that is asked for, measured on images, and its figures as scripts report them."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from gsnet.data import DATASETS
from gsnet.data.class_folder import ClassFolder
from gsnet.data.loaders import WholeImages
from gsnet.data.skipping import BrokenImages
from gsnet.interface.options import InputError
from gsnet.models import ExpectedInput
from gsnet.models.expected import centre_crop, whole_image
from gsnet.models.module_costs import width_of
from gsnet.validation.class_names import class_names, say_other_number
from gsnet.validation.images import data_set_seen, test_images
from gsnet.validation.measure import Result, validate
from gsnet.validation.mirrored import Mirrored
from gsnet.validation.precision import Precision, mixed
from gsnet.validation.processes import is_first
from gsnet.validation.report import draw_confusion

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What is known before images are looked at.

    expected: how they reach the network. names: of the classes, by how many logits there are.
    """

    arch: str
    dataset: str
    expected: ExpectedInput
    batch_size: int
    names: Callable[[int], Sequence[str]]


@dataclass(frozen=True)
class Validated:
    """What was found of a network.

    expected: how images reached it, with as many classes as it has logits. names: of these, in their order. precision: as
    reports have it. flip: whether mirror images counted too.
    """

    arch: str
    dataset: str
    expected: ExpectedInput
    result: Result
    names: tuple[str, ...]
    device: str
    precision: str
    flip: bool


def measured(options: Namespace, asked: Asked, network: nn.Module, images: Dataset, device: str) -> Validated:
    """Validate a network, which is left on the device; the picture that --confusion asks for is drawn. Raises InputError."""
    broken = BrokenImages(options.skip_broken).split("validation", len(images))  # type: ignore[arg-type]
    precision = Precision.HALF if options.fp16 else Precision.SINGLE
    if options.apex:
        network, precision = mixed(network, device)
    result = validate(
        network,
        WholeImages(images, broken),
        resolution=asked.expected.resolution,
        batch_size=asked.batch_size,
        device=device,
        workers=options.workers,
        precision=precision,
        channels_last=options.channels_last,
        limit=options.limit,
    )
    names = tuple(asked.names(len(result.confusion)))
    if options.confusion and is_first():
        draw_confusion(options.confusion, result.confusion, names)
        _LOG.info("%s: true against predicted classes", options.confusion)
    seen = replace(asked.expected, classes=len(result.confusion))
    used = "mixed" if options.apex else precision.value
    return Validated(asked.arch, asked.dataset, seen, result, names, device, used, options.flip)


def validated_module(options: Namespace, network: nn.Module, device: str) -> Validated:
    """Validate a module of a program's own, which is changed by it; the options name no network. Raises InputError."""
    side, dataset = options.input_image_size, options.dataset or options.usual_dataset
    if side is None:
        raise InputError("A module does not say which images it takes: give --input_image_size")
    classes = width_of(network.eval().cpu().float(), side)
    names = options.class_names or ()
    if names and len(names) != classes:
        raise InputError(f"--class_names has {len(names)} names, and the module {classes} classes")
    expected = whole_image(side, classes) if DATASETS[dataset].cifar else centre_crop(side, None, classes)
    images = test_images(dataset, expected, options.data_dir, options.download, names)
    if isinstance(images, ClassFolder) and not names:
        say_other_number(images.classes, classes, type(network).__name__)
    asked = Asked(
        type(network).__name__,
        options.dataset or data_set_seen(dataset, images),
        expected,
        options.batch_size or options.usual_batch_size,
        lambda found: names or class_names(found, options.data_dir, dataset),
    )
    return measured(options, asked, Mirrored(network) if options.flip else network, images, device)


def figures_of(found: Validated, *, per_class: bool) -> dict[str, Any]:
    """The figures as --json has them."""
    result = found.result
    figures = {"arch": found.arch, "dataset": found.dataset, "images": result.images}
    figures |= {"top1": result.top1, "top5": result.top5, "loss": result.loss}
    figures |= {"images_per_second": result.images_per_second, "batch_size": result.batch_size}
    figures |= found.expected.to_dict() | {"device": found.device, "input": found.expected.described()}
    if found.flip:
        figures["flip"] = True
    figures["precision"] = found.precision
    if per_class:
        figures |= {"per_class": result.per_class(), "class_names": list(found.names)}
    return figures
