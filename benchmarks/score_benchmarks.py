"""Score all networks of a benchmark with a proxy, in the background, and keep the scores in the repository.

    GSNET_DATA=FOLDER nohup python -m benchmarks.score_benchmarks --proxy MeCo,NASWOT &
    python -m benchmarks.score_benchmarks --proxy all --benchmark NAS-Bench-Macro --minutes 60

Networks come in random order, so that what is done after any time is a uniform sample. Every score is in --cache_dir at once; a
run that was killed goes on where it was, and so does one on another machine, from the tables in --output_dir, which are written
every few minutes and at the end (benchmarks/score_tables.py says how). The process has the lowest priority unless --nice says
otherwise. `all` are the proxies that take less than a second a network, cheapest first; a proxy that is done is skipped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tqdm import tqdm

from gsnet.interface.running import run
from benchmarks import score_tables
from benchmarks.benchmark_files import open_benchmarks
from benchmarks.report_benchmarks import SETTINGS, Benchmark, is_instant
from benchmarks.report_scores import Scores
from benchmarks.score_tables import ScoreTable
from gsnet.interface.options import FAILED, InputError, OptionParser, positive_float, positive_int
from ZeroShotProxy import UnknownProxyError, get_proxy

_SECONDS_BETWEEN_TABLES = 300
# Seconds a network: not among `all`.
_SLOW = {"TE-NAS-NTK"}


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--proxy", required=True, metavar="A,B", help="proxies, or all")
    parser.add_argument("--benchmark", metavar="NAME", help="NAS-Bench-201 or NAS-Bench-Macro alone (default: both)")
    parser.add_argument("--benchmark_file", type=Path, nargs="+", metavar="FILE", help="the benchmarks' files")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="no more than N networks of a benchmark")
    parser.add_argument(
        "--minutes", type=positive_float, metavar="N", help="stop after this time; the next run goes on"
    )
    parser.add_argument("--nice", type=int, default=19, metavar="N", help="lower the priority by this much")
    parser.add_argument(
        "--cache_dir", type=Path, default=Path("save_dir/scores"), metavar="FOLDER", help="scores so far"
    )
    parser.add_argument("--output_dir", type=Path, default=score_tables.FOLDER, metavar="FOLDER", help="tables")
    return parser.parse_args(argv)


def chosen_proxies(text: str, benchmark: Benchmark) -> list[str]:
    """The proxies to score a benchmark with. Raises UnknownProxyError."""
    if text == "all":
        return [name for name in benchmark.proxies if not is_instant(name) and name not in _SLOW]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        get_proxy(name, aggregates=())
    return [name for name in names if name in benchmark.proxies]


class _Stop:
    """Asks the loop to end: after a time, or when the process is told to."""

    def __init__(self, minutes: float | None) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else None
        self._told = False
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)

    def _tell(self, number: int, frame: object) -> None:
        self._told = True

    def __bool__(self) -> bool:
        return self._told or (self._end is not None and time.monotonic() > self._end)


def score_all(benchmark: Benchmark, proxy: str, options: Namespace, stop: _Stop) -> ScoreTable:
    """Score what is missing, until it is complete or the process has to stop."""
    known = score_tables.read_table(options.output_dir, benchmark.name, proxy, benchmark.keys)
    if known is not None and known.complete:
        return known
    done = dict(known.scores) if known else {}
    cache = Scores(benchmark, options.cache_dir / benchmark.name / f"{proxy}.csv", tables=None)
    try:
        keys = benchmark.sample(options.limit or len(benchmark.keys), seed=0)
        table = _table(cache, proxy, keys, known)
        written = time.monotonic()
        for key in _progress([k for k in keys if k not in table.scores], f"{benchmark.name} {proxy}", stop):
            cache.entry(key, proxy)
            if time.monotonic() - written > _SECONDS_BETWEEN_TABLES:
                _table(cache, proxy, keys, known).write(options.output_dir, benchmark.keys)
                written = time.monotonic()
        table = _table(cache, proxy, keys, known)
        if len(table.scores) > len(done):
            table.write(options.output_dir, benchmark.keys)
        return table
    finally:
        cache.close()


def _progress(keys: list[str], name: str, stop: _Stop) -> Iterator[str]:
    for key in tqdm(keys, desc=name, disable=None):
        if stop:
            return
        yield key


def _table(cache: Scores, proxy: str, keys: Sequence[str], known: ScoreTable | None) -> ScoreTable:
    entries = {key: cache.entry(key, proxy) for key in keys if cache.has(key, proxy)}
    scores = {key: entry.score for key, entry in entries.items()}
    failures = Counter(entry.reason for entry in entries.values() if entry.reason)
    seconds = [entry.seconds for entry in entries.values()]
    if known:
        new = [key for key in known.scores if key not in scores]
        scores |= {key: known.scores[key] for key in new}
        lost = sum(known.scores[key] == -float("inf") for key in new)
        failures += Counter({reason: min(count, lost) for reason, count in known.failures.items()})
    return ScoreTable(
        cache.benchmark.name,
        proxy,
        scores,
        len(cache.benchmark.keys),
        1e3 * median(seconds) if seconds else known.milliseconds if known else 0.0,
        resolution=SETTINGS.resolution,
        batch_size=SETTINGS.batch_size,
        failures=dict(failures),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Score, and print a line for each benchmark and proxy."""
    import torch

    options = parse_options(argv)
    os.nice(options.nice)
    torch.set_num_threads(1)
    stop = _Stop(options.minutes)
    benchmarks = [b for b in open_benchmarks(options.benchmark_file) if options.benchmark in (None, b.name)]
    if not benchmarks:
        raise InputError("There is no benchmark to score: see --benchmark, --benchmark_file and GSNET_DATA")
    for benchmark in benchmarks:
        for proxy in chosen_proxies(options.proxy, benchmark):
            if stop:
                return FAILED
            table = score_all(benchmark, proxy, options, stop)
            count = f"{len(table.scores):,} of {table.networks:,} networks"
            sys.stdout.write(f"{benchmark.name} {proxy}: {count}, {table.milliseconds:.3g} ms each\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(main, (UnknownProxyError,)))
