"""Networks side by side: a table for programs and people, and what goes with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gsnet.comparing import text
from gsnet.comparing.columns import LATENCY, RESULT, SCORE, Column, check_proxies, columns_of
from gsnet.comparing.measuring import BY_SEARCH, BY_TABLE, Answers, Questions, answers_of, told
from gsnet.comparing.networks import Contender, Source, contenders
from gsnet.comparing.ranking import rank
from gsnet.comparing.results import (
    SearchCurve,
    TrainingCurve,
    figures_of_search,
    figures_of_training,
    search_in,
    training_in,
)
from gsnet.comparing.statistics import FEWEST, Correlations, correlations
from gsnet.evolution.result import Table
from gsnet.evolution.settings import SearchError
from gsnet.interface.files import check_writable, write_text
from gsnet.interface.options import InputError
from gsnet.interface.rows import write_csv

# Called with how many networks are done, how many there are, and the name of the next.
Progress = Callable[[int, int, str], object]
_CORRELATED = ("parameters", "flops")


class Comparison(Table):
    """Networks side by side: columns of equal length by name, as pandas and polars take them, None where there is no figure.

    arch: the name; then costs; `latency_…` in seconds an image; scores by the names of their proxies; results of trainings;
    structure; error: why figures are missing. columns: what is said of each. correlations: of ranks, where at least 3
    networks have figures to be ranked by. searches, trainings: of results folders. notes: under which conditions. rows: the
    answers for each network.
    """

    def __init__(
        self,
        rows: Sequence[Answers],
        columns: Sequence[Column],
        notes: Iterable[str] = (),
        searches: Iterable[SearchCurve] = (),
        trainings: Iterable[TrainingCurve] = (),
    ) -> None:
        self.rows, self.columns = list(rows), list(columns)
        self.notes, self.searches, self.trainings = list(notes), list(searches), list(trainings)
        figures = {column.key: [row.figures.get(column.key) for row in rows] for column in columns}
        structures = [row.figures.get("structure") for row in rows]
        super().__init__(
            {"arch": [row.name for row in rows]}
            | figures
            | {"structure": structures, "error": [row.reasons() for row in rows]}
        )
        self.correlations = self._correlations()

    def __str__(self) -> str:
        return text.tables(self.rows, self.columns, self.correlations, self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, as `gsnet compare --json` prints them."""
        ranks = None if self.correlations is None else self.correlations._asdict()
        return {"networks": self._networks(), "correlations": ranks, "notes": self.notes}

    def to_csv(self, path: str | Path) -> None:
        """The table as a CSV file; a cell without a figure is empty."""
        write_csv(_target(path), self._networks())

    def to_html(self, path: str | Path) -> None:
        """One page with the table and interactive figures, which needs no connection. Raises InputError without plotly."""
        from gsnet.comparing.page import page

        write_text(_target(path), page(self))

    def _networks(self) -> list[dict[str, Any]]:
        return [dict(zip(self, values, strict=True)) for values in zip(*self.values(), strict=True)]

    def _correlations(self) -> Correlations | None:
        """Of scores, latencies and results with each other and with size; None where there is nothing to rank."""
        ranked = {column.key for column in self.columns if column.kind in (SCORE, LATENCY, RESULT)}
        names = [c for c in self.columns if c.key in (*_CORRELATED, *ranked)]
        known = {c.label: self[c.key] for c in names if sum(v is not None for v in self[c.key]) >= FEWEST}
        if not known.keys() & {column.label for column in self.columns if column.key in ranked}:
            return None
        try:
            return correlations(known)
        except InputError as error:
            self.notes.append(f"{error}.")
            return None


def compare(sources: Iterable[Source], questions: Questions, progress: Progress | None = None) -> Comparison:
    """Everything that is asked, of all networks that the sources stand for; see `gsnet.compare`.

    An interrupt ends with what is known by then, and is raised again with it as `Interrupted`. Raises InputError where there is
    no network at all.
    """
    entered = contenders(sources, questions.view)
    if not entered:
        raise InputError("Name the networks to compare: folders, names, patterns, structure files or structures")
    check_proxies([p.name for p in questions.proxies] + [r.name for r in questions.rankings])
    # Before long work: a latency table that cannot be read ends it here.
    conditions = told(questions)
    rows: list[Answers] = []
    searches: list[SearchCurve] = []
    trainings: list[TrainingCurve] = []
    interrupted = False
    try:
        for number, contender in enumerate(entered):
            if progress is not None:
                progress(number, len(entered), contender.name)
            row = answers_of(contender, questions)
            _add_results(row, contender, searches, trainings)
            rows.append(row)
    except KeyboardInterrupt:
        interrupted = True
    known = {key for row in rows for key in row.figures}
    latencies = [f"latency_{runtime}" for runtime in questions.runtimes]
    latencies = [
        *[BY_SEARCH] * (BY_SEARCH in known),
        *[BY_TABLE] * (questions.latency_table is not None),
        *latencies,
    ]
    ranked = [rank([row.figures for row in rows], ranking) for ranking in questions.rankings]
    if first := next((r.name for r in questions.rankings if any(r.name in row.figures for row in rows)), None):
        # What has no rank stays behind, as it came.
        rows.sort(key=lambda row: -row.figures.get(first, -math.inf))
        ranked.append(f"Networks are in the order of {first}, the best first.")
    scores = [(p.name, p.larger_is_better) for p in questions.proxies] + [(r.name, True) for r in questions.rankings]
    columns = columns_of(latencies, scores, known)
    found = Comparison(rows, columns, [*_differences(rows), *conditions, *ranked], searches, trainings)
    if interrupted:
        raise Interrupted(found)
    return found


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what was compared until then."""

    def __init__(self, found: Comparison) -> None:
        super().__init__()
        self.found = found


def _add_results(
    row: Answers, contender: Contender, searches: list[SearchCurve], trainings: list[TrainingCurve]
) -> None:
    """What the folder of a network says beside it."""
    if contender.folder is None:
        return
    try:
        if search := search_in(contender.name, contender.folder):
            searches.append(search)
            row.figures |= figures_of_search(search, contender.folder)
        if training := training_in(contender.name, contender.folder):
            trainings.append(training)
            row.figures |= figures_of_training(training)
    except (InputError, SearchError, OSError, ValueError) as error:
        row.failures["results"] = " ".join(str(error).split())


def _differences(rows: Sequence[Answers]) -> list[str]:
    """That networks were not looked at alike, which costs and scores depend on."""
    told = []
    if sizes := _several(rows, "resolution"):
        told.append(
            f"Networks are looked at with {sizes} pixels, each as it is meant to be, unless one size is given for all."
        )
    if counts := _several(rows, "classes"):
        told.append(f"Networks have {counts} classes, each its own, unless one number is given for all.")
    return told


def _several(rows: Sequence[Answers], figure: str) -> str:
    """The values of a figure in words; an empty text where all networks have the same one."""
    seen = sorted({row.figures[figure] for row in rows if row.figures.get(figure) is not None})
    return f"{', '.join(map(str, seen[:-1]))} and {seen[-1]}" if len(seen) > 1 else ""


def _target(path: str | Path) -> Path:
    file = Path(path).expanduser()
    check_writable(file)
    return file
