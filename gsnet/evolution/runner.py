"""A search from its folder to its outputs: start or resume, progress, interruption, report."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gsnet.evolution.curves import Curves
from gsnet.evolution.ensemble import scoring_proxies
from gsnet.evolution.executors import CandidateExecutor, TlsFiles, make_executor
from gsnet.evolution.history import DATABASE, History
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.report import BEST_STRUCTURE, write_config, write_outputs
from gsnet.evolution.scorer import measured_latency
from gsnet.evolution.search import Search, SearchFailed, check_initial
from gsnet.evolution.settings import SearchError, SearchSettings
from gsnet.evolution.verification import VERIFIED, verify_top
from gsnet.latency.device import device_identity
from gsnet.latency.table import LatencyTable
from PlainNet import Network
from ZeroShotProxy import Needs, get_proxy

log = logging.getLogger(__name__)
_ITERATIONS_BETWEEN_LOGS = 1_000
_SECONDS_BETWEEN_LOGS = 1.0


class Interrupted(Exception):  # noqa: N818 - a state of affairs, not a programming error
    """A search that a signal stopped; everything so far is committed. `status` is the process's exit status."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + number


def has_result(folder: Path) -> bool:
    """Whether a folder holds a finished search's winner."""
    return (folder / BEST_STRUCTURE).exists()


def clear(folder: Path) -> None:
    """Remove what a search wrote into a folder; other files stay."""
    names = (
        BEST_STRUCTURE,
        "best.json",
        "config.json",
        "history.csv",
        "pareto.csv",
        "pareto.png",
        "search.png",
        VERIFIED,
    )
    for name in (*names, "evolution_search.log", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class RunOptions:
    """How a search runs; nothing here changes its result.

    workers: scoring processes on this machine. scheduler: address of a Dask scheduler in their place, with tls files.
    verify_top: how many of the best are re-scored by Monte-Carlo Zen at the end. quiet: no progress bar.
    """

    resume: bool = False
    workers: int = 1
    scheduler: str | None = None
    tls: TlsFiles | None = None
    tensorboard: bool = False
    verify_top: int = 0
    quiet: bool = False


def run_search(settings: SearchSettings, folder: Path, options: RunOptions, arguments: list[str]) -> dict:
    """Search and write the outputs; returns the content of best.json.

    Raises SearchError (options or folder), SearchFailed (no result) and Interrupted.
    """
    proposer = make_proposer(settings)
    check_initial(settings, proposer.initial)
    history = open_history(settings, folder, options.resume)
    executor: CandidateExecutor | None = None
    try:
        executor = make_executor(settings, options.workers, options.scheduler, options.tls)
        write_config(folder, settings, arguments)
        search = Search(settings, proposer, executor, history)
        _run(search, history, folder, options)
        if search.best is None:
            raise SearchFailed(search.nothing_scored())
        history.finished = True
        measure_winner(settings, history, search.best.network)
        summary = _outputs(folder, history) or {}
        if options.verify_top:
            best = verify_top(folder, history, options.verify_top)[0].monte_carlo
            summary["verified"] = (
                {"zen_mean": best.mean, "zen_std": best.std, "seeds": len(best.scores)} if best else None
            )
        return summary
    finally:
        if executor is not None:
            executor.close()
        history.close()


def measure_winner(settings: SearchSettings, history: History, winner: Network) -> None:
    """Measure the latency of a predicted search's winner, where the table is of the device at hand."""
    if settings.latency_table is None or history.measured_latency(winner.text) is not None:
        return
    with LatencyTable.open(Path(settings.latency_table)) as table:
        identity = device_identity(settings.device)
        if table.device != identity:
            log.info(
                "latencies are those of %s by its table; this is %s, on which nothing was timed", table.device, identity
            )
            return
    history.add_measured_latency(winner.text, measured_latency(settings, winner, precision=0.02))


def _outputs(folder: Path, history: History) -> dict | None:
    """`write_outputs`, of which a full disk is said as one of the search is. Raises SearchError."""
    try:
        return write_outputs(folder, history)
    except OSError as error:
        raise SearchError(
            f"{error.filename or folder}: {error.strerror}. The search itself is safe: free the disk, then use --resume"
        ) from error


def open_history(settings: SearchSettings, folder: Path, resume: bool) -> History:
    """A new history, or with `resume` the one that the folder holds. Raises SearchError."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATABASE).exists():
        return History.create(folder, settings)
    if not resume:
        raise SearchError(
            f"{folder} holds an unfinished search: continue it with --resume, or start anew with --overwrite"
        )
    history = History.open(folder)
    if not history.can_continue:
        history.close()
        raise SearchError(
            f"{folder} was begun by an older version, which drew other candidates: --report {folder} shows what it found, "
            "--overwrite starts anew"
        )
    if differences := settings.differences(history.settings):
        history.close()
        raise SearchError(f"--resume continues a search as it was, but {'; '.join(differences)}")
    history.settings = settings
    return history


def report(folder: Path) -> dict:
    """Re-make every output of a folder from its database; returns the content of best.json."""
    history = History.open(folder)
    try:
        summary = write_outputs(folder, history)
    finally:
        history.close()
    if summary is None:
        raise SearchFailed(f"{folder} holds no scored candidate")
    return summary


def _run(search: Search, history: History, folder: Path, options: RunOptions) -> None:
    begun, since_log, logged_at = time.monotonic(), 0, 0.0
    curves = Curves(folder) if options.tensorboard else None
    start = search.progress.next_iteration
    if start:
        log.info("resuming at iteration %d: %s", start, search.progress.describe())
    with (
        _stop_requested() as stop,
        without_collector() if is_value_only(search.settings) else nullcontext(),
        tqdm(
            total=search.settings.evolution_max_iter,
            initial=start,
            unit="it",
            disable=options.quiet or not sys.stderr.isatty(),
            smoothing=0.05,
        ) as bar,
    ):
        try:
            while not search.finished and not stop:
                before = search.progress.next_iteration
                search.advance()
                since_log += search.progress.next_iteration - before
                if since_log >= _ITERATIONS_BETWEEN_LOGS:
                    bar.update(since_log)
                    since_log = 0
                    if time.monotonic() - logged_at >= _SECONDS_BETWEEN_LOGS:
                        logged_at = time.monotonic()
                        _log_progress(search, begun, bar)
                        if curves:
                            curves.add(search)
        finally:
            history.commit()
            if curves:
                curves.add(search)
                curves.close()
        bar.update(since_log)
    _log_progress(search, begun, bar)
    if stop and not search.finished:
        done = search.progress.next_iteration
        raise Interrupted(stop[0], f"stopped after {done:,} iterations; continue with --resume --save_dir {folder}")


def _log_progress(search: Search, begun: float, bar: tqdm) -> None:
    progress, population, winner = search.progress, search.population, search.best
    count = f"loop_count={progress.next_iteration}/{search.settings.evolution_max_iter}"
    if winner is None:
        log.info("%s, %s", count, progress.describe())
        return
    best, worst, hours = winner.score, population.lowest_score, (time.monotonic() - begun) / 3600
    bar.set_postfix_str(f"best {best:.4g}, worst {worst:.4g}", refresh=False)
    if bar.disable:
        log.info("%s, max_score=%.6g, min_score=%.6g, time=%.4fh, %s", count, best, worst, hours, progress.describe())
        log.info("structure: %s", winner.network)


def is_value_only(settings: SearchSettings) -> bool:
    """Whether the search builds no module."""
    needs = {get_proxy(name).needs for name in scoring_proxies(settings)}
    return needs == {Needs.VALUE} and not settings.measures_latency


@contextmanager
def without_collector() -> Iterator[None]:
    """No cyclic garbage collection: values make no cycles, and looking for them takes a third of the time."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def _stop_requested() -> Iterator[list[int]]:
    """A list that receives the number of an interrupting signal; the round under way is finished first."""
    stop: list[int] = []
    previous = {
        number: signal.signal(number, lambda n, _: stop.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
