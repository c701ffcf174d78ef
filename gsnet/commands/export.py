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
from collections.abc import Iterable, Sequence
from typing import Any

from gsnet.interface.running import log_to, run
from gsnet.detection.export_command import (
    OF_DETECTORS,
    add_detector_options,
    export_detector,
    refuse_ignored_by_detectors,
)
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError, positive_int
from gsnet.interface.path_options import new_file, path
from gsnet.interface.script_options import script_parser
from gsnet.latency.bundle_options import OF_BUNDLES, ONLY_OF_BUNDLES, add_bundle_options
from gsnet.latency.other_devices import write_device_bundle
from gsnet.latency.space import CLASSES as BUNDLED_CLASSES
from gsnet.latency.space import RESOLUTION as BUNDLED_RESOLUTION
from gsnet.models.described import checkpoint_in
from gsnet.models.options import add_network_options, refuse_ignored_mirror
from gsnet.validation.export_command import FORMATS, UNKNOWN_LICENCE, export_networks, refuse, usual_name
from gsnet.validation.int8_options import OF_INT8, add_int8_options
from SearchSpace import SearchSpaceError

_LOG = logging.getLogger(__name__)
# Formats whose graphs --no_fuse leaves as they are.
_REWRITTEN = ("onnx", "opencv")
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


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives.append(("weights", "untrained"))
    add_network_options(parser, f"; with --device_bundle {BUNDLED_CLASSES}")
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
        "--input_image_size",
        type=positive_int,
        metavar="PIXELS",
        help=f"side, instead of the network's (with --device_bundle by default {BUNDLED_RESOLUTION})",
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
    done: Iterable[dict[str, Any]]
    if options.device_bundle:
        done = [write_device_bundle(options)]
    elif is_detector(options):
        done = [export_one_detector(options)]
    else:
        refuse(options, OF_DETECTORS, "is of detectors, which have no --arch")
        done = export_networks(options)
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


def export_one_detector(options: Namespace) -> dict[str, Any]:
    """Export the detector whose checkpoint --weights names; returns what was written. Raises InputError, ExportError."""
    if options.weights is None:
        raise InputError("Name what to export: a network by --arch, or a detector's checkpoint by --weights")
    given = (*_OF_NETWORKS, *(("license",) if options.license != UNKNOWN_LICENCE else ()))
    refuse(options, given, "is of the networks of --arch; a detector's checkpoint says itself what it is of")
    from gsnet.models.exporting import check_is_no_source

    file = options.output or usual_name(options, "detector")
    check_is_no_source(file, options.weights)
    return export_detector(options, file)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchSpaceError,))
