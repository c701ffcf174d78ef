"""Write a network or a detector for other programs: ONNX, TorchScript or safetensors.

    gsnet export --arch zennet_cifar10_model_size05M_res32 --weights best.pth --format onnx --output net.onnx
    gsnet export --weights save_dir/my_detector/best-params_rank0.pth --output detector.onnx --decode

Without --arch, --weights is a detector's checkpoint, which says itself what it is of. What was written is read back and run
on random images; the file is kept only where its outputs are the network's.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gsnet.interface.running import log_to, run
from gsnet.interface.options import InputError, OptionParser, positive_int
from gsnet.models import expected_input
from gsnet.models.options import add_network_options, network_of

_LOG = logging.getLogger(__name__)
_SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}
# What describes a classifier, and what asks for something of a detector.
_OF_NETWORKS = ("weights_url", "untrained", "plainnet_struct", "use_se", "num_classes")
_OF_DETECTORS = ("decode", "input_image_height")


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    add_network_options(parser, required=False)
    detector = parser.add_argument_group("detector, without --arch")
    detector.add_argument("--decode", action="store_true", help="boxes instead of bins")
    detector.add_argument("--input_image_height", type=positive_int, metavar="PIXELS", help="height, if not the width")
    output = parser.add_argument_group("output")
    output.add_argument("--format", default="onnx", choices=tuple(_SUFFIXES), help="what to write")
    output.add_argument("--output", type=Path, metavar="FILE", help="new file (default: the network's name)")
    output.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the network's"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Export one network or detector; returns the exit status."""
    options = parse_options(argv)
    log_to()
    weights = Path(options.weights).expanduser() if options.weights else None
    if weights is None or not weights.is_file():
        return export_network(options) if options.arch else export_detector(options)
    from gsnet.detection.checkpoint import holds_detector

    detector = holds_detector(weights)
    if detector and options.arch:
        raise InputError(f"{weights} holds a detector, which says itself what it is of: leave --arch out")
    if not detector and not options.arch:
        raise InputError(f"{weights} holds no detector: name the network that it belongs to with --arch")
    return export_detector(options) if detector else export_network(options)


def export_network(options: Namespace) -> int:
    """Export the network of --arch. Raises InputError, ExportError."""
    _refuse(options, _OF_DETECTORS, "is of detectors, which have no --arch")
    from gsnet.models.exporting import export

    network = network_of(options, options.arch, options.num_classes)
    resolution = options.input_image_size or expected_input(options.arch).resolution
    stem = Path(options.arch.partition(":")[0]).stem
    file = options.output or Path(f"{stem}{_SUFFIXES[options.format]}")
    difference = export(network, file, options.format, (resolution, resolution))
    _LOG.info(
        "%s, %s bytes, input 3 x %d x %d; outputs agree to %.1e",
        *(file, f"{file.stat().st_size:,}", resolution, resolution, difference),
    )
    return 0


def export_detector(options: Namespace) -> int:
    """Export the detector whose checkpoint --weights names. Raises InputError, ExportError."""
    if options.weights is None:
        raise InputError("Name what to export: a network by --arch, or a detector's checkpoint by --weights")
    _refuse(options, _OF_NETWORKS, "is of the networks of --arch; a detector's checkpoint says itself what it is of")
    if options.format != "onnx":
        raise InputError(f"--format {options.format} is of the networks of --arch; detectors are written as onnx")
    from gsnet.detection.checkpoint import load_detector
    from gsnet.detection.export import LAYOUTS, write_onnx

    loaded = load_detector(Path(options.weights))
    width = options.input_image_size or loaded.preprocessing.width
    height = options.input_image_height or options.input_image_size or loaded.preprocessing.height
    loaded = replace(loaded, preprocessing=replace(loaded.preprocessing, width=width, height=height))
    file = options.output or Path("detector.onnx")
    difference = write_onnx(loaded, file, options.decode)
    _LOG.info(
        "%s, %s bytes, input 3 x %d x %d, %s; outputs agree to %.1e",
        *(file, f"{file.stat().st_size:,}", height, width, LAYOUTS[options.decode], difference),
    )
    return 0


def _refuse(options: Namespace, names: Sequence[str], why: str) -> None:
    """Raise InputError for the first of these options that is given."""
    for name in names:
        if getattr(options, name):
            raise InputError(f"--{name} {why}")


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
