"""What val.py and val_cifar.py do: one row a network."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from gsnet.data import DATASETS
from gsnet.data.class_folder import ClassFolder
from gsnet.interface.description import other_names
from gsnet.interface.logs import log_to
from gsnet.interface.options import InputError, device_name
from gsnet.interface.rows import say_csv, write_csv
from gsnet.models import Described, ExpectedInput, expected_input, names_of, source_of
from gsnet.models.expected import at_side, centre_crop, classes_text, whole_image
from gsnet.models.module_costs import output_of
from gsnet.models.named import fault_of_path, is_several
from gsnet.models.onnx_network import OnnxNetwork
from gsnet.models.options import network_named, network_of, resolution_of
from gsnet.validation.class_names import class_names, data_set_in, say_order_of_folders, say_other_number
from gsnet.validation.images import data_set_seen, test_images
from gsnet.validation.measured import Asked, Validated, figures_of, measured
from gsnet.validation.mirrored import Mirrored
from gsnet.validation.options import names_text
from gsnet.validation.predict import pictures_in, predict
from gsnet.validation.processes import is_first, process_group
from gsnet.validation.report import Row, finite, status_of, text_of

_LOG = logging.getLogger(__name__)
_CIFAR_SIDE = 32


def report(options: Namespace) -> int:
    """Do what the options ask for and print it; returns the exit status. Raises InputError."""
    log_to(quiet=options.json)
    options.arch = network_named(options)
    if options.predict:
        print(predict_all(options))
        return 0
    rows = validate_all(options)
    if is_first():
        print(text_of(rows, options.json))
        say_csv(options.csv)
    return status_of(rows)


def dataset_of(options: Namespace, arch: str) -> str:
    """--dataset, else the one that the network was trained on, or in its name. Raises InputError where there is none."""
    named = _said_dataset(options, arch) or options.usual_dataset
    if named is None:
        raise InputError(f"The name {arch} does not say which data set: give --dataset")
    if named not in DATASETS:
        raise InputError(
            f"{arch} was trained on {named}, which is not known here: load its --plugin, or give --dataset"
        )
    return named


def _said_dataset(options: Namespace, arch: str) -> str | None:
    """What --dataset, the network itself or, without a usual one, its name says of the data set; None where nothing does."""
    found = _source(options, arch)
    said = options.dataset or (found.description.dataset if found else None)
    return said or (None if options.usual_dataset else data_set_in(arch))


def _source(options: Namespace, arch: str) -> Described | None:
    """What says of the network what it is."""
    return source_of(arch, options.weights, options.plainnet_struct)


def _data_dir(options: Namespace, arch: str) -> str | Path | None:
    """--data_dir, else the folder that the network was trained with, where it is here and the data set is the same."""
    if options.data_dir is not None:
        return options.data_dir
    found = _source(options, arch)
    if found is None or found.data_dir is None or dataset_of(options, arch) != found.description.dataset:
        return None
    return found.data_dir if found.data_dir.is_dir() else None


def _names(options: Namespace, arch: str, dataset: str, classes: int) -> list[str]:
    """The names of a network's classes: its own, else by the data."""
    own = _own_names(options, arch, classes)
    return list(own) or class_names(classes, _data_dir(options, arch), _known(arch, dataset))


def _own_names(options: Namespace, arch: str, classes: int) -> tuple[str, ...]:
    """The names of its classes, as far as --class_names or the network itself says them."""
    found = _source(options, arch)
    own = options.class_names or (found.description.class_names if found else ())
    return own if len(own) == classes else ()


def _check_names(options: Namespace, arch: str) -> None:
    """Say where --class_names has other names than the network itself. Raises InputError for another number of them."""
    names, found = options.class_names, _source(options, arch)
    if not names or options.untrained:
        return
    own = found.description.class_names if found else ()
    unknown = found is None and (options.weights is not None or expected_input(arch).assumed)
    classes = len(names) if unknown else expected_input(arch, options.weights).classes
    if options.counted_by_names and len(names) != classes:
        raise InputError(
            f"--class_names has {names_text(names)}, and {arch} has {classes_text(classes)}: give a file with a name for each"
        )
    others = other_names(own, names)
    if len(own) == len(names) and others:
        _LOG.warning(
            "%s says its classes itself, and class_names has %s: class %d is %s there and %s as given, which counts",
            *(
                found.file if found else arch,
                "another order" if sorted(own) == sorted(names) else "other names",
                *others[0],
            ),
        )


def _known(arch: str, dataset: str) -> str:
    """The data set whose classes a network knows: that of the images, or where none was named the one in its name."""
    return data_set_in(arch) or dataset if dataset == "imagenet" else dataset


def validate_all(options: Namespace) -> list[Row]:
    """One row for each network that --arch names; where it names several, an error is a row. Raises InputError."""
    with process_group(device_name(options.gpu, options.device)) as device:
        return _validate_all(options, device)


def _validate_all(options: Namespace, device: str) -> list[Row]:
    names = names_of(options.arch)
    if not is_several(options.arch):
        rows = [Row(options.arch, _figures(options, options.arch, device))]
        _keep(options, rows)
        return rows
    if options.weights or options.confusion:
        raise InputError("--weights and --confusion belong to a single network: --arch must name one")
    rows = []
    for name in names:
        rows.append(_row(options, name, device))
        _keep(options, rows)
    return rows


def _keep(options: Namespace, rows: Sequence[Row]) -> None:
    """What there is so far as --csv."""
    if is_first():
        write_csv(options.csv, [row.to_dict() for row in rows])


def _row(options: Namespace, name: str, device: str) -> Row:
    try:
        return Row(name, _figures(options, name, device))
    except (InputError, RuntimeError, OSError, ValueError) as error:
        return Row(name, None, str(error).split("\n")[0], isinstance(error, InputError))


def predict_all(options: Namespace) -> str:
    """The report of --predict: five classes a picture, as lines or as one JSON object."""
    pictures = pictures_in(options.predict)
    dataset = dataset_of(options, options.arch)
    _check_names(options, options.arch)
    expected = _expected(options, options.arch, dataset)
    if options.data_dir is not None and _own_names(options, options.arch, expected.classes):
        raise InputError("--data_dir does nothing with --predict of a network that names its classes: leave it out")
    network = _network(options, options.arch, dataset, expected)
    device = device_name(options.gpu, options.device)
    found, classes = predict(
        network, pictures, expected, device, lambda classes: _names(options, options.arch, dataset, classes)
    )
    expected = replace(expected, classes=classes)
    if options.json:
        files = {file: [finite(asdict(guess)) for guess in guesses] for file, guesses in found.items()}
        return json.dumps(files | {"input": expected.to_dict()})
    lines = [
        f"{file}: " + ", ".join(f"{guess.name} {guess.probability:.1%}" for guess in guesses)
        for file, guesses in found.items()
    ]
    return "\n".join([*lines, expected.described()])


def _expected(options: Namespace, arch: str, dataset: str) -> ExpectedInput:
    side = options.input_image_size
    expected = expected_input(arch, options.weights)
    if _source(options, arch) is None or expected.assumed:
        if DATASETS[dataset].cifar:
            usual = expected.resolution if _source(options, arch) else _CIFAR_SIDE
            expected = whole_image(side or usual, DATASETS[dataset].classes or expected.classes)
        elif side:
            how = {"mean": expected.mean, "std": expected.std, "interpolation": expected.interpolation}
            expected = replace(centre_crop(side, None, expected.classes), **how)  # type: ignore[arg-type]
    elif side and resolution_of(arch, side, options.weights) != expected.resolution:
        expected = at_side(expected, side)
    return replace(expected, classes=options.num_classes or expected.classes)


def _network(options: Namespace, arch: str, dataset: str, expected: ExpectedInput) -> nn.Module:
    known = DATASETS[dataset].cifar and _source(options, arch) is None
    classes = options.num_classes or (expected.classes if known else None)
    network = network_of(options, arch, classes)
    if isinstance(network, OnnxNetwork) and (options.fp16 or options.apex):
        raise InputError(
            f"{arch} computes in float32, as it was exported: leave --{'fp16' if options.fp16 else 'apex'} out"
        )
    output_of(network, expected.resolution, arch)
    return Mirrored(network) if options.flip else network


def _figures(options: Namespace, arch: str, device: str) -> dict:
    return figures_of(validated(options, arch, device), per_class=options.per_class)


def validated(options: Namespace, arch: str, device: str) -> Validated:
    """Validate one network; the picture that --confusion asks for is drawn. Raises InputError."""
    if fault := fault_of_path(arch):
        raise InputError(fault)
    dataset = dataset_of(options, arch)
    _check_names(options, arch)
    expected = _expected(options, arch, dataset)
    own_names = _own_names(options, arch, expected.classes)
    # The data set first: a missing folder shows at once, a download of weights takes minutes.
    images = test_images(dataset, expected, _data_dir(options, arch), options.download, own_names)
    if isinstance(images, ClassFolder) and not own_names and not options.untrained:
        say_order_of_folders(images.classes, arch)
    network = _network(options, arch, dataset, expected)
    asked = Asked(
        arch,
        _said_dataset(options, arch) or data_set_seen(dataset, images),
        expected,
        options.batch_size or _batch_size(options, arch),
        lambda classes: _names(options, arch, dataset, classes),
    )
    found = measured(options, asked, network, images, device)
    if isinstance(images, ClassFolder) and not own_names and not options.untrained:
        say_other_number(images.classes, len(found.names), arch)
    return found


def _batch_size(options: Namespace, arch: str) -> int:
    """As the training validated with, so that its figures come again to the last digit."""
    found = _source(options, arch)
    return (found.description.accuracy.get("batch_size") if found else None) or options.usual_batch_size
