"""What a search leaves behind: the winner, the history as a table, the Pareto front and the pictures."""

from __future__ import annotations

import csv
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from gsnet.evolution.digest import Digest, digest, figures_of, final_score, front_costs, front_in_objectives
from gsnet.evolution.latency_words import judged
from gsnet.evolution.packed import Packed
from gsnet.evolution.recorded import DETERMINISTIC_COLUMNS, HistoryReader, Row, rows_of
from gsnet.evolution.scorer import latency_conditions
from gsnet.evolution.settings import IN_BYTES, SearchSettings
from gsnet.interface.description import KEY, NetworkDescription, package_version, versions
from gsnet.interface.files import write_text, written_whole
from gsnet.interface.plugins import packages
from gsnet.interface.result_files import BEST_JSON, BEST_STRUCTURE, CONFIG
from gsnet.interface.version import commit, version
from gsnet.latency.device import TORCH

_PACKAGES = ("torch", "numpy", "matplotlib")


def write_config(folder: Path, settings: SearchSettings, run: Mapping[str, Any], arguments: list[str]) -> None:
    """config.json: the options, those of the run apart, the command line, and the versions that ran it."""
    config = {
        "settings": json.loads(settings.to_json()),
        "run": dict(run),
        "arguments": arguments,
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := package_version(name))} | packages(),
        "version": version(),
        "commit": commit(),
    }
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def write_outputs(folder: Path, history: HistoryReader, found: Digest | None = None) -> dict | None:
    """Re-make every output from the history: best_structure.txt, best.json, history.csv, pareto.csv and the pictures.

    found: the history's digest, where it is known. An ensemble's takes as long as several readings.

    Returns the content of best.json; None when no candidate was scored, and then no winner is written.
    """
    from gsnet.evolution.plots import plot_pareto, plot_search

    settings = history.settings
    write_history(folder / "history.csv", history)
    found = found or digest(history)
    _write_front(folder / "pareto.csv", found.front, settings)
    if found.best is None:
        return None
    plot_search(folder / "search.png", found.points, found.front, settings)
    plot_pareto(folder / "pareto.png", found.front, settings)
    summary = _summary(found.best, settings, found.outcomes)
    if history.finished and summary["iterations"] < settings.evolution_max_iter:
        summary["exhausted"] = True
    if settings.watches_latency:
        summary["latency"] = _latency(found.best, history)
    if settings.objectives != ("score",):
        summary["pareto"] = {
            "objectives": list(settings.objectives),
            "networks": len(front_in_objectives(found.front, settings)),
            "networks_over_all_costs": len(found.front),
        }
    summary[KEY] = describe(found.best, settings).to_dict()
    write_text(folder / BEST_JSON, json.dumps(summary, indent=2) + "\n")
    write_text(folder / BEST_STRUCTURE, found.best.structure)
    return summary


def write_history(path: Path, history: HistoryReader) -> None:
    """Every proposal as a line of a table, with its final score."""
    settings = history.settings
    columns = (*DETERMINISTIC_COLUMNS, "latency") if settings.watches_latency else DETERMINISTIC_COLUMNS
    of_row = itemgetter(*(Row._fields.index(name) for name in columns))
    score = final_score(history)
    with written_whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*columns, *settings.figures))
        for batch in history.batches():
            if isinstance(batch, Packed) and not settings.figures:
                table.writerows(map(of_row, batch.rows()))
            else:
                rows = map(score, rows_of(batch))
                table.writerows([*of_row(row), *figures_of(row, settings.figures)] for row in rows)


def describe(best: Row, settings: SearchSettings) -> NetworkDescription:
    """What a search knows of its winner: how images are normalised is for a training to say."""
    return NetworkDescription(
        structure=best.structure,
        use_se=settings.use_se,
        no_BN=settings.no_BN,
        resolution=settings.input_image_size,
        classes=settings.num_classes,
        search={
            "zero_shot_score": settings.zero_shot_score,
            "score": best.score,
            "budgets": _budgets(settings),
            "seed": settings.seed,
            **({"memory_precision": settings.memory_precision} if set(IN_BYTES) & set(settings.figures) else {}),
        },
        versions=versions(),
        seed=settings.seed,
    )


def _budgets(settings: SearchSettings) -> dict[str, Any]:
    """The limits of the search that it had, its own figures' included, by their options' names."""
    names = ("max_layers", "budget_model_size", "budget_flops", "budget_mac", "budget_latency")
    given = {name: getattr(settings, name) for name in names}
    return {name: limit for name, limit in given.items() if limit is not None} | dict(settings.limits)


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
        **figures_by_name(best, settings),
        "iterations": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
    }


def figures_by_name(best: Row, settings: SearchSettings) -> dict[str, dict[str, float | None]]:
    """Figures beside the costs, where the search looks at any."""
    names = settings.figures
    return {"figures": dict(zip(names, figures_of(best, names), strict=True))} if names else {}


def _latency(best: Row, history: HistoryReader) -> dict:
    """Latency of the winner in seconds an image, as the search saw it and as it was measured in the end."""
    settings = history.settings
    conditions = latency_conditions(settings)
    measured = history.measured_latency(best.structure)
    bar = history.latency_error_bar(best.structure)
    return {
        "source": settings.latency_source or "measure",
        "backend": settings.latency_backend or TORCH,
        "table": settings.latency_table,
        **conditions._asdict(),
        "seconds_per_image": best.latency,
        "measured_seconds_per_image": measured,
        **judged(best.latency or 0.0, bar, measured, settings.budget_latency),
    }


def _write_front(path: Path, front: Iterable[Row], settings: SearchSettings) -> None:
    columns = ("iteration", "score", *front_costs(settings))
    with written_whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*columns, *settings.figures, "structure"))
        for row in front:
            table.writerow([*(getattr(row, c) for c in columns), *figures_of(row, settings.figures), row.structure])
