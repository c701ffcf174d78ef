"""How often a trained network is right, from Python."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from gsnet.api.loading import LoadedNetwork
from gsnet.api.naming import (
    Named,
    arch_of,
    check_names,
    check_switches,
    is_module,
    keywords_of,
    path_of,
    said_in_python,
)
from gsnet.api.trained import TrainingResult
from gsnet.data.name_options import distinct
from gsnet.interface.options import InputError, device_name
from gsnet.validation.options import checked, folder_parser

if TYPE_CHECKING:
    from torch import nn

    from gsnet.validation.measured import Validated


class ValidationOptions(TypedDict, total=False):
    """What else a validation may be told, as `gsnet val --help` has it.

    untrained: with random weights. use_se, unit ("searched", "deployed"), plainnet_struct: how a structure is built.
    weights_url: mirror of published weights. download: fetch CIFAR where it is missing. skip_broken: go on past so many images
    that cannot be read. workers: processes that read images. apex: mixed precision; channels_last: in memory. confusion: a
    picture of true against predicted classes.
    """

    untrained: bool
    use_se: bool
    unit: str | None
    plainnet_struct: str | None
    weights_url: str | None
    download: bool
    skip_broken: int
    workers: int
    apex: bool
    channels_last: bool
    confusion: str | Path | None


class _Switches(ValidationOptions, total=False):
    half: bool
    flip: bool


# What the command line calls otherwise.
RENAMED = {"arch": "network", "input_image_size": "resolution", "fp16": "half=True"}
# What is of a network that options name.
_OF_NAMED = ("weights", "untrained", "use_se", "unit", "plainnet_struct", "weights_url", "num_classes")


@dataclass(frozen=True, eq=False)
class Validation:
    """What a validation found.

    images: how many were looked at, of the data set. top1, top5: per cent whose class is the first, or among the first five.
    loss: mean cross-entropy. per_class: top-1 of each class in the order of class_names, None for one without images.
    confusion: counts (classes, classes), row true class, column predicted one. input: how images reached the network.
    images_per_second: reading included. batch_size: the one that fitted into memory.
    """

    network: str
    dataset: str
    images: int
    top1: float
    top5: float
    loss: float
    class_names: tuple[str, ...]
    per_class: tuple[float | None, ...]
    confusion: np.ndarray
    input: str
    images_per_second: float
    batch_size: int

    def __repr__(self) -> str:
        found = f"top-1 {self.top1:.3f}%, top-5 {self.top5:.3f}%, loss {self.loss:.4f}"
        return f"Validation({found}, {self.images} images of {self.dataset})"


def validate(
    network: Named | nn.Module | type,
    data_dir: str | Path | None = None,
    *,
    dataset: str | None = None,
    resolution: int | None = None,
    num_classes: int | None = None,
    weights: str | Path | LoadedNetwork | TrainingResult | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    half: bool = False,
    flip: bool = False,
    **options: Unpack[ValidationOptions],
) -> Validation:
    """Validate a classifier on labelled images, as `val.py` does.

    network: the folder of a training, a checkpoint, an exported ONNX or safetensors file, what `gsnet.load` gave of them, a
    published name, a structure, a network or a candidate of a search with `weights`, or a torch module, which must be told its
    resolution and stays as it is. data_dir: folder with val/CLASS/IMAGE, by default that of the network's training; dataset: of
    `gsnet.data.DATASETS`, by default that of its training, else "imagenet" where the folder has its 1000 classes, or
    "image_folder". resolution (pixels), num_classes: instead of the network's own. class_names: in the order of the logits, or
    a file with one a line, where the network does not say them. limit: only so many images, evenly spread. batch_size: as in
    its training, else 128. device: name of torch's, the CPU by default. half: half precision. flip: the mean of an image and of
    its mirror image. options: `ValidationOptions`.

    Raises InputError, TypeError for an option that there is not, StructureError.
    """
    check_names("A validation", options, ValidationOptions.__annotations__, validate.__annotations__)
    check_switches({**options, "half": half, "flip": flip}, _Switches)
    given: dict[str, Any] = {
        "data_dir": data_dir,
        "dataset": dataset,
        "input_image_size": resolution,
        "num_classes": num_classes,
        "weights": path_of(weights),
        "limit": limit,
        "batch_size": batch_size,
        "device": device,
        "fp16": half,
        "flip": flip,
        **options,
    }
    with said_in_python(keywords_of(_Switches, RENAMED)):
        return _result(_validated(network, given, class_names))


def _validated(network: Any, given: dict[str, Any], names: str | Path | Sequence[str] | None) -> Validated:
    own = is_module(network)
    if not own:
        given = {"arch": arch_of(network), **given}
    options = _options(given, names, own)
    import torch

    from gsnet.models.options import network_named
    from gsnet.validation.command import validated
    from gsnet.validation.measured import validated_module
    from gsnet.validation.processes import process_group

    # Weights are drawn, by the processor, before the network's own take their place.
    with torch.random.fork_rng([]), process_group(device_name(None, options.device)) as on:
        if own:
            return validated_module(options, copy.deepcopy(network), on)
        return validated(options, network_named(options), on)


def _options(given: dict[str, Any], names: str | Path | Sequence[str] | None, own: bool) -> Namespace:
    file = names if isinstance(names, str | Path) else None
    given = {**given, "class_names": file}
    parser = folder_parser("", given)
    options = parser.parse_args(given)
    if names is not None and not isinstance(names, str | Path):
        if wrong := next((name for name in names if not isinstance(name, str)), None):
            raise InputError(f"class_names has {wrong!r}, which is no name")
        options.class_names = distinct(tuple(names), "class_names")
    if own:
        parser.refuse_ignored(options, "with a module, which is all that it is", _OF_NAMED)
    return checked(parser, options)


def _result(found: Validated) -> Validation:
    result = found.result
    return Validation(
        network=found.arch,
        dataset=found.dataset,
        images=result.images,
        top1=result.top1,
        top5=result.top5,
        loss=result.loss,
        class_names=found.names,
        per_class=tuple(result.per_class()),
        confusion=result.confusion.numpy(),
        input=found.expected.described(),
        images_per_second=result.images_per_second,
        batch_size=result.batch_size,
    )
