"""Write a network for other programs: ONNX, TorchScript or safetensors.

    gsnet export --arch zennet_cifar10_model_size05M_res32 --weights best.pth --format onnx --output net.onnx

What was written is read back and run on random images; the file is kept only where its outputs are the network's.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from gsnet.interface.running import log_to, run
from gsnet.interface.options import OptionParser, positive_int
from gsnet.models import expected_input
from gsnet.models.options import add_network_options, network_of

_LOG = logging.getLogger(__name__)
_SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    add_network_options(parser)
    parser.add_argument("--format", required=True, choices=tuple(_SUFFIXES), help="what to write")
    parser.add_argument("--output", type=Path, metavar="FILE", help="new file (default: the network's name)")
    parser.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the network's"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Export one network; returns the exit status."""
    options = parse_options(argv)
    log_to()
    from gsnet.models.exporting import export

    network = network_of(options, options.arch, options.num_classes)
    resolution = options.input_image_size or expected_input(options.arch).resolution
    stem = Path(options.arch.partition(":")[0]).stem
    file = options.output or Path(f"{stem}{_SUFFIXES[options.format]}")
    difference = export(network, file, options.format, (resolution, resolution))
    _LOG.info("%s, %s bytes, outputs agree to %.1e", file, f"{file.stat().st_size:,}", difference)
    return 0


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
