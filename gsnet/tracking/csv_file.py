"""The figures of a run as a table that grows while it runs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from gsnet.interface.files import written_whole
from gsnet.interface.result_files import CURVES
from gsnet.tracking.contract import Outcome, TrackedRun, TrackerError


class CsvFile:
    """curves.csv in the results folder, one row a step; the whole file anew each time, so that it is never half a row."""

    def __init__(self, run: TrackedRun) -> None:
        self._file, self._step = run.folder / CURVES, run.step
        self._rows = self._read(run.done) if run.done else []
        self.last_step = int(self._rows[-1][run.step]) if self._rows else 0

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """A row more; figures that were not met before are columns more."""
        self._rows.append({self._step: step, **scalars})
        self.last_step = step
        columns = dict.fromkeys(name for row in self._rows for name in row)
        with written_whole(self._file) as file:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            table.writeheader()
            table.writerows(self._rows)

    def close(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Nothing is left to do."""

    def _read(self, done: int) -> list[dict[str, Any]]:
        """The rows up to the step from which the run goes on. Raises TrackerError."""
        try:
            with self._file.open(encoding="utf-8", newline="") as file:
                return [row for row in csv.DictReader(file) if 0 < int(row[self._step]) <= done]
        except FileNotFoundError:
            return []
        # As a program for tables leaves it.
        except (ValueError, KeyError, TypeError) as error:
            raise TrackerError(f"{self._file} is not as it was written: mend it, or take it away") from error
