"""What a run tells its trackers, and what is asked of a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol


class Outcome(Enum):
    """How a run ended: at its end, by an error, or stopped before its time, to go on later."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class TrackerError(Exception):
    """A tracker that cannot do its work: one sentence that says why."""


@contextmanager
def told() -> Iterator[None]:
    """Whatever a tracker's library raises, as a TrackerError: they have errors of many kinds, some of them their own secret."""
    try:
        yield
    except Exception as error:
        first = str(error).strip().split("\n")[0].rstrip(".")
        raise TrackerError(first or type(error).__name__) from error


@dataclass(frozen=True)
class TrackedRun:
    """A training or a search that is logged.

    folder: of its results, by whose name trackers call the run. step: what its steps are. config: its options, as plain values.
    done: steps that were done before, when it goes on; what was logged then is of this very run.
    """

    folder: Path
    step: str
    config: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0


class Tracker(Protocol):
    """One place that a run is logged to.

    last_step: the last step that it holds, 0 where it holds none. Methods raise TrackerError.
    """

    last_step: int

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the figures of a step, which is later than `last_step`."""

    def close(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """End the log, or this part of it. summary: what the whole run came to, numbers and texts by name."""
