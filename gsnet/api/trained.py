"""What a training left."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsnet.interface.result_files import BEST_CHECKPOINT, TRAINING_LOG

_COUNTS = ("epoch",)


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to.

    folder: its results; None where it was given none. history: an epoch each, as log.csv has them (epoch from 0; val_acc1 and
    val_acc5 in per cent; None where there is no figure), which pandas and polars take as a table. finished: whether it came to
    its end; else `auto_resume=True` goes on. report: with evaluate_only=True or dry_run=True, which write nothing, their
    figures.
    """

    folder: Path | None
    history: tuple[dict[str, Any], ...]
    finished: bool
    report: Mapping[str, Any]

    @property
    def best(self) -> dict[str, Any] | None:
        """The epoch with the best top-1, of equals the first; None where there was none."""
        return max(self.history, key=lambda row: row["val_acc1"], default=None)

    @property
    def top1(self) -> float | None:
        """Its top-1 on the validation images, in per cent."""
        return None if self.best is None else self.best["val_acc1"]

    @property
    def checkpoint(self) -> Path | None:
        """The file with its weights; None where none was written."""
        file = None if self.folder is None else self.folder / BEST_CHECKPOINT
        return file if file is not None and file.is_file() else None

    def __repr__(self) -> str:
        if self.best is None:
            where = "" if self.folder is None else f", {self.folder}"
            return f"TrainingResult({dict(self.report) or 'no epoch'}{where})"
        state = "" if self.finished else ", not finished"
        return f"TrainingResult(top-1 {self.top1:.2f}%, {len(self.history)} epochs{state}, {self.folder})"


def history_in(folder: Path) -> tuple[dict[str, Any], ...]:
    """The rows of a training's log.csv; none where there is no such file."""
    file = folder / TRAINING_LOG
    if not file.is_file():
        return ()
    with file.open(newline="", encoding="utf-8") as lines:
        return tuple({name: _number(name, text) for name, text in row.items()} for row in csv.DictReader(lines))


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    return int(text) if name in _COUNTS else float(text)
