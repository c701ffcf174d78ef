"""What is seen of a search while it runs: a bar, a log, curves."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from gsnet.evolution.curves import Curves
from gsnet.evolution.island_search import AnySearch
from gsnet.interface.words import duration
from gsnet.tracking import Tracking

_ITERATIONS_BETWEEN_LOGS = 1_000
_SECONDS_BETWEEN_LOGS = 1.0
# Where scoring is slow, something is said after so long, however few iterations there were.
_LONGEST_SILENCE = 10.0


class Reporter:
    """Reports on a search for as long as it is entered; `advanced` says that it went on.

    log: receives plain lines where there is no bar. tracking: receives the curves.
    """

    def __init__(self, search: AnySearch, log: logging.Logger, bar: bool, tracking: Tracking | None = None) -> None:
        self._search = search
        self._log = log
        self._bar = tqdm(
            total=search.settings.evolution_max_iter,
            initial=search.progress.next_iteration,
            unit="it",
            file=sys.stderr,
            disable=not bar,
            smoothing=0.05,
        )
        self._curves = Curves(search, tracking or Tracking())
        self._begun = self._seen_at = time.monotonic()
        self._logged_at = 0.0
        self._since_log = 0

    def __enter__(self) -> Self:
        progress = self._search.progress
        if start := progress.next_iteration:
            self._log.info("resuming at iteration %d: %s", start, progress.describe())
        return self

    def advanced(self, iterations: int) -> None:
        """So many more iterations are done."""
        self._since_log += iterations
        now = time.monotonic()
        if self._since_log < _ITERATIONS_BETWEEN_LOGS and now - self._seen_at < _LONGEST_SILENCE:
            return
        self._bar.update(self._since_log)
        self._since_log, self._seen_at = 0, now
        if now - self._logged_at >= _SECONDS_BETWEEN_LOGS:
            self._logged_at = now
            self.log_progress()
            self._curves.add()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._curves.finish()
        if error is None:
            self._bar.update(self._since_log)
        self._bar.close()
        if error is None:
            self.log_progress()

    def log_progress(self) -> None:
        """A line on how far the search is, in the log or beside the bar."""
        search, progress = self._search, self._search.progress
        winner = search.best
        count = f"loop_count={progress.next_iteration}/{search.settings.evolution_max_iter}"
        if winner is None:
            self._log.info("%s, %s", count, progress.describe())
            return
        best, worst, spent = winner.score, search.population.lowest_score, time.monotonic() - self._begun
        self._bar.set_postfix_str(f"best {best:.4g}, worst {worst:.4g}", refresh=False)
        if self._bar.disable:
            line = "%s, max_score=%.6g, min_score=%.6g, time=%s, %s"
            self._log.info(line, count, best, worst, duration(spent), progress.describe())
            self._log.info("structure: %s", winner.network)
