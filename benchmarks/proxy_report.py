"""How much every zero-shot proxy is worth, measured against real trained accuracies.

    python -m benchmarks.proxy_report --samples 200 --output_dir save_dir/proxy_report_output

NAS-Bench-201 (15,625 cells, three data sets) and NAS-Bench-Macro (6,561 networks): correlations, over all networks where
benchmarks/scores holds them (benchmarks.score_benchmarks fills it) and over a sample with bootstrap intervals and spread over
seeds; the networks that a proxy puts first among N scored ones, beside an oracle's and chance; and the winners of an evolution
confined to the benchmark's own space. Scores that are made here are kept in --cache_dir, from which an interrupted run
continues; --from_tables writes the pages again from the figures of an earlier run. Files of benchmarks are looked for in
the folder that the environment variable GSNET_DATA names; one that is absent is left out, with a note.

A benchmark of your own is a CSV file with the columns structure,accuracy, the structures in double quotes for their commas, and
accuracies in percent:

    python -m benchmarks.proxy_report --benchmark_file table.csv --input_image_size 64 --num_classes 100 --output_dir mine
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gsnet.interface.running import run
from benchmarks import score_tables
from benchmarks.benchmark_files import open_benchmarks
from benchmarks.pages import replace_section
from benchmarks.report_benchmarks import SETTINGS, Benchmark, is_instant
from benchmarks.report_csv import merged, read_correlations, read_searches, read_winners, write_csv
from benchmarks.report_output import plot_scatter, plot_summary, write_tables
from benchmarks.report_rows import (
    SHORT_SEARCHES,
    CorrelationRow,
    SearchRow,
    candidates,
    correlation_rows,
    search_plans,
    search_rows,
)
from benchmarks.report_scores import Scores
from benchmarks.report_summary import write_summary
from benchmarks.report_winners import WinnerRow, winner_rows
from benchmarks.structure_table import StructureTable
from gsnet.evolution.ensemble import DEFAULT_MEMBERS
from gsnet.interface.files import check_writable
from gsnet.interface.options import FAILED, InputError, not_negative, positive_int, seed
from gsnet.interface.script_options import script_parser
from ZeroShotProxy import UnknownProxyError, get_proxy, list_proxies

WINNER_SEEDS = 20
ROOT = Path(__file__).resolve().parent.parent
# The repository's report is of all benchmarks, and no place for that of some files.
OUTPUT, OUTPUT_OF_FILES = Path("docs/proxy_report"), Path("save_dir/proxy_report_output")
# Pages that have the summary, and their headings of it.
PAGES = {"docs/proxy_report.md": "### ", "README.md": "#### "}


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.add_argument(
        "--benchmark_file",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="the benchmarks' files, by their own names, or tables with the columns structure,accuracy",
    )
    parser.add_argument(
        "--input_image_size", type=positive_int, default=32, metavar="PIXELS", help="for tables: height and width"
    )
    parser.add_argument("--num_classes", type=positive_int, default=10, metavar="N", help="for tables: classes")
    parser.add_argument(
        "--scores", type=Path, default=score_tables.FOLDER, metavar="FOLDER", help="tables of all networks' scores"
    )
    parser.add_argument("--samples", type=positive_int, default=200, metavar="N", help="networks drawn uniformly")
    parser.add_argument("--proxies", metavar="A,B:N", help="proxies, with :N for at most N networks (default: all)")
    parser.add_argument(
        "--ensemble", default=",".join(DEFAULT_MEMBERS), metavar="A,B", help="members of the rank aggregate"
    )
    parser.add_argument("--sample_seed", type=seed, default=0, metavar="N", help="which networks are drawn")
    parser.add_argument("--seeds", type=positive_int, default=3, metavar="N", help="scoring seeds for the spread")
    parser.add_argument(
        "--seed_samples", type=positive_int, default=50, metavar="N", help="networks scored with every seed"
    )
    parser.add_argument("--resamples", type=positive_int, default=500, metavar="N", help="resamples for the intervals")
    parser.add_argument(
        "--searches", type=not_negative, default=20, metavar="N", help="searches for each proxy, 0 for none"
    )
    parser.add_argument(
        "--search_networks", type=positive_int, default=64, metavar="N", help="networks a search scores"
    )
    short = ", ".join(f"{name}:{count}" for name, count in SHORT_SEARCHES.items())
    parser.add_argument(
        "--search_proxies",
        metavar="A,B:N",
        help=f"proxies that search, with :N for N networks instead of --search_networks (default: all, {short})",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="keep the rows in --output_dir that this run does not make, and its scatter plots unless all proxies are scored",
    )
    parser.add_argument(
        "--from_tables",
        action="store_true",
        help="measure nothing: write everything but scatter plots again from the CSV files in --output_dir",
    )
    parser.add_argument(
        "--cache_dir", type=Path, default=Path("save_dir/proxy_report"), metavar="FOLDER", help="scores so far"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        metavar="FOLDER",
        help=f"tables and plots (default: {OUTPUT}, with --benchmark_file {OUTPUT_OF_FILES})",
    )
    parser.add_argument(
        "--pages",
        action="store_true",
        help=f"put the summary into {' and '.join(PAGES)}, which are those of all proxies",
    )
    options = parser.parse_args(argv)
    if options.output_dir is None:
        options.output_dir = OUTPUT_OF_FILES if options.benchmark_file else OUTPUT
    return options


def refuse_limits(options: Namespace) -> None:
    """The report puts the largest score first. Raises InputError for a proxy of which more is not better, UnknownProxyError."""
    asked = [*parse_counts("--proxies", options.proxies or ""), *options.ensemble.split(",")]
    for name in (*asked, *parse_counts("--search_proxies", options.search_proxies or "")):
        if name in list_proxies() and not get_proxy(name).larger_is_better:
            raise InputError(
                f"The report puts the largest score first, and of {name} more is not better: leave it out, or name GrowthMargin"
            )


def proxy_limits(options: Namespace, benchmark: Benchmark) -> dict[str, int]:
    """The proxies that can be used on a benchmark, and how many networks each scores. Raises InputError."""
    if not options.proxies:
        return dict.fromkeys(benchmark.proxies, options.samples)
    counts = parse_counts("--proxies", options.proxies)
    for name in counts:
        get_proxy(name, aggregates=())
    return {
        name: min(count or options.samples, options.samples)
        for name, count in counts.items()
        if name in benchmark.proxies
    }


def parse_counts(option: str, text: str) -> dict[str, int | None]:
    """The counts of "A,B:N" by name, None where there is none. Raises InputError."""
    counts: dict[str, int | None] = {}
    for item in text.split(","):
        name, colon, count = item.strip().partition(":")
        if colon and not (count.isdigit() and int(count)):
            raise InputError(f"{option} {item}: write NAME or NAME:N")
        counts[name] = int(count) if count else None
    return counts


class Rows(NamedTuple):
    """What the report is made of."""

    correlations: list[CorrelationRow]
    searches: list[SearchRow]
    winners: list[WinnerRow]


def measure(scores: Scores, options: Namespace) -> Rows:
    """All rows of one benchmark, and its scatter plot."""
    benchmark = scores.benchmark
    limits = proxy_limits(options, benchmark)
    sample = benchmark.sample(options.samples, options.sample_seed)
    for proxy, limit in limits.items():
        scores.score_all(benchmark.keys if is_instant(proxy) else sample[:limit], proxy)
        for number in range(1, options.seeds):
            scores.score_all(sample[: min(limit, options.seed_samples)], proxy, number)
    chosen = candidates(limits, options.ensemble.split(",") if options.ensemble else ())
    correlations = list(
        correlation_rows(scores, chosen, sample, range(options.seeds), options.seed_samples, options.resamples)
    )
    # A picture cannot keep the panels of proxies that this run leaves out.
    if not options.update or set(benchmark.proxies) <= set(limits):
        plot_scatter(options.output_dir / f"scatter_{benchmark.name}.png", scores, chosen, sample)
    winners = list(winner_rows(scores, chosen, seeds=WINNER_SEEDS))
    searches: list[SearchRow] = []
    if not benchmark.has_neighbours:
        return Rows(correlations, searches, winners)
    counts = parse_counts("--search_proxies", options.search_proxies) if options.search_proxies else None
    for candidate, plan in search_plans(chosen, counts, options.search_networks, options.searches):
        print(f"{benchmark.name}: searching with {candidate.name}", file=sys.stderr)
        searches += search_rows(scores, candidate, plan)
        scores.flush()
    return Rows(correlations, searches, winners)


def notes(options: Namespace, searches: Sequence[SearchRow]) -> str:
    """What the summary's figures are made of."""
    members = options.ensemble.replace(",", ", ")
    others = sorted({f"{row.proxy}: {row.networks}" for row in searches if row.networks != options.search_networks})
    seeds = max((row.seeds for row in searches), default=0)
    parts = [
        "Correlations over n networks, with 95 % bootstrap intervals where n is a sample. Accuracies in percent. Top 1 %: mean "
        "accuracy of the hundredth of the n networks that the proxy puts first. Winner of N: the network with the best "
        f"score of N drawn ones, mean over {WINNER_SEEDS} draws; Oracle knows the accuracies, Random scores by lot.",
        f"Winner of an evolution: mean over {seeds} searches, each of "
        f"{'; '.join((f'{options.search_networks} networks', *others))}."
        if searches
        else "",
        f"Ensemble: sum of log ranks over {members}." if members else "",
        f"Batch {SETTINGS.batch_size}, {options.input_image_size} x {options.input_image_size}.",
    ]
    return " ".join(part for part in parts if part)


def measured(options: Namespace) -> Rows:
    """The rows of all benchmarks that are there, whose tables and scatter plots go to --output_dir."""
    import torch

    # Times a network are those of one core.
    torch.set_num_threads(1)
    settings = replace(SETTINGS, resolution=options.input_image_size, num_classes=options.num_classes)
    made = Rows([], [], [])
    for benchmark in open_benchmarks(options.benchmark_file, settings):
        # A table of one's own may have any name.
        tables = None if isinstance(benchmark, StructureTable) else options.scores
        scores = Scores(benchmark, options.cache_dir / f"{benchmark.cache_name}.csv", tables)
        try:
            rows = measure(scores, options)
        finally:
            scores.close()
        made.correlations.extend(rows.correlations)
        made.searches.extend(rows.searches)
        made.winners.extend(rows.winners)
    return made


def kept(folder: Path) -> Rows:
    """The rows of an earlier run."""
    return Rows(read_correlations(folder), read_searches(folder), read_winners(folder))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every benchmark that is there and write the report."""
    options = parse_options(argv)
    refuse_limits(options)
    # Made when there is something to write.
    check_writable(options.output_dir / "summary.md")
    rows = kept(options.output_dir) if options.from_tables else measured(options)
    if options.update and not options.from_tables:
        earlier = kept(options.output_dir)
        rows = Rows(
            merged(earlier.correlations, rows.correlations),
            merged(earlier.searches, rows.searches),
            merged(earlier.winners, rows.winners),
        )
    if not rows.correlations:
        absent = "no benchmark file, or none of the proxies fits"
        print(
            f"no figures in {options.output_dir}" if options.from_tables else f"nothing was measured: {absent}",
            file=sys.stderr,
        )
        return FAILED
    write_csv(options.output_dir, *rows)
    # With the digits that are kept, so that the pages can be written again from them.
    rows = kept(options.output_dir)
    write_tables(options.output_dir / "tables.md", *rows)
    write_summary(options.output_dir / "summary.md", *rows, notes(options, rows.searches))
    plot_summary(options.output_dir / "summary.png", rows.correlations, rows.searches)
    summary = (options.output_dir / "summary.md").read_text(encoding="utf-8")
    print(summary)
    if options.pages:
        for page, heading in PAGES.items():
            replace_section(ROOT / page, "worth of proxies", summary.replace("### ", heading))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, (UnknownProxyError,)))
