"""A search from its folder to its outputs: start or resume, progress, interruption, report."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path

from gsnet.evolution.curves import tracking_of
from gsnet.evolution.history import History
from gsnet.evolution.judging import SearchFailed
from gsnet.evolution.progress import Reporter
from gsnet.evolution.report import write_outputs
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import SearchSettings

log = logging.getLogger(__name__)


class Interrupted(Exception):  # noqa: N818 - a state of affairs, not a programming error
    """A search that a signal stopped; everything so far is committed. `status` is the process's exit status."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + number


def run_search(settings: SearchSettings, folder: Path, options: RunOptions, arguments: list[str]) -> dict:
    """Search and write the outputs; returns the content of best.json.

    Raises SearchError (options or folder), SearchFailed (it cannot go on, or nothing was scored; the outputs are written as
    far as there is something to write) and Interrupted.
    """
    with ExitStack() as opened:
        # Before the session is opened: that may compile, and what an interrupt raises in numba's callbacks is lost.
        with stop_requested(signal.SIGINT, signal.SIGTERM) as stop:
            try:
                with stop.raised():
                    session = opened.enter_context(closing(Session(settings, folder, options, arguments=arguments)))
            except KeyboardInterrupt:
                if not stop:
                    raise
                raise Interrupted(stop[0], "stopped before its first iteration") from None
            _run_all_rounds(session, folder, options, stop)
        search = session.search
        if stop and not search.finished:
            done = search.progress.next_iteration
            raise Interrupted(stop[0], f"stopped after {done:,} iterations; continue with --resume --save_dir {folder}")
        if search.exhausted:
            log.info("%s", search.why_exhausted())
        summary = session.finish(options.verify_top)
        if search.best is None:
            raise SearchFailed(search.nothing_scored())
        return summary


def _run_all_rounds(session: Session, folder: Path, options: RunOptions, stop: Sequence[int]) -> None:
    """Rounds with their progress, until the search is finished or a signal is in `stop`. Raises SearchFailed."""
    bar = not options.quiet and sys.stderr.isatty()
    session.say_how(log)
    try:
        with (
            without_collector() if session.is_value_only else nullcontext(),
            tracking_of(session.search, folder, options.log) as tracking,
            Reporter(session.search, log, bar, tracking) as reporter,
        ):
            run_rounds(session, reporter, lambda: bool(stop))
    except SearchFailed as failure:
        session.finish()
        raise SearchFailed(f"{failure}. What was found so far is in {folder}") from failure


def run_rounds(
    session: Session, reporter: Reporter, stop: Callable[[], bool], after_round: Callable[[], object] | None = None
) -> None:
    """Rounds until the search is finished or is to stop. Whatever happens, what was recorded is committed."""
    search, progress = session.search, session.search.progress
    try:
        while not search.finished and not stop():
            before = progress.next_iteration
            if after_round:
                search.advance_round()
                after_round()
            else:
                search.advance()
            reporter.advanced(progress.next_iteration - before)
    finally:
        session.history.commit()


def report(folder: Path) -> dict:
    """Re-make every output of a folder from its database; returns the content of best.json."""
    history = History.open(folder)
    try:
        summary = write_outputs(folder, history)
    finally:
        history.close()
    if summary is None:
        raise SearchFailed(f"{folder} holds no scored candidate: history.csv there says what became of proposals")
    return summary


@contextmanager
def without_collector() -> Iterator[None]:
    """No cyclic garbage collection: values make no cycles, and looking for them takes a third of the time."""
    if not gc.isenabled() or gc.get_freeze_count():
        # Somebody else has seen to it.
        yield
        return
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class StopRequests(list[int]):
    """The numbers of the interrupting signals that have come."""

    def __init__(self) -> None:
        super().__init__()
        self._raises = False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Within it a signal raises KeyboardInterrupt besides: nothing there has to be finished first."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def take(self, number: int, _: object) -> None:
        """Handle a signal."""
        self.append(number)
        if self._raises:
            raise KeyboardInterrupt


@contextmanager
def stop_requested(*numbers: signal.Signals) -> Iterator[StopRequests]:
    """A list that receives the number of an interrupting signal; the round under way is finished first.

    Signals reach the main thread alone: in any other one the list stays empty.
    """
    stop = StopRequests()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, stop.take) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            # None: a handler of some library's that is not written in Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
