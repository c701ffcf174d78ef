"""Time a network on a device, or predict its latency from a table of that device.

    python benchmark_network_latency.py --arch zennet_imagenet1k_flops400M_SE_res224 --batch_size_list 1,8
    python benchmark_network_latency.py --arch save_dir/my_search
    python benchmark_network_latency.py --arch network.onnx --backend all
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
from argparse import Namespace
from collections.abc import Callable, Sequence

from gsnet.interface.running import run
from gsnet.comparing.timed_networks import is_timed_as_it_is, time_network
from gsnet.interface.logs import log_to
from gsnet.interface.options import BAD_INPUT, InputError, device_name
from gsnet.interface.rows import say_csv, write_csv
from gsnet.interface.script_options import script_parser
from gsnet.latency import command as latency
from gsnet.latency.calibration import described
from gsnet.latency.options import add_table_options, add_timing_options, mode_of
from gsnet.latency.other_devices import import_device, import_library
from gsnet.latency.records import Calibration
from gsnet.latency.runtime_report import PACKAGES, comparison_table, operation_lines, operation_rows
from gsnet.latency.space import CLASSES as TABLE_CLASSES
from gsnet.models.named import names_of, structure_of
from gsnet.models.options import add_network_options, network_named, size_and_classes
from PlainNet import StructureError
from SearchSpace import SearchSpaceError

# Of a report, what is not of a row of --csv.
_NO_COLUMNS = ("rows", "backends", "operations", "no_operations", PACKAGES, latency.LAUNCHES)
# What a report says of a fit.
FITTED = ("coefficients", "spread", "networks")


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives += [("batch_size", "batch_size_list"), ("weights", "untrained"), ("gpu", "device")]
    add_network_options(parser, f"; with --build_table and --calibrate {TABLE_CLASSES}")

    add_timing_options(parser)
    add_table_options(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output, nothing else there"
    )
    options = parser.parse_args(argv)
    mode, read = mode_of(options)
    parser.refuse_all_but(options, mode, (*read, "plugin"))
    if options.batch_size_list:
        parser.refuse_ignored(options, "beside --batch_size_list", ("batch_size",))
    if options.own_precision:
        parser.refuse_ignored(options, "beside --own_precision", ("fp16", "fp32"))
    if options.fp32:
        parser.refuse_ignored(options, "beside --fp32", ("fp16",))
    if options.channels_first:
        parser.refuse_ignored(options, "beside --channels_first", ("channels_last",))
    options.operations |= options.operations_csv is not None
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Time, predict, build or import; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    options.device = device_name(options.gpu, options.device)
    if options.import_tinynas:
        show(import_library(options), options.json)
    elif options.import_timings:
        show(import_device(options), options.json)
    elif options.build_table or options.calibrate:
        show(latency.build_table(options), options.json)
    elif not (options.arch or options.weights or options.plainnet_struct):
        raise InputError(
            "--arch names the network to time; --build_table, --import_tinynas and --import_timings need none"
        )
    elif options.predict or options.measure_missing:
        options.arch = network_named(options)
        return of_networks(options, predict)
    else:
        options.arch = options.arch if is_timed_as_it_is(options) else network_named(options)
        return of_networks(options, time_network)
    return 0


def of_networks(options: Namespace, work: Callable[[Namespace, str], dict]) -> int:
    """Time or predict each network that --arch names; of several, one that fails does not end the others."""
    names = names_of(options.arch)
    if len(names) == 1:
        report = work(options, names[0])
        write_tables(options, [report])
        show(report, options.json)
        say_tables(options)
        return 0
    if options.weights or options.export_onnx:
        raise InputError("--weights and --export_onnx belong to a single network: --arch must name one")
    reports = []
    for name in names:
        try:
            reports.append(work(options, name))
        except (InputError, StructureError, RuntimeError, OSError, ValueError) as error:
            reports.append({"arch": name, "error": " ".join(str(error).split())})
        write_tables(options, reports)
        if not options.json:
            show(dict(reports[-1]), options.json)
    if options.json:
        print(json.dumps({"networks": reports}))
    say_tables(options)
    return BAD_INPUT if all("error" in report for report in reports) else 0


def write_tables(options: Namespace, reports: Sequence[dict]) -> None:
    """What --csv and --operations_csv ask for. Raises OSError."""
    write_csv(options.csv, rows_of(reports))
    write_csv(options.operations_csv, operation_rows(reports))


def say_tables(options: Namespace) -> None:
    """Where the tables are that were asked for."""
    say_csv(options.csv)
    say_csv(options.operations_csv)


def rows_of(reports: Sequence[dict]) -> list[dict]:
    """A row for each network and batch size."""
    rows = []
    # Of several runtimes each has rows of its own.
    single = [{**report, **one} for report in reports for one in report.get("backends", [{}])]
    for report in single:
        common = {name: value for name, value in report.items() if name not in _NO_COLUMNS}
        batches = [{k: v for k, v in batch.items() if k != "text"} for batch in report.get("rows", [{}])]
        rows += [common | batch for batch in batches]
    return rows


def predict(options: Namespace, arch: str) -> dict:
    """Latency of the network's value."""
    found = structure_of(arch, options.plainnet_struct, use_se=options.use_se, unit=options.unit)
    if found is None:
        raise InputError(
            f"--predict needs a structure, and {arch} has none: a ZenNet name, a .txt file or --plainnet_struct"
        )
    network, style = found
    resolution, classes = size_and_classes(arch, options.input_image_size, options.num_classes)
    report = latency.predict(options, network, classes, style, resolution)
    return {"arch": arch, "resolution": resolution, "classes": classes} | report


def show(report: dict, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        print(json.dumps(report))
        return
    rows, backends = report.pop("rows", []), report.pop("backends", [])
    each = backends or [report]
    operations = [(one["backend"], one.pop("operations")) for one in each if "operations" in one]
    untold = [one.pop(name) for one in each for name in ("no_operations", latency.LAUNCHES) if name in one]
    fitted = Calibration(**{name: report.pop(name) for name in FITTED}) if FITTED[0] in report else None
    print(", ".join(f"{name} {_plain(value)}" for name, value in report.items() if value is not None))
    if fitted:
        print(described(fitted))
    for row in rows:
        print("  " + row["text"])
    if backends:
        print("\n".join(comparison_table(backends)))
    for backend, times in operations:
        print("\n".join(operation_lines(backend, times)))
    if untold:
        print("\n".join(untold))


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchSpaceError,))
