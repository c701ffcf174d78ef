"""A history in one pass: its best candidate, its Pareto front, what became of proposals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gsnet.evolution.archive import COSTS, Archive, points_of
from gsnet.evolution.ensemble import aggregate_of, last_population
from gsnet.evolution.packed import Packed
from gsnet.evolution.pareto_front import ParetoFront
from gsnet.evolution.recorded import OVER_BUDGET, SCORED, HistoryReader, Row
from gsnet.evolution.scatter import Scatter
from gsnet.evolution.settings import OBJECTIVES, SearchSettings

_PARAMETERS = 1 + COSTS.index("parameters")


class Digest(NamedTuple):
    """best: None when nothing was scored. front: by score. points: every scored candidate. rises: where the best score rose."""

    best: Row | None
    front: list[Row]
    outcomes: Counter[str]
    points: Scatter
    rises: list[Row]


class Points(NamedTuple):
    """The scored ones of some rows: their iterations and what the front is made of, (rows, figures), all minimised."""

    iterations: np.ndarray
    figures: np.ndarray
    outcomes: Counter[str]


def digest(history: HistoryReader, end: int = -1) -> Digest:
    """The digest of a history's rows, or of its first `end`, with their final scores."""
    settings = history.settings
    costs, figures = front_costs(settings), front_figures(settings)
    front, scatter, outcomes = ParetoFront(1 + len(costs) + len(figures)), Scatter(), Counter[str]()
    score = final_score(history, end)
    for batch in history.batches(end):
        if isinstance(batch, Packed):
            found = Points(*batch.points(costs), batch.outcomes())
        else:
            found = _points([score(row) for row in batch], costs, figures)
        outcomes += found.outcomes
        front.add(found.figures, found.iterations)
        scatter.add(found.iterations, -found.figures[:, 0], found.figures[:, _PARAMETERS])
    rises = [score(row) for row in history.at(scatter.rises)]
    rows = [score(row) for row in history.at(front.labels().tolist())]
    return Digest(rises[-1] if rises else None, rows, outcomes, scatter, rises)


def _points(rows: list[Row], costs: tuple[str, ...], figures: tuple[str, ...]) -> Points:
    scored = [r for r in rows if r.outcome == SCORED and r.score is not None and r.parameters is not None]
    iterations = np.array([row.iteration for row in scored], dtype=np.int64)
    outcomes = Counter(f"{row.outcome}: {row.reason}" if row.outcome == OVER_BUDGET else row.outcome for row in rows)
    return Points(iterations, points_of(scored, costs, figures), outcomes)


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
