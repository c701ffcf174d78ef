"""What val.py and val_cifar.py share: options, one row a network, and the report."""

from __future__ import annotations

import fnmatch
import json
import os
from argparse import Namespace
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor, nn

from Interface.files import written_whole
from Interface.options import InputError, OptionParser, device_name, positive_int
from Interface.running import log_to
from ModelLoader import ExpectedInput, expected_input, list_models
from ModelLoader.expected import centre_crop, whole_image
from ModelLoader.options import add_network_options, network_of
from Validation.images import test_images
from Validation.measure import validate
from Validation.predict import predict
from Validation.processes import process_group

_IN_NAMES = ("cifar10", "cifar100")


@dataclass(frozen=True)
class Row:
    """One network's figures, or why there are none."""

    arch: str
    figures: dict | None
    error: str | None = None
    bad_input: bool = False


def parser(description: str, batch_size: int) -> OptionParser:
    """The options of a validation."""
    parser = OptionParser(description)
    add_network_options(parser)
    data = parser.add_argument_group("data")
    data.add_argument("--data_dir", "--data", metavar="FOLDER", help="data set's folder (default: below ~/data)")
    data.add_argument("--download", action="store_true", help="fetch CIFAR where it is missing")
    data.add_argument("--limit", type=positive_int, metavar="N", help="only N images, evenly spread")
    data.add_argument("--workers", type=int, default=6, metavar="N", help="processes that read images")
    data.add_argument("--batch_size", type=positive_int, default=batch_size, metavar="N", help="images at a time")
    data.add_argument("--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the network's")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the CPU)")
    machine.add_argument("--device", metavar="NAME", help="torch device, instead of --gpu")
    machine.add_argument("--fp16", action="store_true", help="half precision; bfloat16 on a CPU")
    machine.add_argument("--channels_last", action="store_true", help="channels last in memory")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output")
    output.add_argument("--predict", type=Path, nargs="+", metavar="IMAGE", help="classify these pictures instead")
    output.add_argument("--per_class", action="store_true", help="top-1 of each class")
    output.add_argument("--confusion", type=Path, metavar="FILE.png", help="picture of true against predicted classes")
    return parser


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
    named = next((part for part in arch.split("_") if part in _IN_NAMES), None)
    if named is None:
        raise InputError(f"The name {arch} does not say which data set: give --dataset")
    return named


def validate_all(options: Namespace) -> list[Row]:
    """One row for each network that --arch names; where it names several, an error is a row. Raises InputError."""
    with process_group(options.device or device_name(options.gpu)) as device:
        return _validate_all(options, device)


def _validate_all(options: Namespace, device: str) -> list[Row]:
    if not set("*?[") & set(options.arch):
        return [Row(options.arch, _figures(options, options.arch, device))]
    if options.weights or options.confusion:
        raise InputError("--weights and --confusion belong to a single network: --arch must not be a pattern")
    names = fnmatch.filter(list_models(), options.arch)
    if not names:
        raise InputError(f"No network's name matches {options.arch!r}")
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
    device = options.device or device_name(options.gpu)
    found = predict(network, options.predict, expected, device, options.data_dir)
    if options.json:
        return json.dumps({file: [asdict(guess) for guess in guesses] for file, guesses in found.items()})
    return "\n".join(
        f"{file}: " + ", ".join(f"{guess.name} {guess.probability:.1%}" for guess in guesses)
        for file, guesses in found.items()
    )


def _expected(options: Namespace, arch: str, dataset: str) -> ExpectedInput:
    expected, side = expected_input(arch), options.input_image_size
    if dataset.startswith("cifar"):
        expected = whole_image(side or 32, 100 if dataset == "cifar100" else 10)
    elif side:
        expected = replace(centre_crop(side, None, expected.classes), mean=expected.mean, std=expected.std)
    return replace(expected, classes=options.num_classes or expected.classes)


def _network(options: Namespace, arch: str, dataset: str, expected: ExpectedInput) -> nn.Module:
    classes = options.num_classes or (expected.classes if dataset.startswith("cifar") else None)
    return network_of(options, arch, classes)


def _figures(options: Namespace, arch: str, device: str) -> dict:
    dataset = dataset_of(options, arch)
    expected = _expected(options, arch, dataset)
    # The data set first: a missing folder shows at once, a download of weights takes minutes.
    images = test_images(dataset, expected, options.data_dir, options.download)
    network = _network(options, arch, dataset, expected)
    result = validate(
        network,
        images,
        resolution=expected.resolution,
        batch_size=options.batch_size,
        device=device,
        workers=options.workers,
        half=options.fp16,
        channels_last=options.channels_last,
        limit=options.limit,
    )
    if options.confusion and is_first():
        draw_confusion(options.confusion, result.confusion)
    figures = {"arch": arch, "dataset": dataset, "images": result.images, "top1": result.top1, "top5": result.top5}
    figures |= {"loss": result.loss, "images_per_second": result.images_per_second, "batch_size": result.batch_size}
    figures |= {"resolution": expected.resolution, "crop": expected.crop, "fp16": options.fp16, "device": device}
    return figures | ({"per_class": result.per_class()} if options.per_class else {})


def draw_confusion(file: Path, confusion: Tensor) -> None:
    """A picture of the counts, each row divided by its sum."""
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="viridis"), label="share of the true class")
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{int(confusion.sum())} images")
    with written_whole(file, "wb") as stream:
        figure.savefig(stream, format="png", dpi=120)


def is_first() -> bool:
    """Whether this process reports: of those that torchrun started, the first."""
    return int(os.environ.get("RANK", "0")) == 0


def text_of(rows: list[Row], as_json: bool) -> str:
    """The rows as lines, or as one JSON object (under "networks" where there are several)."""
    if not as_json:
        return "\n".join(line for row in rows for line in _lines(row))
    found = [row.figures or {"arch": row.arch, "error": row.error} for row in rows]
    return json.dumps(found[0] if len(found) == 1 else {"networks": found})


def status_of(rows: list[Row]) -> int:
    """0 where a network was validated, 2 where every row is bad input, 1 where all failed otherwise."""
    if any(row.error is None for row in rows):
        return 0
    return 2 if all(row.bad_input for row in rows) else 1


def _lines(row: Row) -> list[str]:
    if row.figures is None:
        return [f"*** arch={row.arch}, error: {row.error}"]
    f = row.figures
    lines = [
        f"*** arch={f['arch']}, top1 {f['top1']:.3f}%, top5 {f['top5']:.3f}%, loss {f['loss']:.4f}, "
        f"{f['images']} images of {f['dataset']}, {f['images_per_second']:.1f} images/s"
    ]
    for label, accuracy in enumerate(f.get("per_class", [])):
        lines.append(f"class {label}: {'no images' if accuracy is None else f'{accuracy:.2f}%'}")
    return lines
