"""Time a network on a device, or predict its latency from a table of that device.

    python benchmark_network_latency.py --arch zennet_imagenet1k_flops400M_SE_res224 --batch_size_list 1,8
    python benchmark_network_latency.py --arch Masternet.py:MasterNet --plainnet_struct TEXT --input_image_size 32
    python benchmark_network_latency.py --build_table --calibrate --search_space SearchSpace/search_space_ghostshuffle.py \\
        --plainnet_struct TEXT --input_image_size 32
    python benchmark_network_latency.py --import_tinynas tinynas_v100_conv.fp16.txt.gz --latency_table v100.db
    python benchmark_network_latency.py --predict --arch NAME --latency_table v100.db --fp16 --batch_size 64

Times are of a forward pass in evaluation mode: after a warm-up, repeats until the 95 % interval of the median is within
--precision, at most --repeat_times. A table is one file for each device; what is interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import PlainNet
import ZenNet
from gsnet.interface.running import log_to, run
from gsnet.interface.options import InputError, OptionParser, device_name, positive_float, positive_int
from gsnet.latency import command as latency
from gsnet.models.options import add_network_options
from PlainNet import Style
from SearchSpace import SearchSpaceError


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    add_network_options(parser, required=False)

    timing = parser.add_argument_group("timing")
    timing.add_argument("--batch_size", type=positive_int, default=1, metavar="N", help="images at once")
    timing.add_argument("--batch_size_list", metavar="N,N", help="several batch sizes, instead")
    timing.add_argument("--input_image_size", type=positive_int, metavar="PIXELS", help="side (default: the network's)")
    timing.add_argument("--fp16", action="store_true", help="half precision: float16 on a GPU, bfloat16 on a processor")
    timing.add_argument("--channels_last", action="store_true", help="maps with channels innermost")
    timing.add_argument("--gpu", type=int, metavar="N", help="this GPU (default: the processor)")
    timing.add_argument("--threads", type=positive_int, default=1, metavar="N", help="of the processor")
    timing.add_argument("--backend", choices=("torch", "torch.compile", "onnxruntime"), default="torch",
                        help="what runs the network; onnxruntime's outputs are compared with torch's first")  # fmt: skip
    timing.add_argument("--repeat_times", type=positive_int, default=200, metavar="N", help="at most")
    timing.add_argument("--precision", type=positive_float, default=0.02, metavar="X",
                        help="stop when half the median's 95 %% interval is below this part of it")  # fmt: skip
    timing.add_argument("--export_onnx", type=Path, metavar="FILE", help="write the network for another device, too")

    tables = parser.add_argument_group("latency tables")
    tables.add_argument(
        "--latency_table", type=Path, metavar="FILE", help="table (default: this device's, in the cache)"
    )
    tables.add_argument("--build_table", action="store_true", help="measure the layers that a search can visit")
    tables.add_argument("--calibrate", action="store_true", help="time whole networks and fit the table's sums to them")
    tables.add_argument("--search_space", metavar="FILE", help="of that search; --plainnet_struct is where it starts")
    tables.add_argument("--networks", type=positive_int, default=100, metavar="N", help="whose layers are measured")
    tables.add_argument("--calibration_networks", type=positive_int, default=40, metavar="N", help="timed whole")
    tables.add_argument("--max_layers", type=positive_int, default=25, metavar="N", help="of those networks, at most")
    tables.add_argument("--budget_flops", type=positive_float, default=6e8, metavar="N", help="of those, at most")
    tables.add_argument("--import_tinynas", type=Path, metavar="FILE", help="TinyNAS library to take into the table")
    tables.add_argument("--device_name", metavar="NAME", help="device of that library (default: the file's name)")
    tables.add_argument("--table_precision", choices=("fp32", "fp16", "int8"), help="of it (default: by its name)")
    tables.add_argument("--predict", action="store_true", help="predict --arch from the table, without running it")
    tables.add_argument("--measure_missing", action="store_true", help="measure layers that the table lacks, once")
    tables.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks that are measured")

    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output, nothing else there"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Time, predict, build or import; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    options.device = device_name(options.gpu)
    if options.import_tinynas:
        show(latency.import_library(options), options.json)
    elif options.build_table or options.calibrate:
        show(latency.build_table(options), options.json)
    elif not options.arch:
        raise InputError("--arch names the network to time; --build_table and --import_tinynas need none")
    elif options.predict or options.measure_missing:
        show(predict(options), options.json)
    else:
        show(time_network(options), options.json)
    return 0


def predict(options: Namespace) -> dict:
    """Latency of the network's value."""
    arch, resolution, classes = options.arch, options.input_image_size, options.num_classes
    style = Style(use_se=options.use_se)
    if arch in ZenNet.list_models():
        entry = ZenNet.published(arch)
        network, style = PlainNet.parse(entry.structure), Style(use_se=entry.se, se_activation="relu")
        resolution, classes = resolution or entry.resolution, classes or entry.classes
    elif arch.endswith(".txt"):
        network = PlainNet.read_structure_file(arch)
    elif options.plainnet_struct:
        network = PlainNet.parse(options.plainnet_struct)
    else:
        raise InputError(
            f"--predict needs a structure, and {arch} has none: a ZenNet name, a .txt file or --plainnet_struct"
        )
    return latency.predict(options, network, classes or 1000, style, resolution or 224)


def time_network(options: Namespace) -> dict:
    """Latency of the network on this device, and its ONNX file where asked for."""
    import torch

    from gsnet.latency import backends
    from gsnet.latency.measurement import dtype_of
    from gsnet.models import expected_input, load_model
    from gsnet.models.exporting import export

    torch.set_num_threads(options.threads)
    on_processor = options.device == "cpu" and not options.fp16 and not options.channels_last
    if options.backend == "onnxruntime" and not on_processor:
        raise InputError("--backend onnxruntime runs float32 on the processor: without --gpu, --fp16, --channels_last")
    network = load_model(
        options.arch,
        num_classes=options.num_classes,
        weights=options.weights,
        plainnet_struct=options.plainnet_struct,
        use_se=options.use_se,
    ).eval()
    resolution = options.input_image_size or expected_input(options.arch).resolution
    difference = None
    with tempfile.TemporaryDirectory() as folder:
        if options.export_onnx or options.backend == "onnxruntime":
            file = options.export_onnx or Path(folder) / "network.onnx"
            difference = export(network, file, "onnx", (resolution, resolution))
        if options.backend == "onnxruntime":
            runner = backends.onnx_runner(file, options.threads)
        else:
            layout = torch.channels_last if options.channels_last else torch.contiguous_format
            network = network.to(options.device, dtype_of(options.device, options.fp16)).to(memory_format=layout)  # type: ignore[call-overload]
            runner = backends.torch_runner(network, options.backend == "torch.compile")
        report = latency.time_runner(options, runner, resolution)
    return {"arch": options.arch, **report, "onnx_max_difference": difference}


def show(report: dict, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        print(json.dumps(report))
        return
    rows = report.pop("rows", [])
    print(", ".join(f"{name} {value}" for name, value in report.items() if value is not None))
    for row in rows:
        print("  " + row["text"])


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchSpaceError,))
