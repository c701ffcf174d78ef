"""What ends a training before its last epoch: SIGTERM, the time that it was given, no progress any more, a lost number."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from gsnet.interface.words import duration
from gsnet.training.settings import OutOfTime, Terminated, TrainingFailed
from gsnet.validation.processes import Vote, summed

_LOG = logging.getLogger(__name__)


class Ending:
    """Whether a training must stop after this step, of whichever process asks for it, in all of them after the same one.

    time_limit: seconds of this run, None for any.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.time_limit = time_limit
        self._terminated = False
        self._votes = Vote()
        self._begin = time.monotonic()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While this lasts the clock runs, and SIGTERM waits for the end of a step."""

        def note(*_: object) -> None:
            self._terminated = True

        self._begin = time.monotonic()
        if threading.current_thread() is not threading.main_thread():
            # Signals reach the main thread alone.
            yield
            return
        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            # None: a handler of some library's that is not written in Python.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

    def due(self) -> bool:
        """Whether to stop now; every process asks after every step."""
        over = self.time_limit is not None and time.monotonic() - self._begin >= self.time_limit
        return self._votes.cast(self._terminated or over)

    def settle(self) -> None:
        """Wait for the last answer, before anything else is agreed upon."""
        self._votes.settle()

    def leave(self, epoch: int) -> NoReturn:
        """Leave together after all was saved. epoch: the one that is broken off, from 0. Raises Terminated."""
        terminated = float(summed(torch.tensor([float(self._terminated)]))[0]) > 0
        if terminated:
            raise Terminated(f"Stopped by SIGTERM at epoch {epoch + 1}: --auto_resume goes on from here")
        limit = duration(self.time_limit or 0.0)
        raise OutOfTime(
            f"The time is over (--time_limit, {limit}) at epoch {epoch + 1}: --auto_resume goes on from here"
        )


def check_loss(loss: float, epoch: int, latest: Path | None) -> None:
    """Raise TrainingFailed where a loss is no longer a number. epoch: from 0.

    latest: where the latest checkpoint would be; None without a results folder.
    """
    if math.isfinite(loss):
        return
    raise TrainingFailed(f"The loss is no longer a number in epoch {epoch + 1}: {_what_remains(latest)}")


def check_weights(trained: nn.Module, epoch: int, latest: Path | None) -> None:
    """The same where weights are no longer numbers, as after a last step whose loss still was one: they would be saved."""
    if torch.stack([weight.isfinite().all() for weight in trained.parameters()]).all():
        return
    raise TrainingFailed(f"The weights are no longer numbers in epoch {epoch + 1}: {_what_remains(latest)}")


def _what_remains(latest: Path | None) -> str:
    kept = (
        f"the last good state is in {latest}"
        if latest and latest.exists()
        else "no epoch was finished, nothing is kept"
    )
    return f"lower --lr or use --grad_norm; {kept}"


def has_no_progress(
    history: list[dict[str, Any]], measure: str, best_epoch: int, patience: int | None, epochs: int
) -> bool:
    """Whether the last epoch was a validated one, `patience` epochs or more behind the best.

    measure: column of `history` that counts, None where there was no validation; best_epoch: from 0. epochs: of the whole
    training, whose end needs no word.
    """
    if patience is None or not history or history[-1][measure] is None:
        return False
    return history[-1]["epoch"] - best_epoch >= patience and len(history) < epochs


def say_no_progress(epoch: int, epochs: int, patience: int) -> None:
    """Why a training ends now. epoch: how many are done."""
    _LOG.info(
        "Nothing better for %d epoch%s (patience): the training ends after %d of %d epochs",
        *(patience, "s" * (patience != 1), epoch, epochs),
    )
