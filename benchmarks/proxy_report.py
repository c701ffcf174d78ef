"""How much every zero-shot proxy is worth, measured against real trained accuracies.

    python -m benchmarks.proxy_report --samples 200 --output_dir save_dir/proxy_report_output

NAS-Bench-201 (15,625 cells, three data sets) and NAS-Bench-Macro (6,561 networks): correlations with bootstrap intervals
over networks and spread over seeds, the networks that a proxy puts first, and the winners of an evolution confined to the
benchmark's own space. Scores are kept in --cache_dir, from which an interrupted run continues. The files of the benchmarks
are looked for in the folder that the environment variable GSNET_DATA names; a benchmark whose file is absent is left out,
with a note.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from gsnet.interface.running import FAILED, run
from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.report_benchmarks import SETTINGS, Benchmark, NasBench201, NasBenchMacro, is_instant
from benchmarks.report_csv import merged, read_correlations, read_searches, write_csv
from benchmarks.report_output import plot_scatter, plot_summary, write_summary, write_tables
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
from gsnet.interface.options import InputError, OptionParser, positive_int
from ZeroShotProxy import UnknownProxyError, get_proxy

BENCHMARKS: dict[str, Callable[[Path], Benchmark]] = {
    nas_bench_201.FILE: NasBench201,
    nas_bench_macro.FILE: NasBenchMacro,
}
# Chosen on NAS-Bench-201, CIFAR-10, alone; see docs/proxy_report.md.
ENSEMBLE = "Flops,NASWOT,Syncflow-log"


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument(
        "--benchmark_file", type=Path, nargs="+", metavar="FILE", help="the benchmarks' files, by their own names"
    )
    parser.add_argument("--samples", type=positive_int, default=200, metavar="N", help="networks drawn uniformly")
    parser.add_argument("--proxies", metavar="A,B:N", help="proxies, with :N for at most N networks (default: all)")
    parser.add_argument("--ensemble", default=ENSEMBLE, metavar="A,B", help="members of the rank aggregate")
    parser.add_argument("--sample_seed", type=int, default=0, metavar="N", help="which networks are drawn")
    parser.add_argument("--seeds", type=positive_int, default=3, metavar="N", help="scoring seeds for the spread")
    parser.add_argument(
        "--seed_samples", type=positive_int, default=50, metavar="N", help="networks scored with every seed"
    )
    parser.add_argument("--resamples", type=positive_int, default=500, metavar="N", help="resamples for the intervals")
    parser.add_argument("--searches", type=int, default=20, metavar="N", help="searches for each proxy, 0 for none")
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
        help="keep the rows in --output_dir that this run does not make, and with --proxies its scatter plots",
    )
    parser.add_argument(
        "--cache_dir", type=Path, default=Path("save_dir/proxy_report"), metavar="FOLDER", help="scores so far"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("docs/proxy_report"), metavar="FOLDER", help="tables and plots"
    )
    return parser.parse_args(argv)


def benchmark_files(options: Namespace) -> list[Path]:
    """The files to use; those that are looked for in the data folder may be absent. Raises InputError."""
    if options.benchmark_file:
        for path in options.benchmark_file:
            if path.name not in BENCHMARKS:
                raise InputError(f"{path} is no benchmark: it must be called {' or '.join(BENCHMARKS)}")
            if not path.is_file():
                raise InputError(f"There is no file {path}")
        return options.benchmark_file
    folder = Path(os.environ.get("GSNET_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
    present = [folder / name for name in BENCHMARKS if (folder / name).is_file()]
    for name in BENCHMARKS:
        if folder / name not in present:
            print(f"skipped: {folder / name} does not exist (set GSNET_DATA or --benchmark_file)", file=sys.stderr)
    return present


def proxy_limits(options: Namespace, benchmark: Benchmark) -> dict[str, int]:
    """The proxies that can be used on a benchmark, and how many networks each scores. Raises InputError."""
    if not options.proxies:
        return dict.fromkeys(benchmark.proxies, options.samples)
    counts = parse_counts("--proxies", options.proxies)
    for name in counts:
        get_proxy(name)
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


def measure(scores: Scores, options: Namespace) -> tuple[list[CorrelationRow], list[SearchRow]]:
    """All rows of one benchmark, and its scatter plot."""
    benchmark = scores.benchmark
    limits = proxy_limits(options, benchmark)
    sample = benchmark.sample(options.samples, options.sample_seed)
    for proxy, limit in limits.items():
        scores.score_all(benchmark.keys if is_instant(proxy) else sample[:limit], proxy)
        for seed in range(1, options.seeds):
            scores.score_all(sample[: min(limit, options.seed_samples)], proxy, seed)
    chosen = candidates(limits, options.ensemble.split(",") if options.ensemble else ())
    correlations = list(
        correlation_rows(scores, chosen, sample, range(options.seeds), options.seed_samples, options.resamples)
    )
    # A picture cannot keep the panels of proxies that this run leaves out.
    if not (options.update and options.proxies):
        plot_scatter(options.output_dir / f"scatter_{benchmark.name}.png", scores, chosen, sample)
    searches: list[SearchRow] = []
    counts = parse_counts("--search_proxies", options.search_proxies) if options.search_proxies else None
    for candidate, plan in search_plans(chosen, counts, options.search_networks, options.searches):
        print(f"{benchmark.name}: searching with {candidate.name}", file=sys.stderr)
        searches += search_rows(scores, candidate, plan)
        scores.flush()
    return correlations, searches


def notes(options: Namespace, searches: Sequence[SearchRow]) -> str:
    """What the summary's figures are made of."""
    members = options.ensemble.replace(",", ", ")
    others = sorted({f"{row.proxy}: {row.networks}" for row in searches if row.networks != options.search_networks})
    seeds = max((row.seeds for row in searches), default=0)
    return (
        "Correlations, argmax and top 1 % on a uniform sample of n networks, with 95 % bootstrap intervals. Search winner: "
        f"mean accuracy ± standard deviation over {seeds} evolutions, each of "
        f"{'; '.join((f'{options.search_networks} networks', *others))}. Ensemble: sum of log ranks over {members}. "
        f"Batch {SETTINGS.batch_size}, 32 x 32."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every benchmark that is there and write the report."""
    import torch

    options = parse_options(argv)
    # Times a network are those of one core.
    torch.set_num_threads(1)
    files = benchmark_files(options)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    correlations: list[CorrelationRow] = []
    searches: list[SearchRow] = []
    for path in files:
        benchmark = BENCHMARKS[path.name](path)
        scores = Scores(benchmark, options.cache_dir / f"{benchmark.name}.csv")
        try:
            rows = measure(scores, options)
        finally:
            scores.close()
        correlations += rows[0]
        searches += rows[1]
    if options.update:
        correlations = merged(read_correlations(options.output_dir), correlations)
        searches = merged(read_searches(options.output_dir), searches)
    if not correlations:
        print("nothing was measured: no benchmark file, or none of the proxies fits", file=sys.stderr)
        return FAILED
    write_csv(options.output_dir, correlations, searches)
    write_tables(options.output_dir / "tables.md", correlations, searches)
    write_summary(options.output_dir / "summary.md", correlations, searches, notes(options, searches))
    plot_summary(options.output_dir / "summary.png", correlations, searches)
    print((options.output_dir / "summary.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, (UnknownProxyError,)))
