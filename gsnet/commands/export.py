"""Write a network or a detector for other programs: ONNX, for OpenCV too, OpenVINO, ncnn, ExecuTorch, LiteRT, TorchScript or
safetensors.

    gsnet export --arch save_dir/my_training --format onnx --output net.onnx
    gsnet export --arch zennet_cifar10_model_size05M_res32 --weights best.pth --format safetensors
    gsnet export --arch save_dir/my_training --format safetensors --folder my_network --license apache-2.0
    gsnet export --weights save_dir/my_detector/best-params_rank0.pth --output detector.onnx --decode
    gsnet export --arch best_structure.txt --weights best.pth --format ncnn --fp16 --output net_ncnn.param
    gsnet export --arch save_dir/my_training --format openvino --int8 --calibration pictures/ --output net_openvino.xml
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

from gsnet.interface.running import run
from gsnet.detection.export_either import add_export_options, check_export_options, exported
from gsnet.interface.logs import log_to
from gsnet.interface.script_options import script_parser
from gsnet.latency.bundle_options import OF_BUNDLES, ONLY_OF_BUNDLES, add_bundle_options
from gsnet.latency.other_devices import write_device_bundle
from gsnet.latency.space import CLASSES as BUNDLED_CLASSES
from gsnet.latency.space import RESOLUTION as BUNDLED_RESOLUTION
from SearchSpace import SearchSpaceError

_LOG = logging.getLogger(__name__)


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    add_export_options(
        parser,
        classes_also=f"; with --device_bundle {BUNDLED_CLASSES}",
        side_also=f" (with --device_bundle by default {BUNDLED_RESOLUTION})",
    )
    bundle = parser.add_argument_group("device bundle, for a latency table of another device")
    add_bundle_options(bundle)
    parser.add_argument("--json", action="store_true", help="one JSON object a network on standard output")
    options = parser.parse_args(argv)
    if options.device_bundle:
        parser.refuse_all_but(options, "with --device_bundle", (*OF_BUNDLES, "plugin"))
        return options
    parser.refuse_ignored(options, "without --device_bundle", ONLY_OF_BUNDLES)
    check_export_options(parser, options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Export the networks that --arch names, or one detector; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    done: Iterable[dict[str, Any]] = [write_device_bundle(options)] if options.device_bundle else exported(options)
    for written in done:
        text = written.pop("text")
        if options.json:
            print(json.dumps(written))
        else:
            _LOG.info("%s", text)
    return 0


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchSpaceError,))
