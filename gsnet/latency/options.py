"""The options of benchmark_network_latency.py, and which of them its five ways of working read."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Sequence

from gsnet.interface.options import OptionParser, add_device_options, count, names, positive_float, positive_int, seed
from gsnet.interface.path_options import new_file, path
from gsnet.interface.rows import add_csv_option
from gsnet.latency.space import RESOLUTION
from gsnet.runtimes import runtime_names

# Which networks of a space are measured.
_OF_NETWORKS = ("max_layers", "budget_flops", "budget_model_size")


def add_timing_options(parser: OptionParser) -> None:
    """How a network is timed."""
    timing = parser.add_argument_group("timing")
    timing.add_argument("--batch_size", type=positive_int, default=1, metavar="N", help="images at once")
    timing.add_argument("--batch_size_list", metavar="N,N", help="several batch sizes, instead")
    timing.add_argument(
        "--input_image_size",
        type=positive_int,
        metavar="PIXELS",
        help=f"side (default: the network's own, else 224; with --build_table and --calibrate {RESOLUTION})",
    )
    timing.add_argument("--fp16", action="store_true", help="half precision: float16 on a GPU, bfloat16 on a processor")
    timing.add_argument("--fp32", action="store_true",
                        help="float32 where half precision is usual (torch.cudagraph; torch.compile on a GPU)")  # fmt: skip
    timing.add_argument("--channels_last", action="store_true", help="maps with channels innermost")
    timing.add_argument(
        "--channels_first",
        action="store_true",
        help="maps channel by channel, as images lie, where a backend takes channels last by itself",
    )
    add_device_options(timing)
    timing.add_argument("--threads", type=positive_int, default=1, metavar="N", help="of the processor")
    timing.add_argument("--backend", type=names, metavar="NAME,NAME",
                        help=f"what runs the network, its outputs compared with torch's first: {', '.join(runtime_names())}, "
                        "several for one table, or all for those that are installed (default: torch; of an exported file, "
                        "timed as it is, what it was exported for); with --build_table, --calibrate and --predict: the one "
                        "whose latency table is meant")  # fmt: skip
    timing.add_argument("--own_precision", action="store_true",
                        help="in the precision that a runtime chooses by itself, which may be below float32")  # fmt: skip
    timing.add_argument("--operations", action="store_true",
                        help="what takes how long of a pass, too, at the first batch size: operations by their kind, and "
                        "the longest ones")  # fmt: skip
    timing.add_argument("--operations_csv", type=new_file, metavar="FILE",
                        help="table of all operations, in their order; implies --operations")  # fmt: skip
    timing.add_argument("--repeat_times", type=positive_int, default=200, metavar="N", help="at most")
    timing.add_argument("--precision", type=positive_float, default=0.02, metavar="X",
                        help="stop when half the median's 95 %% interval is below this part of it")  # fmt: skip
    add_csv_option(timing)
    timing.add_argument(
        "--export_onnx", type=new_file, metavar="FILE", help="write the network for another device, too"
    )


def add_table_options(parser: OptionParser) -> None:
    """Latency tables: building, importing, predicting."""
    tables = parser.add_argument_group("latency tables")
    tables.add_argument(
        "--latency_table", type=path, metavar="FILE", help="table (default: this device's, in the cache)"
    )
    tables.add_argument(
        "--build_table",
        action="store_true",
        help="measure the layers that a search can visit: one by one in torch, by whole networks in another --backend",
    )
    tables.add_argument("--calibrate", action="store_true", help="time whole networks and fit the table's sums to them")
    add_space_options(tables)
    tables.add_argument("--import_tinynas", type=path, metavar="FILE", help="TinyNAS library to take into the table")
    tables.add_argument("--import_timings", type=path, metavar="FILE",
                        help="what a device bundle (gsnet export --device_bundle) measured: that device's table")  # fmt: skip
    tables.add_argument("--device_name", metavar="NAME",
                        help="device of that library or bundle (default: the file's name, what the bundle found)")  # fmt: skip
    tables.add_argument("--table_precision", choices=("fp32", "fp16", "int8"), help="of it (default: by its name)")
    tables.add_argument("--predict", action="store_true", help="predict --arch from the table, without running it")
    tables.add_argument("--measure_missing", action="store_true", help="measure layers that the table lacks, once")


def add_space_options(group: argparse._ArgumentGroup) -> None:
    """Which networks are measured."""
    group.add_argument("--search_space", metavar="FILE", help="of that search; --plainnet_struct is where it starts")
    group.add_argument("--networks", type=positive_int, default=100, metavar="N",
                       help="whose layers are measured, beside one of each block type")  # fmt: skip
    group.add_argument("--calibration_networks", type=positive_int, default=40, metavar="N", help="timed whole")
    group.add_argument("--max_layers", type=positive_int, default=25, metavar="N", help="of those networks, at most")
    group.add_argument("--budget_flops", type=count, default=6e8, metavar="N", help="of those, at most")
    group.add_argument("--budget_model_size", type=count, metavar="N", help="parameters of those, at most")
    group.add_argument("--seed", type=seed, default=0, metavar="N", help="of the networks that are measured")


def mode_of(options: Namespace) -> tuple[str, Sequence[str]]:
    """Which of the five ways to use the script is meant, in words, and the options that it reads."""
    network = ("arch", "plainnet_struct", "use_se", "unit", "num_classes", "input_image_size")
    conditions = ("batch_size", "batch_size_list", "fp16", "json")
    table = ("csv",)
    machine = ("gpu", "device", "threads")
    if options.import_tinynas:
        return "with --import_tinynas", ("import_tinynas", "latency_table", "device_name", "table_precision", "json")
    if options.import_timings:
        return "with --import_timings", ("import_timings", "latency_table", "device_name", "json")
    if options.build_table or options.calibrate:
        mode = "with " + " and ".join(f"--{name}" for name in ("build_table", "calibrate") if getattr(options, name))
        space = ("search_space", "plainnet_struct", *_OF_NETWORKS, "seed", "latency_table")
        count = (*["networks"] * options.build_table, *["calibration_networks"] * options.calibrate)
        shape = ("use_se", "num_classes", "input_image_size")
        return mode, ("build_table", "calibrate", "backend", *count, *space, *shape, *conditions, *machine)
    if options.predict or options.measure_missing:
        # A table that is named says its device itself; to measure, or to find this device's table, it must be known.
        device = () if options.latency_table and not options.measure_missing else machine
        asked = ("predict", "measure_missing", "latency_table", "backend")
        return "with --predict", (*asked, *network, *conditions, *table, *device)
    # Published weights take no part in how long a network takes.
    weights = ("weights", "untrained")
    timing = (
        "fp32",
        "channels_last",
        "channels_first",
        "backend",
        "own_precision",
        "operations",
        "operations_csv",
        "repeat_times",
        "precision",
        "export_onnx",
    )
    return "where a network is timed", (*network, *weights, *conditions, *table, *machine, *timing)
