"""What `gsnet export` does with the networks of --arch. Importing it needs no torch."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.network_names import is_structure
from gsnet.interface.options import InputError
from gsnet.models import expected_input, names_of, source_of
from gsnet.models.described import HUB_WEIGHTS, Described, checkpoint_of
from gsnet.models.expected import ExpectedInput, at_side, centre_crop, classes_text
from gsnet.models.options import network_named, network_of, resolution_of
from gsnet.validation.int8_options import bounds_of, check_int8

if TYPE_CHECKING:
    from torch import nn

UNKNOWN_LICENCE = "unknown"
_SUFFIXES = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "ncnn": ".param",
    "opencv": ".onnx",
    "executorch": ".pte",
    "litert": ".tflite",
    "torchscript": ".pt",
    "safetensors": ".safetensors",
}
FORMATS = tuple(_SUFFIXES)
# Endings of what --arch names that are no part of a network's name.
_OF_FILES = (".txt", ".py", ".onnx", ".safetensors", ".pth", ".pt", ".tar")
# Formats whose files have no place for what they are of.
_WITHOUT_TEXTS = ("executorch", "litert")
# Formats of which a file has the suffix of another one's, or a second file has.
_SHARING = ("opencv", "openvino", "ncnn")


def export_networks(options: Namespace) -> Iterator[dict[str, Any]]:
    """Export each network of --arch into a file of its own; what was written. Raises InputError, ExportError."""
    options.arch = network_named(options)
    names = names_of(options.arch)
    if len(names) > 1 and (options.output or options.weights or options.folder):
        raise InputError("--output, --folder and --weights belong to a single network: --arch must name one")
    files = [file_of(options, name) for name in names]
    if same := next((file for file in files if files.count(file) > 1), None):
        raise InputError(f"Several networks would be written as {same}: export each with an --output of its own")
    for name in names:
        yield write(options, name)


def file_of(options: Namespace, arch: str) -> Path:
    """Where a network is written to."""
    return options.output or usual_name(options, _stem_of(arch))


def _stem_of(arch: str) -> str:
    """The file's name without its ending; folders and timm's names keep all of theirs, dots too: latency0.1ms."""
    if is_structure(arch):
        return "network"
    named = Path(arch.partition(":")[0])
    return named.stem if named.suffix in _OF_FILES else named.name


def usual_name(options: Namespace, stem: str) -> Path:
    """What a file is called that is given no name: each form of one network otherwise, so that none replaces another."""
    runtime = f"_{options.format}" if options.format in _SHARING else ""
    numbers = "_int8" if options.int8 else "_fp16" if options.fp16 else ""
    return Path(f"{stem}{runtime}{numbers}{_SUFFIXES[options.format]}")


def folder_of(options: Namespace) -> Path | None:
    """The folder to write safetensors into with all that belongs to them, if one is asked for. Raises InputError."""
    folder = options.folder or (options.output if options.output and options.output.is_dir() else None)
    if folder is None and options.license != UNKNOWN_LICENCE:
        raise InputError("--license stands in the model card of a --folder: give one")
    if folder is None:
        return None
    if options.format != "safetensors":
        raise InputError(f"A folder is written with --format safetensors, not {options.format}")
    if options.folder and options.output:
        raise InputError("--folder and --output contradict each other: use one of them")
    if options.fp16:
        raise InputError("--folder holds float32 weights, as those who read it expect: leave --fp16 out")
    return folder


def write(options: Namespace, arch: str) -> dict[str, Any]:
    """Export one network; returns what was written, and for which images. Raises InputError."""
    from gsnet.models.describing import of_these_weights, structure_description, with_input
    from gsnet.models.exporting import check_is_no_source
    from gsnet.models.module_costs import width_of

    folder = folder_of(options)
    check_int8(options, with_folder=folder is not None)
    if folder is None:
        check_is_no_source(file_of(options, arch), arch, options.weights)
    network = network_of(options, arch, options.num_classes)
    _refuse_exported(network)
    expected = expected_input(arch, options.weights)
    resolution = resolution_of(arch, options.input_image_size, options.weights) or expected.resolution
    classes = width_of(network, resolution)
    seen_at = expected if resolution == expected.resolution else at_side(expected, resolution)
    found = source_of(arch, options.weights, options.plainnet_struct)
    told = found.description if found else structure_description(network, arch)
    if found:
        told = of_these_weights(told, _are_own(options, found), resolution)
    description = with_input(told, seen_at, classes)
    written = _written(options, network, replace(seen_at, classes=classes), description, file_of(options, arch))
    return {"arch": arch} | written


@dataclass(frozen=True)
class OfModule:
    """What a program knows of a module of its own, and the exported file says.

    class_names: in the order of the logits, empty where unknown. mean, std: of pixels in [0, 1] by channel, both or neither.
    Raises InputError.
    """

    class_names: tuple[str, ...] = ()
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            given, lacking = ("mean", "std") if self.std is None else ("std", "mean")
            raise InputError(f"{given} goes with {lacking}: give both")

    def check(self, form: str, classes: int) -> None:
        """Raise InputError where a file of a format cannot say it, or a network has another number of classes."""
        told = [name for name in ("class_names", "mean", "std") if getattr(self, name)]
        if told and form in _WITHOUT_TEXTS:
            raise InputError(f"{told[0]} does nothing with --format {form}, whose files hold no texts: leave it out")
        if self.class_names and len(self.class_names) != classes:
            raise InputError(f"class_names has {len(self.class_names)} names, and the module {classes_text(classes)}")


def write_module(options: Namespace, network: nn.Module, told: OfModule) -> dict[str, Any]:
    """Export a module of a program's own, which stays as it is; the options name no network. Raises InputError."""
    from gsnet.models.describing import structure_description, with_input
    from gsnet.models.module_costs import width_of

    check_int8(options, with_folder=folder_of(options) is not None)
    if options.input_image_size is None:
        raise InputError("A module does not say which images it takes: give --input_image_size")
    _refuse_exported(network)
    network = copy.deepcopy(network).eval().cpu().float()
    usual = centre_crop(options.input_image_size)
    expected = replace(usual, classes=width_of(network, usual.resolution), assumed=told.mean is None)
    told.check(options.format, expected.classes)
    if told.mean is not None and told.std is not None:
        expected = replace(expected, mean=told.mean, std=told.std)
    name = type(network).__name__
    own = replace(structure_description(network, name), classes=expected.classes, class_names=told.class_names)
    description = with_input(own, expected, expected.classes)
    file = options.output or usual_name(options, "network")
    return {"arch": name} | _written(options, network, expected, description, file)


def _refuse_exported(network: nn.Module) -> None:
    """Raises InputError for a file's network, which is none of torch's operators."""
    from gsnet.models.onnx_network import OnnxNetwork

    if isinstance(network, OnnxNetwork):
        raise InputError(
            f"{network.file} is exported already: give the checkpoint or the training that it was made from"
        )


def _written(
    options: Namespace, network: nn.Module, expected: ExpectedInput, description: NetworkDescription, file: Path
) -> dict[str, Any]:
    """Write a network into the file, or into the folder that is asked for; returns what was written."""
    from gsnet.models.exporting import export, files_of

    folder = folder_of(options)
    if folder is not None:
        from gsnet.models.publishing import write_folder

        difference, file = write_folder(network, description, folder, options.license), folder / HUB_WEIGHTS
    elif options.int8:
        # What the network got right in float32 is not what its int8 file gets right.
        return write_int8(options, network, file, expected, replace(description, accuracy={}))
    else:
        side, texts = (expected.resolution, expected.resolution), {KEY: description.to_json()}
        difference = export(
            network, file, options.format, side, metadata=texts, half=options.fp16, fuse=not options.no_fuse
        )
    files = files_of(file, options.format)
    size = sum(one.stat().st_size for one in files)
    known = not expected.assumed
    prepared = expected.preparation() if known else "prepared as in its training, of which it holds no record"
    shape = f"input 3 x {expected.resolution} x {expected.resolution}"
    text = f"{' and '.join(map(str, files))}, {size:,} bytes, {shape}; outputs agree to {difference:.1e}"
    seen: dict[str, Any] = {"resolution": expected.resolution, "classes": expected.classes}
    seen |= {name: value if known else None for name, value in expected.to_dict().items() if name not in seen}
    return {
        "file": str(file),
        "files": [str(one) for one in files],
        "format": options.format,
        "bytes": size,
        "max_difference": difference,
        **seen,
        "text": f"{text}; {prepared}; {classes_text(expected.classes)}",
    }


def _are_own(options: Namespace, found: Described) -> bool:
    """Whether the weights that are exported are those of the file that says what they are of."""
    if options.untrained:
        return False
    return options.weights is None or checkpoint_of(Path(options.weights).expanduser()) == found.weights


def write_int8(
    options: Namespace, network: nn.Module, file: Path, expected: ExpectedInput, description: NetworkDescription
) -> dict[str, Any]:
    """Export one network in int8; returns what was written. Raises InputError, ExportError."""
    from gsnet.models.exporting import files_of
    from gsnet.validation.int8_comparison import table
    from gsnet.validation.quantizing import export_int8, read_pictures

    pictures = read_pictures(options.calibration.expanduser(), expected, description.class_names)
    texts, fuse = {KEY: description.to_json()}, not options.no_fuse
    rows = export_int8(network, file, options.format, expected, pictures, bounds_of(options), texts, fuse=fuse)
    files = files_of(file, options.format)
    return {
        "file": str(file),
        "files": [str(one) for one in files],
        "format": options.format,
        "bytes": rows[-1].size,
        "forms": [row.to_dict() for row in rows],
        **expected.to_dict(),
        "text": f"{table(rows)}\n{' and '.join(map(str, files))}; {expected.described()}",
    }


def refuse(options: Namespace, names: Sequence[str], why: str) -> None:
    """Raise InputError for the first of these options that is given."""
    for name in names:
        if getattr(options, name):
            raise InputError(f"--{name} {why}")
