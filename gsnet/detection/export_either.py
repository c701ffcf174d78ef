"""An export of a classifier or of a detector: its options, which need no torch, and what is written."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from gsnet.detection.export_command import (
    OF_DETECTORS,
    add_detector_options,
    export_detector,
    refuse_ignored_by_detectors,
)
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError, OptionParser, positive_int
from gsnet.interface.path_options import new_file, path
from gsnet.models.described import checkpoint_in
from gsnet.models.options import add_network_options, refuse_ignored_mirror
from gsnet.runtimes.formats import rewrites
from gsnet.validation.export_command import FORMATS, UNKNOWN_LICENCE, export_networks, refuse, usual_name
from gsnet.validation.int8_options import OF_INT8, add_int8_options

# Files that --arch takes and that hold no detector.
_NO_CHECKPOINTS = (".txt", ".py", ".onnx", ".safetensors")
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


def add_export_options(parser: OptionParser, *, classes_also: str = "", side_also: str = "") -> None:
    """Which network, of which kind, and how it is written.

    classes_also, side_also: what the help of --num_classes and --input_image_size ends with.
    """
    parser.alternatives.append(("weights", "untrained"))
    add_network_options(parser, classes_also)
    detector = parser.add_argument_group("detector, without --arch")
    add_detector_options(detector)
    output = parser.add_argument_group("output")
    output.add_argument("--format", default="onnx", choices=FORMATS, help="what to write")
    output.add_argument("--fp16", action="store_true", help="weights of 16 bits: half the size, outputs agree to 2 %%")
    add_int8_options(output)
    output.add_argument(
        "--no_fuse",
        action="store_true",
        help="the graph as torch has it, and not rewritten to run faster where it is deployed",
    )
    output.add_argument(
        "--output", type=new_file, metavar="FILE", help="new file (default: the network's name, and what it is for)"
    )
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
        "--input_image_size", type=positive_int, metavar="PIXELS", help=f"side, instead of the network's{side_also}"
    )


def check_export_options(parser: OptionParser, options: Namespace) -> None:
    """Raise InputError for an option that the others leave without effect."""
    refuse_ignored_mirror(parser, options)
    refuse_ignored_by_detectors(parser, options)
    if options.int8:
        return
    parser.refuse_ignored(options, "without --int8", OF_INT8)
    if options.no_fuse and not rewrites(options.format):
        parser.refuse_ignored(options, f"with --format {options.format}, whose graphs are not rewritten", ("no_fuse",))


def exported(options: Namespace) -> Iterable[dict[str, Any]]:
    """Export the networks that --arch names, or one detector; what was written, and "text" that says it.

    Raises InputError, ExportError.
    """
    if is_detector(options):
        return [export_one_detector(options)]
    refuse(options, OF_DETECTORS, "is of detectors alone, and this is a classifier")
    return export_networks(options)


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


def export_one_detector(options: Namespace) -> dict[str, Any]:
    """Export the detector whose checkpoint --weights names; returns what was written. Raises InputError, ExportError."""
    if options.weights is None:
        raise InputError("Name what to export: a network by --arch, or a detector's checkpoint by --weights")
    given = (*_OF_NETWORKS, *(("license",) if options.license != UNKNOWN_LICENCE else ()))
    refuse(options, given, "is of classifiers; a detector's checkpoint says itself what it is of")
    from gsnet.models.exporting import check_is_no_source

    file = options.output or usual_name(options, "detector")
    check_is_no_source(file, options.weights)
    return export_detector(options, file)
