"""Write a network or a detector for other programs: ONNX, for OpenCV too, OpenVINO, ncnn, ExecuTorch, LiteRT, TorchScript or
safetensors.

    gsnet export --arch save_dir/my_training --format onnx --output net.onnx
    gsnet export --arch zennet_cifar10_model_size05M_res32 --weights best.pth --format safetensors
    gsnet export --arch save_dir/my_training --format safetensors --folder my_network --license apache-2.0
    gsnet export --weights save_dir/my_detector/best-params_rank0.pth --output detector.onnx --decode
    gsnet export --arch best_structure.txt --weights best.pth --format ncnn --fp16 --output net.param
    gsnet export --arch save_dir/my_training --format openvino --int8 --calibration pictures/ --output net.xml
    gsnet export --device_bundle my_phone --search_space ghostshuffle --plainnet_struct TEXT --input_image_size 32

With --device_bundle: the networks of a latency table, and what times them on a device without torch (docs/latency.md).
Checkpoints of this project say themselves what they are of. What was written is read back and run
on random images; the file is kept only where its outputs are the network's.
"""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gsnet.interface.running import log_to, run
from gsnet.detection.export_command import (
    OF_DETECTORS,
    add_detector_options,
    export_detector,
    refuse_ignored_by_detectors,
)
from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.network_names import existing_path, is_structure
from gsnet.interface.options import InputError, positive_int
from gsnet.interface.path_options import new_file, path
from gsnet.interface.script_options import script_parser
from gsnet.latency.bundle_options import OF_BUNDLES, ONLY_OF_BUNDLES, add_bundle_options
from gsnet.latency.other_devices import write_device_bundle
from gsnet.models import expected_input, names_of, source_of
from gsnet.models.described import HUB_WEIGHTS, Described, checkpoint_in, checkpoint_of
from gsnet.models.expected import ExpectedInput, at_side, classes_text
from gsnet.models.options import add_network_options, network_named, network_of, refuse_ignored_mirror, resolution_of
from gsnet.validation.int8_options import OF_INT8, add_int8_options, bounds_of, check_int8
from SearchSpace import SearchSpaceError

UNKNOWN_LICENCE = "unknown"
_LOG = logging.getLogger(__name__)
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
# Formats whose graphs --no_fuse leaves as they are.
_REWRITTEN = ("onnx", "opencv")
# Files that --arch takes and that hold no detector.
_NO_CHECKPOINTS = (".txt", ".py", ".onnx", ".safetensors")
# Endings of what --arch names that are no part of a network's name.
_OF_FILES = (*_NO_CHECKPOINTS, ".pth", ".pt", ".tar")
# What describes a classifier.
_OF_NETWORKS = (
    "fp16",
    "top1_loss",
    "folder",
    "weights_url",
    "untrained",
    "plainnet_struct",
    "use_se",
    "unit",
    "num_classes",
)


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives.append(("weights", "untrained"))
    add_network_options(parser)
    detector = parser.add_argument_group("detector, without --arch")
    add_detector_options(detector)
    output = parser.add_argument_group("output")
    output.add_argument("--format", default="onnx", choices=tuple(_SUFFIXES), help="what to write")
    output.add_argument("--fp16", action="store_true", help="weights of 16 bits: half the size, outputs agree to 2 %%")
    add_int8_options(output)
    output.add_argument(
        "--no_fuse",
        action="store_true",
        help="the graph as torch has it, and not rewritten to run faster where it is deployed",
    )
    output.add_argument("--output", type=new_file, metavar="FILE", help="new file (default: the network's name)")
    output.add_argument(
        "--folder",
        type=path,
        metavar="FOLDER",
        help="with --format safetensors: weights, config.json and model card, as timm's local-dir: and hf-hub: read them",
    )
    output.add_argument(
        "--license",
        default=UNKNOWN_LICENCE,
        metavar="NAME",
        help="of --folder's weights, such as apache-2.0",
    )
    output.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the network's"
    )
    bundle = parser.add_argument_group("device bundle, for a latency table of another device")
    add_bundle_options(bundle)
    parser.add_argument("--json", action="store_true", help="one JSON object a network on standard output")
    options = parser.parse_args(argv)
    if options.device_bundle:
        parser.refuse_all_but(options, "with --device_bundle", (*OF_BUNDLES, "plugin"))
        return options
    parser.refuse_ignored(options, "without --device_bundle", ONLY_OF_BUNDLES)
    refuse_ignored_mirror(parser, options)
    refuse_ignored_by_detectors(parser, options)
    if not options.int8:
        parser.refuse_ignored(options, "without --int8", OF_INT8)
        if options.format not in _REWRITTEN:
            parser.refuse_ignored(
                options, f"with --format {options.format}, whose graphs are not rewritten", ("no_fuse",)
            )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Export the networks that --arch names, or one detector; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    if options.device_bundle:
        done: Iterable[dict[str, Any]] = [write_device_bundle(options)]
    else:
        done = [export_one_detector(options)] if is_detector(options) else export_networks(options)
    for written in done:
        text = written.pop("text")
        if options.json:
            print(json.dumps(written))
        else:
            _LOG.info("%s", text)
    return 0


def is_detector(options: Namespace) -> bool:
    """Whether a detector is to be exported: by what the checkpoint holds, where there is one. Raises InputError."""
    given = options.weights or options.arch
    path = existing_path(given) if given else None
    file = checkpoint_in(path) if path is not None and path.is_dir() else path
    if file is None or not file.is_file():
        return not (options.arch or options.plainnet_struct)
    if file.suffix in _NO_CHECKPOINTS:
        return False
    from gsnet.detection.checkpoint import holds_detector

    if not holds_detector(file):
        return False
    if options.arch and options.weights:
        raise InputError(f"{file} holds a detector, which says itself what it is of: leave --arch out")
    options.weights, options.arch = file, None
    return True


def export_networks(options: Namespace) -> Iterator[dict[str, Any]]:
    """Export each network of --arch into a file of its own; what was written. Raises InputError, ExportError."""
    _refuse(options, OF_DETECTORS, "is of detectors, which have no --arch")
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
    return options.output or Path(f"{_stem_of(arch)}{_SUFFIXES[options.format]}")


def _stem_of(arch: str) -> str:
    """The file's name without its ending; folders and timm's names keep all of theirs, dots too: latency0.1ms."""
    if is_structure(arch):
        return "network"
    named = Path(arch.partition(":")[0])
    return named.stem if named.suffix in _OF_FILES else named.name


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
    from gsnet.models.exporting import check_is_no_source, export, files_of
    from gsnet.models.module_costs import width_of

    folder = folder_of(options)
    check_int8(options, with_folder=folder is not None)
    if folder is None:
        check_is_no_source(file_of(options, arch), arch, options.weights)
    network = network_of(options, arch, options.num_classes)
    expected = expected_input(arch, options.weights)
    resolution = resolution_of(arch, options.input_image_size, options.weights) or expected.resolution
    file, classes = file_of(options, arch), width_of(network, resolution)
    seen_at = expected if resolution == expected.resolution else at_side(expected, resolution)
    found = source_of(arch, options.weights, options.plainnet_struct)
    told = found.description if found else structure_description(network, arch)
    if found:
        told = of_these_weights(told, _are_own(options, found), resolution)
    description = with_input(told, seen_at, classes)
    if folder is not None:
        from gsnet.models.publishing import write_folder

        difference, file = write_folder(network, description, folder, options.license), folder / HUB_WEIGHTS
    else:
        texts = {KEY: description.to_json()}
        if options.int8:
            # What the network got right in float32 is not what its int8 file gets right.
            of_int8 = replace(description, accuracy={})
            return {"arch": arch} | write_int8(options, network, file, replace(seen_at, classes=classes), of_int8)
        side = (resolution, resolution)
        difference = export(
            network, file, options.format, side, metadata=texts, half=options.fp16, fuse=not options.no_fuse
        )
    files = files_of(file, options.format)
    size = sum(one.stat().st_size for one in files)
    known = not expected.assumed
    normalised = expected.normalisation() if known else "normalised as in its training, of which it holds no record"
    shape = f"input 3 x {resolution} x {resolution}"
    text = f"{' and '.join(map(str, files))}, {size:,} bytes, {shape}; outputs agree to {difference:.1e}"
    seen: dict[str, Any] = {"resolution": resolution, "classes": classes}
    seen |= {name: list(getattr(expected, name)) if known else None for name in ("mean", "std")}
    return {
        "arch": arch,
        "file": str(file),
        "files": [str(one) for one in files],
        "format": options.format,
        "bytes": size,
        "max_difference": difference,
        **seen,
        "text": f"{text}; {normalised}; {classes_text(classes)}",
    }


def _are_own(options: Namespace, found: Described) -> bool:
    """Whether the weights that are exported are those of the file that says what they are of."""
    if options.untrained:
        return False
    return options.weights is None or checkpoint_of(Path(options.weights).expanduser()) == found.weights


def write_int8(
    options: Namespace, network: Any, file: Path, expected: ExpectedInput, description: NetworkDescription
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


def export_one_detector(options: Namespace) -> dict[str, Any]:
    """Export the detector whose checkpoint --weights names; returns what was written. Raises InputError, ExportError."""
    if options.weights is None:
        raise InputError("Name what to export: a network by --arch, or a detector's checkpoint by --weights")
    given = (*_OF_NETWORKS, *(("license",) if options.license != UNKNOWN_LICENCE else ()))
    _refuse(options, given, "is of the networks of --arch; a detector's checkpoint says itself what it is of")
    from gsnet.models.exporting import check_is_no_source

    file = options.output or Path(f"detector{_SUFFIXES[options.format]}")
    check_is_no_source(file, options.weights)
    return export_detector(options, file)


def _refuse(options: Namespace, names: Sequence[str], why: str) -> None:
    """Raise InputError for the first of these options that is given."""
    for name in names:
        if getattr(options, name):
            raise InputError(f"--{name} {why}")


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchSpaceError,))
