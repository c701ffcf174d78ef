"""A comparison as one HTML page that needs no connection: a table that sorts, and interactive figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from gsnet.comparing.columns import COST, COSTS, LATENCY, RESULT, SCORE, Column, latency
from gsnet.comparing.measuring import Answers
from gsnet.comparing.results import SearchCurve, TrainingCurve
from gsnet.comparing.statistics import Correlations, front
from gsnet.interface.options import InputError
from gsnet.interface.version import version

_FOLDER = Path(__file__).parent
_SEARCHED_SCORE = Column("score", "score", "", 1.0, 1, SCORE)
# About so many networks of a search's front are drawn: of longer ones every second, third…
_MOST_OF_A_FRONT = 1_000


class Compared(Protocol):
    """What a page shows: a comparison, with its columns by their keys."""

    rows: list[Answers]
    columns: list[Column]
    correlations: Correlations | None
    searches: list[SearchCurve]
    trainings: list[TrainingCurve]
    notes: list[str]

    def __getitem__(self, key: str, /) -> list[Any]: ...


def plotly_library() -> str:
    """The JavaScript of the library that draws the figures. Raises InputError where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise InputError("A page of figures needs a library that is not installed: pip install plotly") from error
    return get_plotlyjs()


def page(found: Compared) -> str:
    """The whole page. Raises InputError without plotly."""
    parts = {
        "style": (_FOLDER / "page.css").read_text(encoding="utf-8"),
        # The library first: what draws needs it.
        "library": plotly_library(),
        "data": _inside_script(json.dumps(data_of(found), allow_nan=False, separators=(",", ":"))),
        "program": "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("page_table.js", "page.js")),
    }
    text = (_FOLDER / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        before, mark, after = text.partition(f"/*{name}*/")
        text = before + part + after if mark else text
    return text


def data_of(found: Compared) -> dict[str, Any]:
    """What the page's program draws: the networks, the columns, and of every figure what can be worked out here."""
    rows = [{"name": row.name, "failed": row.reasons(), "error": row.error is not None} for row in found.rows]
    for row, structure in zip(rows, found["structure"], strict=True):
        row["structure"] = structure
    return {
        "version": version(),
        "rows": rows,
        "columns": [asdict(column) | {"values": found[column.key]} for column in found.columns],
        "fronts": _fronts(found),
        "correlations": None if found.correlations is None else found.correlations._asdict(),
        "searches": _searches(found),
        "trainings": [asdict(training) for training in found.trainings],
        "notes": found.notes,
    }


def _fronts(found: Compared) -> dict[str, dict[str, list[int]]]:
    """By what is read upwards, and by what is paid for it, which networks no other one beats."""
    paid = [column for column in found.columns if column.kind in (COST, LATENCY)]
    gained = [column for column in found.columns if column.kind in (SCORE, RESULT)]
    return {
        gain.key: {cost.key: front(found[cost.key], found[gain.key], gain.better) for cost in paid} for gain in gained
    }


def _searches(found: Compared) -> list[dict[str, Any]]:
    """Every search with its front thinned out, and by cost the part of it that is a front against that cost alone, whole."""
    searches = []
    for search in found.searches:
        costs = [c for c in (*COSTS, latency("latency")) if c.key in search.front]
        fronts = {cost.key: front(search.front[cost.key], search.front["score"]) for cost in costs}
        count = len(search.front["structure"])
        step = -(-count // _MOST_OF_A_FRONT)
        kept = sorted({*range(0, count, step), *(place for line in fronts.values() for place in line)})
        table = {column: [values[place] for place in kept] for column, values in search.front.items()}
        places = {place: number for number, place in enumerate(kept)}
        fronts = {key: [places[place] for place in line] for key, line in fronts.items()}
        columns = [asdict(column) for column in (_SEARCHED_SCORE, *costs)]
        searches.append(asdict(search) | {"front": table, "fronts": fronts, "columns": columns})
    return searches


def _inside_script(text: str) -> str:
    """JSON that cannot end the element it stands in."""
    return text.replace("<", "\\u003c")
