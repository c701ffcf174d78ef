"""Options of a search that limit what candidates may cost."""

from __future__ import annotations

from argparse import Namespace

from gsnet.evolution.settings import IN_BYTES, LATENCY_SOURCES
from gsnet.interface.options import OptionParser, count, positive_float, positive_int, seconds, size_in_bytes
from gsnet.interface.path_options import path
from PlainNet.memory import PRECISIONS


def add_budget_options(parser: OptionParser) -> None:
    """Limits, and how latency and memory are looked at."""
    budgets = parser.add_argument_group("budgets (none unless given)")
    budgets.add_argument("--max_layers", type=positive_int, metavar="N", help="sum of sub-layers")
    budgets.add_argument("--min_width", type=positive_int, metavar="N",
                         help="least output width and bottleneck of every block, 16 or 32 for instance: without it the best "
                         "scores are those of networks that are 8 or 16 channels wide in places (docs/results.md)")  # fmt: skip
    budgets.add_argument("--budget_model_size", type=count, metavar="N", help="parameters, such as 1e6 or 1M")
    budgets.add_argument(
        "--budget_flops", type=count, metavar="N", help="multiply-accumulates of one image, such as 0.4G"
    )
    budgets.add_argument("--budget_mac", type=count, metavar="N", help="memory access cost of one image, in elements")
    budgets.add_argument("--budget_growth", type=positive_float, metavar="X",
                         help="growth of the gradient from the last map back to the first, as a natural logarithm: "
                         "networks of growth beyond 4 or so train badly (docs/gradient_growth.md)")  # fmt: skip
    budgets.add_argument("--budget_peak_memory", type=size_in_bytes, metavar="BYTES",
                         help="bytes of the maps that live at once for one image, such as 256KiB (docs/memory.md)")  # fmt: skip
    budgets.add_argument(
        "--budget_weights", type=size_in_bytes, metavar="BYTES", help="bytes of all weights, such as 1MiB or 500kB"
    )
    budgets.add_argument("--memory_precision", choices=PRECISIONS, default=PRECISIONS[0],
                         help="of maps and weights in these two")  # fmt: skip
    budgets.add_argument(
        "--budget_latency",
        type=seconds,
        metavar="SECONDS",
        help="seconds an image, such as 1e-3, or 1ms, 250us (on the CPU: with one thread)",
    )
    budgets.add_argument(
        "--latency_batch_size", type=positive_int, default=1, metavar="N", help="batch at which latency is looked at"
    )
    budgets.add_argument("--latency_resolution", type=positive_int, metavar="PIXELS",
                         help="resolution of that (default: --input_image_size)")  # fmt: skip
    budgets.add_argument("--fp16", action="store_true", help="latency in half precision")
    budgets.add_argument("--latency_source", choices=LATENCY_SOURCES,
                         help="time candidates, sum up a table's layers, or predict from a calibrated table "
                         "(default: predict where there is such a table, else measure)")  # fmt: skip
    budgets.add_argument("--latency_backend", metavar="NAME",
                         help="the runtime that latencies are of, as in benchmark_network_latency.py --backend "
                         "(default: that of --latency_table, else torch)")  # fmt: skip
    budgets.add_argument("--latency_table", type=path, metavar="FILE",
                         help="table of another device, or elsewhere than in the cache")  # fmt: skip
    budgets.add_argument("--measure_missing", action="store_true",
                         help="measure layers of which the table knows too little, once, and keep them in it")  # fmt: skip


def refuse_ignored_budget_options(parser: OptionParser, options: Namespace) -> None:
    """What says how latency or memory is looked at, where neither is a budget or an objective. Raises InputError."""
    if options.budget_latency is None and "latency" not in objectives_from(options.objectives):
        timing = ("latency_batch_size", "latency_resolution", "fp16")
        parser.refuse_ignored(options, "without --budget_latency or --objectives score,latency", timing)
    limited = (options.budget_peak_memory, options.budget_weights) != (None, None)
    if not limited and not set(IN_BYTES) & set(objectives_from(options.objectives)):
        mode = "without --budget_peak_memory, --budget_weights or one of them in --objectives"
        parser.refuse_ignored(options, mode, ("memory_precision",))


def objectives_from(text: str) -> tuple[str, ...]:
    """The objectives of a comma-separated list; what they may be is for `SearchSettings` to say."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))
