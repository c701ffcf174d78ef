"""A search from Python: run, or asked and told."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Self, Unpack

from gsnet.api.keywords import FLAGS, SearchOptions, Start
from gsnet.api.naming import in_words_of_python
from gsnet.api.options import Plan, plan
from gsnet.evolution.asking import Asking, Score
from gsnet.evolution.curves import tracking_of
from gsnet.evolution.folder import LOG, is_done
from gsnet.evolution.judging import SearchFailed
from gsnet.evolution.progress import Reporter
from gsnet.evolution.result import SearchResult
from gsnet.evolution.runner import run_rounds, stop_requested, without_collector
from gsnet.evolution.running import Running
from gsnet.evolution.session import Session
from gsnet.evolution.settings import TOLD, SearchError
from gsnet.interface.options import InputError
from PlainNet import Network

Callback = Callable[[Running], object]


def search(
    start: Start | Iterable[Start] | None = None,
    *,
    callback: Callback | None = None,
    progress: bool = False,
    **options: Unpack[SearchOptions],
) -> SearchResult:
    """Search, and return what was found. `gsnet.Search` has the options.

    start: the structure to start from, a text or a network, or several of them, or the candidates of another result, such as
    `gsnet.load(folder).pareto`; without it first candidates are random networks. callback: is called after every round with
    `Running`, which says how far the search is and can stop it. progress: show a progress bar.

    A Ctrl-C ends the search after the round under way, and raises KeyboardInterrupt. Raises InputError where an option is
    wrong, ValueError where a name, a file or a structure is, SearchFailed where nothing can be found, and whatever a function
    of yours raises.
    """
    with Search(start, **options) as opened:
        return opened.run(callback, progress=progress)


class Search:
    """One search: `run` scores its candidates here, `ask` and `tell` leave the scoring to you. Close it, or use `with`.

    Threads may share one, and any number may be open at once. The options are those of `SearchOptions`.
    """

    def __init__(self, start: Start | Iterable[Start] | None = None, **options: Unpack[SearchOptions]) -> None:
        with _in_words_of_python():
            self._plan = plan(start, options)
        self._lock = threading.RLock()
        self._closed = False
        # The iteration up to which the outputs in the results folder go.
        self._concluded_at = -1
        with _in_words_of_python():
            self._session = _open(self._plan)
        try:
            self._asking = Asking(self._session)
        except BaseException:
            self._session.close()
            raise

    def run(self, callback: Callback | None = None, *, progress: bool = False) -> SearchResult:
        """Score candidates by the proxy to the last iteration, or until the callback stops; see `gsnet.search`."""
        with self._lock:
            self._check_open()
            if callback is not None and not callable(callback):
                raise InputError(f"callback is {callback!r}: it must be a function of the search's progress")
            if self._plan.settings.zero_shot_score == TOLD:
                raise InputError("This search has no proxy: name one, or ask for networks and tell their scores")
            if self._asking.under_way:
                raise InputError("Networks that were asked for wait for their scores: tell these first")
            try:
                interrupted = self._run(callback, progress)
            except SearchFailed as failure:
                self._session.finish()
                raise SearchFailed(in_words_of_python(str(failure), FLAGS)) from failure
            except BaseException:
                # A function of the user's has failed in the middle of a round, which is proposed again if anyone goes on.
                self._session.take_up_again()
                raise
            if interrupted:
                raise KeyboardInterrupt
            self._conclude()
            if self._session.search.best is None:
                raise SearchFailed(in_words_of_python(self._session.search.nothing_scored(), FLAGS))
            return self.result()

    def ask(self, n: int | None = None) -> list[Network]:
        """Up to `n` networks to be scored, none of which was given before; without `n` all of the round under way.

        A round is drawn from one population, so there are at most `round_size` until these are told: an empty list means
        that scores are awaited, or that the search is `finished`.
        """
        if n is not None and n < 1:
            raise InputError(f"n is {n}: ask for at least one network")
        with self._lock:
            self._check_open()
            return self._asking.ask(n)

    def tell(
        self,
        network: Network | str,
        score: Score | None,
        *,
        reason: str = "",
        latency: float | None = None,
        seconds: float = 0.0,
    ) -> None:
        """The score of a network that was asked for, the larger the better; it is safe on disk at once.

        score: None, or not finite, where it has none, and then `reason` says why. Of an ensemble, the scores of its proxies.
        latency: seconds an image, where the search watches measured latency. seconds: that scoring took. Raises InputError
        for a network that does not wait for a score.
        """
        with self._lock:
            self._check_open()
            try:
                self._asking.tell(str(network), score, reason, latency, seconds)
            finally:
                if self.finished:
                    self._conclude()

    def seed_of(self, network: Network | str) -> int:
        """The seed of a waiting network's random numbers: whoever scores with it gets what `run` would. Raises InputError."""
        with self._lock:
            return self._asking.seed_of(str(network))

    @property
    def waiting(self) -> list[Network]:
        """The networks that were asked for and not yet told."""
        with self._lock:
            return self._asking.waiting

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, or there is nothing left to find."""
        return self._session.search.finished

    @property
    def progress(self) -> Running:
        """How far the search is."""
        return Running(self._session.search)

    def result(self) -> SearchResult:
        """What was found so far."""
        with self._lock:
            self._session.history.commit()
            return SearchResult(self._session.history, self._plan.folder)

    def close(self) -> None:
        """Release workers and the folder, whose outputs are written; the search goes on with resume=True."""
        with self._lock:
            if self._closed:
                return
            try:
                self._conclude()
            finally:
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if error is None:
                self.close()
            elif not self._closed:
                self._session.history.commit()
                self._release()

    def _run(self, callback: Callback | None, progress: bool) -> bool:
        """Rounds to the end, or to where they are stopped; returns whether that was by Ctrl-C."""
        session, folder = self._session, self._plan.folder
        running = Running(session.search)
        alone = threading.current_thread() is threading.main_thread()
        with (
            _logger(self._plan) as log,
            stop_requested(signal.SIGINT) as stop,
            without_collector() if alone and session.is_value_only else nullcontext(),
            tracking_of(session.search, folder, self._plan.run.log) as tracking,
            Reporter(session.search, log, progress, tracking) as reporter,
        ):
            session.say_how(log, callback is not None)
            after_round = None if callback is None else lambda: callback(running)
            run_rounds(session, reporter, lambda: bool(stop) or running.stopped, after_round)
        return bool(stop)

    def _conclude(self) -> None:
        """Write the outputs, if there is something to say that was not said before."""
        search = self._session.search
        done = search.progress.next_iteration
        if self._concluded_at == done or (search.best is None and not search.finished):
            return
        if self._asking.was_told:
            with _logger(self._plan) as log:
                Reporter(search, log, bar=False).log_progress()
        self._session.finish(self._plan.run.verify_top if search.finished else 0)
        self._concluded_at = done

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("The search is closed: open it again with resume=True")

    def _release(self) -> None:
        self._closed = True
        self._session.close()


def _open(plan: Plan) -> Session:
    """The search of a plan. What its folder holds of this very search is not made again. Raises SearchError."""
    folder, run = plan.folder, plan.run
    if folder and not (run.resume or run.overwrite) and is_done(plan.settings, folder):
        if plan.functions.of_the_program:
            raise SearchError(
                f"{folder} holds a finished search, and functions are told apart by their names alone: --resume takes its "
                "result as it is, --overwrite starts anew"
            )
        run = replace(run, resume=True)
    # A KeyboardInterrupt is lost where it meets the callbacks of numba's compiler.
    with stop_requested(signal.SIGINT) as stop, stop.raised():
        session = Session(plan.settings, folder, run, plan.functions, ["gsnet.search"])
    if stop:
        session.close()
        raise KeyboardInterrupt
    return session


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        said = in_words_of_python(str(error), FLAGS)
        if said == str(error):
            raise
        raise (SearchError if isinstance(error, SearchError) else InputError)(said) from error


def _with_keywords(record: logging.LogRecord) -> bool:
    """A filter that has messages name keywords in place of flags."""
    record.msg, record.args = in_words_of_python(record.getMessage(), FLAGS), None
    return True


@contextmanager
def _logger(plan: Plan) -> Iterator[logging.Logger]:
    """What writes the log of the results folder, and nothing else: the program's own logging stays as it is."""
    log = logging.Logger("gsnet.search", logging.INFO)
    log.addFilter(_with_keywords)
    if plan.folder is None:
        log.addHandler(logging.NullHandler())
        yield log
        return
    handler = logging.FileHandler(plan.folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()
