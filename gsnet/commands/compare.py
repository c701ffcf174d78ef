"""Compare networks: what they cost, how long they take, what proxies, searches and trainings say of them.

    python compare.py save_dir/mine save_dir/other resnet18 'zennet_cifar10*' --html compared.html
    python compare.py networks.txt --zero_shot_score ZenClosedForm,NASWOT --input_image_size 32 --num_classes 10 --csv table.csv
    python compare.py save_dir/*/training mobilenet_v3_small --time --backend torch,onnxruntime

A network is a results folder of a search or a training, a checkpoint, a name (published, torchvision's, timm's), a pattern,
FILE.py:Class, a structure string, or a file of structures, one a line. One that fails is a row with the reason. Each is looked
at as it is meant to be, at its own resolution, unless --input_image_size says one for all.
"""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Sequence

from tqdm import tqdm

from gsnet.interface.running import INTERRUPTED, run
from gsnet.comparing.comparison import Comparison, Interrupted, compare
from gsnet.comparing.measuring import Answers, Questions
from gsnet.comparing.networks import View
from gsnet.comparing.page import plotly_library
from gsnet.comparing.ranking import rankings_among, scoring
from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES, ORDERING_MEMBERS
from gsnet.interface.logs import log_to
from gsnet.interface.options import (
    BAD_INPUT,
    FAILED,
    InputError,
    OptionParser,
    add_device_options,
    device_name,
    names,
    positive_float,
    positive_int,
    seed,
)
from gsnet.interface.path_options import new_file, path
from gsnet.interface.rows import say_csv
from gsnet.interface.script_options import script_parser
from gsnet.runtimes import runtime_names, runtimes_named
from PlainNet import UNITS
from ZeroShotProxy import UnknownProxyError, get_proxy, list_proxies, proxies_named


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives.append(("gpu", "device"))
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="folder, file, name, pattern or structure")
    _add_questions(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--csv", type=new_file, metavar="FILE", help="the table; latencies in seconds an image")
    output.add_argument(
        "--html", type=new_file, metavar="FILE", help="one page with interactive figures; needs no connection"
    )
    output.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else there")
    options = parser.parse_args(argv)
    if not options.time:
        parser.refuse_ignored(options, "without --time", ("backend", "threads"))
    if not options.time and options.latency_table is None:
        parser.refuse_ignored(options, "without --time or --latency_table", ("latency_batch_size", "fp16"))
    if not options.time and options.zero_shot_score is None:
        parser.refuse_ignored(options, "without --time or --zero_shot_score", ("gpu", "device"))
    if options.zero_shot_score is None:
        parser.refuse_ignored(
            options, "without --zero_shot_score", ("ensemble", "repeat_times", "seed", "batch_size", "gamma")
        )
    return options


def _add_questions(parser: OptionParser) -> None:
    view = parser.add_argument_group("how networks are looked at")
    view.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side (default: each one's own, else 224)"
    )
    view.add_argument(
        "--num_classes", type=positive_int, metavar="N", help="classes (default: each one's own, else 1000)"
    )
    view.add_argument("--use_se", action="store_true", help="structures with squeeze-and-excitation")
    view.add_argument("--unit", choices=tuple(UNITS), help="GhostShuffle units of structures (default: searched)")
    add_device_options(view)
    scores = parser.add_argument_group("scores")
    scores.add_argument(
        "--zero_shot_score",
        metavar="NAME,NAME",
        help=f"proxies, patterns, or all, of {', '.join(list_proxies())}; or what ranks the networks among each other by "
        f"several of them: {', '.join(NAMED_ENSEMBLES)} or {ENSEMBLE}",
    )
    scores.add_argument(
        "--ensemble",
        default="",
        metavar="A,B",
        help=f"with --zero_shot_score {ENSEMBLE}: the proxies by which networks are ranked among each other "
        f"(default: {','.join(ORDERING_MEMBERS)}, which order networks best)",
    )
    scores.add_argument(
        "--repeat_times",
        type=positive_int,
        default=1,
        metavar="N",
        help="independent repeats, of which the mean counts",
    )
    scores.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the first repeat")
    scores.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images in a batch")
    scores.add_argument("--gamma", type=positive_float, default=1e-2, metavar="X", help="size of Zen's perturbation")
    latency = parser.add_argument_group("latency")
    latency.add_argument("--time", action="store_true", help="measure it here")
    latency.add_argument(
        "--backend",
        type=names,
        default=("torch",),
        metavar="NAME,NAME",
        help=f"what runs networks: of {', '.join(runtime_names())}, or all that are installed (default: torch)",
    )
    latency.add_argument("--latency_table", type=path, metavar="FILE", help="predict it from this table of a device")
    latency.add_argument("--latency_batch_size", type=positive_int, default=1, metavar="N", help="images at once")
    latency.add_argument(
        "--fp16", action="store_true", help="half precision: float16 on a GPU, bfloat16 on a processor"
    )
    latency.add_argument("--threads", type=positive_int, default=1, metavar="N", help="of the processor")


_LOG = logging.getLogger(__name__)


def questions_of(options: Namespace) -> Questions:
    """What the options ask of every network. Raises InputError, UnknownProxyError."""
    chosen = [] if options.zero_shot_score is None else proxies_named(options.zero_shot_score)
    rankings = rankings_among(chosen, options.ensemble)
    if options.latency_table is not None and not options.latency_table.is_file():
        raise InputError(
            f"There is no file {options.latency_table}: --latency_table takes one of benchmark_network_latency.py"
        )
    return Questions(
        view=View(options.input_image_size, options.num_classes, options.use_se, options.unit),
        proxies=tuple(get_proxy(name) for name in scoring(chosen, rankings)),
        rankings=rankings,
        seeds=range(options.seed, options.seed + options.repeat_times),
        batch_size=options.batch_size,
        gamma=options.gamma,
        device=device_name(options.gpu, options.device),
        runtimes=runtimes_named(options.backend) if options.time else (),
        latency_table=options.latency_table,
        latency_batch_size=options.latency_batch_size,
        fp16=options.fp16,
        threads=options.threads,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print and write; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    questions = questions_of(options)
    if options.html is not None:
        plotly_library()
    try:
        # Where nobody watches, what is done within seconds needs no word.
        rare = 0 if sys.stderr.isatty() else 15
        with tqdm(desc="compared", unit=" networks", leave=False, mininterval=rare or 1, delay=rare) as bar:
            found = compare(options.networks, questions, lambda done, of, name: _show_progress(bar, done, of, name))
    except Interrupted as interrupted:
        tell(interrupted.found, options)
        return INTERRUPTED
    tell(found, options)
    return status_of(found.rows)


def status_of(rows: Sequence[Answers]) -> int:
    """0 where a network could be compared, 2 where every one is bad input, 1 where all failed otherwise."""
    if any(row.error is None for row in rows):
        return 0
    return BAD_INPUT if all(row.bad_input for row in rows) else FAILED


def _show_progress(bar: tqdm, done: int, of: int, name: str) -> None:
    bar.total, bar.n = of, done
    bar.set_postfix_str(name[-40:], refresh=False)
    bar.update(0)


def tell(found: Comparison, options: Namespace) -> None:
    """Print what was found, and write the files that were asked for."""
    print(json.dumps(found.to_dict(), allow_nan=False) if options.json else found)
    if options.csv is not None:
        found.to_csv(options.csv)
        say_csv(options.csv)
    if options.html is not None:
        found.to_html(options.html)
        _LOG.info("%s: a page for a browser", options.html)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (UnknownProxyError,))
