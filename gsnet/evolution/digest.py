"""A history in one pass: its best candidate, its Pareto front, what became of proposals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gsnet.evolution.archive import COSTS, Archive
from gsnet.evolution.ensemble import aggregate_of, last_population
from gsnet.evolution.recorded import OVER_BUDGET, SCORED, HistoryReader, Row
from gsnet.evolution.settings import OBJECTIVES, SearchSettings


class Digest(NamedTuple):
    """best: None when nothing was scored. front: by score. points: (iteration, score, parameters) of every scored candidate."""

    best: Row | None
    front: list[Row]
    outcomes: Counter[str]
    points: list[tuple[int, float, int]]


def digest(history: HistoryReader, each: Callable[[Row], object] = lambda row: None, end: int = -1) -> Digest:
    """The digest of a history's rows, or of its first `end`; `each` is called with every row, with its final score."""
    settings = history.settings
    archive = Archive(front_costs(settings), front_figures(settings))
    outcomes: Counter[str] = Counter()
    best: Row | None = None
    points: list[tuple[int, float, int]] = []
    score = final_score(history, end)
    for recorded in history.rows(end):
        row = score(recorded)
        each(row)
        outcomes[f"{row.outcome}: {row.reason}" if row.outcome == OVER_BUDGET else row.outcome] += 1
        if row.outcome == SCORED and row.score is not None and row.parameters is not None:
            archive.add(row)
            points.append((row.iteration, row.score, row.parameters))
            if best is None or best.score is None or row.score > best.score:
                best = row
    return Digest(best, archive.front(), outcomes, points)


def front_costs(settings: SearchSettings) -> tuple[str, ...]:
    """The columns of the Pareto front's costs."""
    return (*COSTS, "latency") if settings.watches_latency else COSTS


def front_in_objectives(front: list[Row], settings: SearchSettings) -> list[Row]:
    """The part of a Pareto front over all costs that is one over the search's objectives alone."""
    columns = {"params": "parameters", "mac": "memory_access"}
    known = (columns.get(name, name) for name in settings.objectives if name in OBJECTIVES and name != "score")
    archive = Archive(tuple(known), front_figures(settings))
    for row in front:
        archive.add(row)
    return archive.front()


def front_figures(settings: SearchSettings) -> tuple[str, ...]:
    """The user's own figures that are objectives, and so belong to the Pareto front."""
    return tuple(name for name in settings.objectives if name not in OBJECTIVES)


def figures_of(row: Row, names: tuple[str, ...]) -> list[float | None]:
    """A row's own figures; None where they were not worked out."""
    if not names:
        return []
    known = json.loads(row.figures) if row.figures else {}
    return [known.get(name) for name in names]


def final_score(history: HistoryReader, end: int = -1) -> Callable[[Row], Row]:
    """What gives a row its final score: its own, or for an ensemble its aggregate among the last population."""
    settings = history.settings
    aggregate = aggregate_of(settings)
    if aggregate is None:
        return lambda row: row
    every = (tuple(json.loads(row.scores)) for row in history.rows(end) if row.scores)
    reference = np.array(last_population(every, settings.population_size, aggregate.rule))

    def among_the_last(row: Row) -> Row:
        if not row.scores:
            return row
        return row._replace(score=float(aggregate.rule([json.loads(row.scores)], reference)[0]))

    return among_the_last
