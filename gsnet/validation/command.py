"""What val.py and val_cifar.py do: one row a network."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from dataclasses import asdict, replace

from torch import nn

from gsnet.interface.running import log_to
from gsnet.data import DATASETS
from gsnet.data.loaders import WholeImages
from gsnet.data.skipping import BrokenImages
from gsnet.interface.options import InputError, device_name
from gsnet.models import ExpectedInput, expected_input, names_of
from gsnet.models.expected import centre_crop, whole_image
from gsnet.models.named import is_several
from gsnet.models.options import network_of
from gsnet.validation.images import test_images
from gsnet.validation.measure import validate
from gsnet.validation.precision import Precision, mixed
from gsnet.validation.predict import class_names, predict
from gsnet.validation.processes import process_group
from gsnet.validation.report import Row, draw_confusion, status_of, text_of

_IN_NAMES = ("cifar10", "cifar100")


def report(options: Namespace) -> int:
    """Do what the options ask for and print it; returns the exit status. Raises InputError."""
    log_to(quiet=options.json)
    if options.predict:
        print(predict_all(options))
        return 0
    rows = validate_all(options)
    if is_first():
        print(text_of(rows, options.json))
    return status_of(rows)


def dataset_of(options: Namespace, arch: str) -> str:
    """--dataset, else the one in the network's name. Raises InputError where there is neither."""
    if options.dataset:
        return options.dataset
    named = _in_name(arch)
    if named is None:
        raise InputError(f"The name {arch} does not say which data set: give --dataset")
    return named


def _in_name(arch: str) -> str | None:
    return next((part for part in arch.split("_") if part in _IN_NAMES), None)


def _known(arch: str, dataset: str) -> str:
    """The data set whose classes a network knows: that of the images, or where none was named the one in its name."""
    return _in_name(arch) or dataset if dataset == "imagenet" else dataset


def validate_all(options: Namespace) -> list[Row]:
    """One row for each network that --arch names; where it names several, an error is a row. Raises InputError."""
    with process_group(device_name(options.gpu, options.device)) as device:
        return _validate_all(options, device)


def _validate_all(options: Namespace, device: str) -> list[Row]:
    names = names_of(options.arch)
    if not is_several(options.arch):
        return [Row(options.arch, _figures(options, options.arch, device))]
    if options.weights or options.confusion:
        raise InputError("--weights and --confusion belong to a single network: --arch must name one")
    return [_row(options, name, device) for name in names]


def _row(options: Namespace, name: str, device: str) -> Row:
    try:
        return Row(name, _figures(options, name, device))
    except (InputError, RuntimeError, OSError, ValueError) as error:
        return Row(name, None, str(error).split("\n")[0], isinstance(error, InputError))


def predict_all(options: Namespace) -> str:
    """The report of --predict: five classes a picture, as lines or as one JSON object."""
    dataset = dataset_of(options, options.arch)
    expected = _expected(options, options.arch, dataset)
    network = _network(options, options.arch, dataset, expected)
    device = device_name(options.gpu, options.device)
    found, classes = predict(
        network, options.predict, expected, device, options.data_dir, _known(options.arch, dataset)
    )
    expected = replace(expected, classes=classes)
    if options.json:
        files = {file: [asdict(guess) for guess in guesses] for file, guesses in found.items()}
        return json.dumps(files | {"input": expected.to_dict()})
    lines = [
        f"{file}: " + ", ".join(f"{guess.name} {guess.probability:.1%}" for guess in guesses)
        for file, guesses in found.items()
    ]
    return "\n".join([*lines, expected.described()])


def _expected(options: Namespace, arch: str, dataset: str) -> ExpectedInput:
    expected, side = expected_input(arch), options.input_image_size
    if DATASETS[dataset].cifar:
        expected = whole_image(side or 32, DATASETS[dataset].classes or expected.classes)
    elif side:
        expected = replace(centre_crop(side, None, expected.classes), mean=expected.mean, std=expected.std)
    return replace(expected, classes=options.num_classes or expected.classes)


def _network(options: Namespace, arch: str, dataset: str, expected: ExpectedInput) -> nn.Module:
    classes = options.num_classes or (expected.classes if DATASETS[dataset].cifar else None)
    return network_of(options, arch, classes)


def _figures(options: Namespace, arch: str, device: str) -> dict:
    dataset = dataset_of(options, arch)
    expected = _expected(options, arch, dataset)
    # The data set first: a missing folder shows at once, a download of weights takes minutes.
    images = test_images(dataset, expected, options.data_dir, options.download)
    broken = BrokenImages(options.skip_broken).split("validation", len(images))  # type: ignore[arg-type]
    network = _network(options, arch, dataset, expected)
    precision = Precision.HALF if options.fp16 else Precision.SINGLE
    if options.apex:
        network, precision = mixed(network, device)
    result = validate(
        network,
        WholeImages(images, broken),
        resolution=expected.resolution,
        batch_size=options.batch_size,
        device=device,
        workers=options.workers,
        precision=precision,
        channels_last=options.channels_last,
        limit=options.limit,
    )
    names = class_names(len(result.confusion), options.data_dir, _known(arch, dataset))
    if options.confusion and is_first():
        draw_confusion(options.confusion, result.confusion, names)
    figures = {"arch": arch, "dataset": dataset, "images": result.images, "top1": result.top1, "top5": result.top5}
    figures |= {"loss": result.loss, "images_per_second": result.images_per_second, "batch_size": result.batch_size}
    seen = replace(expected, classes=len(result.confusion))
    figures |= seen.to_dict() | {"device": device, "input": seen.described()}
    figures["precision"] = "mixed" if options.apex else precision.value
    if options.per_class:
        figures["per_class"] = result.per_class()
        figures["class_names"] = names
    return figures


def is_first() -> bool:
    """Whether this process reports: of those that torchrun started, the first."""
    return int(os.environ.get("RANK", "0")) == 0
