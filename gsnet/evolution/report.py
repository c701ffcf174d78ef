"""What a search leaves behind: the winner, the history as a table, the Pareto front and the pictures."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import numpy as np

from gsnet.evolution.archive import COSTS, Archive
from gsnet.evolution.ensemble import aggregate_of, last_population
from gsnet.evolution.history import DETERMINISTIC_COLUMNS, OVER_BUDGET, SCORED, History, Row
from gsnet.evolution.scorer import latency_conditions
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.files import write_text, written_whole

BEST_STRUCTURE = "best_structure.txt"
_PACKAGES = ("torch", "numpy", "matplotlib")


def write_config(folder: Path, settings: SearchSettings, arguments: list[str]) -> None:
    """config.json: the options, the command line, and the versions that ran it."""
    config = {
        "settings": json.loads(settings.to_json()),
        "arguments": arguments,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(),
    }
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


def write_outputs(folder: Path, history: History) -> dict | None:
    """Re-make every output from the history: best_structure.txt, best.json, history.csv, pareto.csv and the pictures.

    Returns the content of best.json; None when no candidate was scored, and then no winner is written.
    """
    from gsnet.evolution.plots import plot_pareto, plot_search

    settings = history.settings
    costs = (*COSTS, "latency") if settings.watches_latency else COSTS
    columns = (*DETERMINISTIC_COLUMNS, "latency") if settings.watches_latency else DETERMINISTIC_COLUMNS
    archive = Archive(costs)
    outcomes: Counter[str] = Counter()
    best: Row | None = None
    scored: list[tuple[int, float, int]] = []
    score = final_score(history)
    with written_whole(folder / "history.csv") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        positions = [Row._fields.index(name) for name in columns]
        for recorded in history.rows():
            row = score(recorded)
            table.writerow([row[i] for i in positions])
            outcomes[f"{row.outcome}: {row.reason}" if row.outcome == OVER_BUDGET else row.outcome] += 1
            if row.outcome == SCORED and row.score is not None and row.parameters is not None:
                archive.add(row)
                scored.append((row.iteration, row.score, row.parameters))
                if best is None or best.score is None or row.score > best.score:
                    best = row
    front = archive.front()
    _write_front(folder / "pareto.csv", front, costs)
    if best is None:
        return None
    plot_search(folder / "search.png", scored, front, settings)
    plot_pareto(folder / "pareto.png", front, settings)
    summary = _summary(best, settings, outcomes)
    if settings.watches_latency:
        summary["latency"] = _latency(best, history)
    write_text(folder / "best.json", json.dumps(summary, indent=2) + "\n")
    write_text(folder / BEST_STRUCTURE, best.structure)
    return summary


def final_score(history: History) -> Callable[[Row], Row]:
    """What gives a row its final score: its own, or for an ensemble its aggregate among the last population."""
    settings = history.settings
    aggregate = aggregate_of(settings)
    if aggregate is None:
        return lambda row: row
    every = (tuple(json.loads(row.scores)) for row in history.rows() if row.scores)
    reference = np.array(last_population(every, settings.population_size, aggregate.rule))

    def among_the_last(row: Row) -> Row:
        if not row.scores:
            return row
        return row._replace(score=float(aggregate.rule([json.loads(row.scores)], reference)[0]))

    return among_the_last


def _summary(best: Row, settings: SearchSettings, outcomes: Counter[str]) -> dict:
    return {
        "structure": best.structure,
        "zero_shot_score": settings.zero_shot_score,
        "score": best.score,
        "iteration": best.iteration,
        "layers": best.layers,
        "params": best.parameters,
        "flops": best.flops,
        "mac": best.memory_access,
        "peak_feature_map": best.peak_feature_map,
        "input_image_size": settings.input_image_size,
        "num_classes": settings.num_classes,
        "seed": settings.seed,
        "iterations": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
    }


def _latency(best: Row, history: History) -> dict:
    """Latency of the winner in seconds an image, as the search saw it and as it was measured in the end."""
    settings = history.settings
    conditions = latency_conditions(settings)
    measured = history.measured_latency(best.structure)
    return {
        "source": settings.latency_source or "measure",
        "table": settings.latency_table,
        **conditions._asdict(),
        "seconds_per_image": best.latency,
        "measured_seconds_per_image": measured,
    }


def _write_front(path: Path, front: Iterable[Row], costs: tuple[str, ...]) -> None:
    columns = ("iteration", "score", *costs, "structure")
    with written_whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows([getattr(row, column) for column in columns] for row in front)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).parent.parent.parent
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() or None
