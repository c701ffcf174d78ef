"""The trackers of a run, as one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from gsnet.interface.options import InputError
from gsnet.tracking.contract import Outcome, TrackedRun, Tracker, TrackerError

_LOG = logging.getLogger(__name__)


class Tracking:
    """Logs a run to its trackers for as long as it is entered; without a run it does nothing.

    kinds: names of trackers. stops: errors that end a run before its time without being failures.

    A tracker that does not begin raises InputError; one that fails later is left with a warning, for a log is not worth a run.
    """

    def __init__(
        self, run: TrackedRun | None = None, kinds: Iterable[str] = (), stops: tuple[type[BaseException], ...] = ()
    ) -> None:
        self._run, self._kinds = run, tuple(kinds)
        self._stops: tuple[type[BaseException], ...] = (KeyboardInterrupt, *stops)
        self._trackers: dict[str, Tracker] = {}
        self._summary: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        try:
            for kind in self._kinds:
                if self._run is not None:
                    self._trackers[kind] = _opened(kind, self._run)
        except BaseException:
            self._close(Outcome.FAILED)
            raise
        return self

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the figures of a step, from 1, wherever it is not logged already."""
        for kind, tracker in list(self._trackers.items()):
            if step <= tracker.last_step:
                continue
            try:
                tracker.add(step, scalars)
            except TrackerError as error:
                del self._trackers[kind]
                _LOG.warning("%s: %s: the run goes on without this log", kind, error)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The run is at its end, and this is what it came to."""
        self._summary = dict(summary)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, self._stops):
            self._close(Outcome.FAILED)
        else:
            self._close(Outcome.STOPPED if error is not None or self._summary is None else Outcome.FINISHED)

    def _close(self, outcome: Outcome) -> None:
        for kind, tracker in self._trackers.items():
            try:
                tracker.close(outcome, self._summary or {})
            except TrackerError as error:
                _LOG.warning("%s: %s", kind, error)
        self._trackers.clear()


def _opened(kind: str, run: TrackedRun) -> Tracker:
    """Raises InputError where it cannot begin."""
    try:
        return _tracker(kind, run)
    except TrackerError as error:
        raise InputError(f"--log {kind}: {error}") from error
    except ImportError as error:
        raise InputError(
            f"--log {kind} needs a library that is not installed ({error.name}): pip install {kind}"
        ) from error


def _tracker(kind: str, run: TrackedRun) -> Tracker:
    # Each is imported where it is asked for: their libraries take seconds, and need not be there.
    if kind == "wandb":
        from gsnet.tracking.wandb_run import WandbRun

        return WandbRun(run)
    if kind == "mlflow":
        from gsnet.tracking.mlflow_run import MlflowRun

        return MlflowRun(run)
    if kind == "tensorboard":
        from gsnet.tracking.tensorboard_events import TensorboardEvents

        return TensorboardEvents(run)
    from gsnet.tracking.csv_file import CsvFile

    return CsvFile(run)
