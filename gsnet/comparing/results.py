"""What results folders hold beside the network: how a search went, what its front is, how a training went."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gsnet.comparing.measuring import BY_SEARCH
from gsnet.evolution.digest import digest
from gsnet.evolution.recorded import DATABASE, HistoryReader
from gsnet.interface.options import InputError
from gsnet.interface.result_files import BEST_JSON, TRAINING_LOG

_FRONT = ("score", "parameters", "flops", "memory_access", "layers", "latency", "structure")
# A column of a training's log by what the best of it is called: of classifiers and of detectors.
_RESULTS = {"val_acc1": "top1", "val_AP": "AP"}


@dataclass(frozen=True)
class SearchCurve:
    """A search: its proxy, where the best score rose (iteration, score, structure), and its Pareto front by column.

    iterations: how many proposals there were.
    """

    name: str
    proxy: str
    iterations: int
    rises: list[tuple[int, float, str]]
    front: dict[str, list[Any]]


@dataclass(frozen=True)
class TrainingCurve:
    """A training: the figures of its epochs by the columns of its log.csv."""

    name: str
    epochs: dict[str, list[float | None]] = field(default_factory=dict)


def search_in(name: str, folder: Path) -> SearchCurve | None:
    """The search of a folder, also while it runs; None where there is none, or nothing scored. Raises InputError."""
    if not (folder / DATABASE).is_file():
        return None
    reader = HistoryReader.read(folder)
    try:
        settings, iterations = reader.settings, len(reader)
        found = digest(reader, iterations)
    finally:
        reader.close()
    rises = [(row.iteration, row.score, row.structure) for row in found.rises if row.score is not None]
    if not rises:
        return None
    front = found.front
    columns = [c for c in _FRONT if any(getattr(row, c) is not None for row in front)]
    table = {column: [getattr(row, column) for row in front] for column in columns}
    return SearchCurve(name, settings.zero_shot_score, iterations, rises, table)


def training_in(name: str, folder: Path) -> TrainingCurve | None:
    """The training of a folder; None where there is none. Raises InputError for a damaged log."""
    file = folder / TRAINING_LOG
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        epochs = {column: [_number(row[column]) for row in rows] for column in (rows[0] if rows else ())}
        if "epoch" not in epochs:
            raise ValueError("it has no column epoch, or no row")
    except (ValueError, KeyError, csv.Error) as error:
        raise InputError(f"{file} is no log of a training: {error}") from error
    # Counted from 0 there, from 1 for people.
    epochs["epoch"] = [None if epoch is None else epoch + 1 for epoch in epochs["epoch"]]
    return TrainingCurve(name, epochs)


def figures_of_search(curve: SearchCurve, folder: Path) -> dict[str, Any]:
    """What a search says of its winner: the score by its proxy, and the latency where it watched that."""
    figures: dict[str, Any] = {"search_proxy": curve.proxy, "search_score": curve.rises[-1][1]}
    best = folder / BEST_JSON
    latency = json.loads(best.read_text(encoding="utf-8")).get("latency") if best.is_file() else None
    if latency:
        measured = latency.get("measured_seconds_per_image")
        figures[BY_SEARCH] = latency.get("seconds_per_image") if measured is None else measured
    return figures


def figures_of_training(curve: TrainingCurve) -> dict[str, Any]:
    """What a training has come to: its epochs, and the best that its validations said."""
    figures: dict[str, Any] = {"epochs": len(curve.epochs["epoch"])}
    for column, name in _RESULTS.items():
        values = [value for value in curve.epochs.get(column, ()) if value is not None]
        if values:
            figures[name] = max(values)
    return figures


def _number(text: str | None) -> float | None:
    """A figure of a log; a loss that is no number any more is none."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
