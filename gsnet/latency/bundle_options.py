"""The options of `gsnet export --device_bundle`."""

from __future__ import annotations

import argparse

from gsnet.interface.options import positive_int
from gsnet.interface.path_options import path
from gsnet.latency.options import add_space_options

# What says which networks are measured, and what only a bundle has.
_SPACE = ("networks", "calibration_networks", "max_layers", "budget_flops", "budget_model_size", "seed")
ONLY_OF_BUNDLES = ("search_space", *_SPACE, "batch_size")
_SHARED = ("plainnet_struct", "use_se", "num_classes", "input_image_size", "format", "json")
OF_BUNDLES = ("device_bundle", *ONLY_OF_BUNDLES, *_SHARED)


def add_bundle_options(group: argparse._ArgumentGroup) -> None:
    """Which networks a device times."""
    group.add_argument("--device_bundle", type=path, metavar="FOLDER",
                       help="write the networks of a latency table and one Python file that times them, with --format onnx, "
                       "openvino, opencv or ncnn; benchmark_network_latency.py --import_timings makes the table")  # fmt: skip
    add_space_options(group)
    group.add_argument("--batch_size", type=positive_int, default=1, metavar="N", help="images at once")
