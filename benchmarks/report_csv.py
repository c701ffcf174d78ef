"""The report's rows as CSV files, written and read again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from benchmarks.report_rows import CorrelationRow, SearchRow
from benchmarks.report_statistics import Interval
from benchmarks.report_winners import WinnerRow
from gsnet.interface.files import written_whole

CORRELATIONS, SEARCHES, WINNERS = "correlations.csv", "searches.csv", "winners.csv"
_CORRELATION_COLUMNS = (
    *("benchmark", "data_set", "proxy", "scope", "networks"),
    *(f"{statistic}{end}" for statistic in ("spearman", "kendall") for end in ("", "_low", "_high")),
    *("seed_spread", "ndcg", "top_1_percent", "argmax", "best", "milliseconds", "failures"),
)
_SEARCH_COLUMNS = (
    *("benchmark", "data_set", "proxy", "seeds", "networks"),
    *("winner_mean", "winner_std", "winner_worst", "regret"),
)
_WINNER_COLUMNS = (
    *("benchmark", "data_set", "proxy", "networks", "seeds"),
    *("winner_mean", "winner_std", "regret_too_few_networks", "regret_proxy"),
)
Row = TypeVar("Row", CorrelationRow, SearchRow, WinnerRow)


def write_csv(
    folder: Path,
    correlations: Sequence[CorrelationRow],
    searches: Sequence[SearchRow],
    winners: Sequence[WinnerRow] = (),
) -> None:
    """correlations.csv, searches.csv and winners.csv, every row in full."""
    with written_whole(folder / WINNERS) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_WINNER_COLUMNS)
        for w in winners:
            accuracies = [f"{f:.6f}" for f in (w.mean, w.std, w.too_few, w.proxy_regret)]
            table.writerow((w.benchmark, w.data_set, w.proxy, w.networks, w.seeds, *accuracies))
    with written_whole(folder / CORRELATIONS) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_CORRELATION_COLUMNS)
        for r in correlations:
            figures = (*r.spearman, *r.kendall, r.seed_spread, r.ndcg, r.top, r.argmax, r.best)
            rounded = ["" if f is None else f"{f:.6f}" for f in figures]
            identity = (r.benchmark, r.data_set, r.proxy, r.scope, r.networks)
            table.writerow((*identity, *rounded, f"{r.milliseconds:.3g}", r.failures))
    with written_whole(folder / SEARCHES) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_SEARCH_COLUMNS)
        for s in searches:
            accuracies = [f"{f:.6f}" for f in (s.mean, s.std, s.worst, s.regret)]
            table.writerow((s.benchmark, s.data_set, s.proxy, s.seeds, s.networks, *accuracies))


def read_correlations(folder: Path) -> list[CorrelationRow]:
    """The rows of correlations.csv, with the digits that it keeps; none where there is no such file."""
    rows = []
    for row in _read(folder / CORRELATIONS):
        names = [row[column] for column in _CORRELATION_COLUMNS[:4]]
        spearman, kendall = (_interval(row, statistic) for statistic in ("spearman", "kendall"))
        spread = _number(row["seed_spread"])
        figures = (float(row[column]) for column in _CORRELATION_COLUMNS[12:17])
        counts = (int(row["networks"]), spearman, kendall, spread)
        rows.append(CorrelationRow(*names, *counts, *figures, row["failures"]))  # type: ignore[arg-type, call-arg]
    return rows


def read_searches(folder: Path) -> list[SearchRow]:
    """The rows of searches.csv, with the digits that it keeps; none where there is no such file."""
    rows = []
    for row in _read(folder / SEARCHES):
        names = [row[column] for column in _SEARCH_COLUMNS[:3]]
        counts = [int(row[column]) for column in _SEARCH_COLUMNS[3:5]]
        figures = (float(row[column]) for column in _SEARCH_COLUMNS[5:])
        rows.append(SearchRow(*names, *counts, *figures))  # type: ignore[arg-type]
    return rows


def read_winners(folder: Path) -> list[WinnerRow]:
    """The rows of winners.csv, with the digits that it keeps; none where there is no such file."""
    rows = []
    for row in _read(folder / WINNERS):
        names = [row[column] for column in _WINNER_COLUMNS[:3]]
        counts = [int(row[column]) for column in _WINNER_COLUMNS[3:5]]
        figures = (float(row[column]) for column in _WINNER_COLUMNS[5:])
        rows.append(WinnerRow(*names, *counts, *figures))  # type: ignore[arg-type]
    return rows


def merged(kept: Iterable[Row], made: Iterable[Row]) -> list[Row]:
    """All rows, with what is made now in the place of what was kept, benchmark by benchmark."""
    rows: dict[tuple[str, ...], Row] = {
        (row.benchmark, row.data_set, row.proxy, _which(row)): row for row in chain(kept, made)
    }
    return sorted(rows.values(), key=lambda row: row.benchmark)


def _which(row: CorrelationRow | SearchRow | WinnerRow) -> str:
    """What tells apart rows of the same benchmark, data set and proxy."""
    if isinstance(row, WinnerRow):
        return str(row.networks)
    return row.scope if isinstance(row, CorrelationRow) else ""


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _interval(row: dict[str, str], statistic: str) -> Interval:
    low, high = (_number(row[f"{statistic}_{end}"]) for end in ("low", "high"))
    return Interval(float(row[statistic]), low, high)


def _number(text: str) -> float | None:
    return float(text) if text else None
