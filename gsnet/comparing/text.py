"""A comparison on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gsnet.comparing.columns import COST, LATENCY, Column
from gsnet.comparing.measuring import Answers
from gsnet.comparing.statistics import Correlations

_LONGEST_NAME = 48


def tables(rows: Sequence[Answers], columns: Sequence[Column], ranks: Correlations | None, notes: Iterable[str]) -> str:
    """Costs and latencies of all networks, their scores and results, the correlations, what has failed, the conditions."""
    names = [shortened(row.name) for row in rows]
    parts = [_table(names, rows, [c for c in columns if c.kind in (COST, LATENCY) or c.key == "resolution"])]
    if said := [c for c in columns if c.kind not in (COST, LATENCY) and c.key not in ("resolution", "classes")]:
        parts.append(_table(names, rows, said))
    if ranks is not None:
        parts += [_matrix("Spearman", ranks.names, ranks.spearman), _matrix("Kendall", ranks.names, ranks.kendall)]
    failed = [f"{row.name}: {row.reasons()}" for row in rows if row.error is None and row.failures]
    failed += [row.detail for row in rows if row.detail is not None]
    return "\n\n".join([*parts, *["\n".join(failed)] * bool(failed), *["\n".join(notes)] * bool(notes)])


def shortened(name: str) -> str:
    """A name that fits into a table: of a long one the beginning and the end."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _table(names: Sequence[str], rows: Sequence[Answers], columns: Sequence[Column]) -> str:
    cells = [["network", *(f"{c.label}, {c.unit}" if c.unit else c.label for c in columns)]]
    for name, row in zip(names, rows, strict=True):
        if row.error is not None:
            cells.append([name, f"error: {row.error}"])
        else:
            cells.append([name, *(_cell(row.figures.get(c.key), c) for c in columns)])
    whole = [line for line in cells if len(line) == len(columns) + 1]
    widths = [max(len(line[i]) for line in whole) for i in range(len(columns) + 1)]
    widths[0] = max(len(line[0]) for line in cells)
    return "\n".join(_line(line, widths) for line in cells)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    if len(cells) < len(widths):
        return f"{first:<{widths[0]}}  {'  '.join(others)}"
    return "  ".join([f"{first:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(others, widths[1:], strict=True))])


def _cell(value: object, column: Column) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    figure = float(value) / column.scale  # type: ignore[arg-type]
    if column.scale == 1 and figure == int(figure) and abs(figure) < 1e6:
        return str(int(figure))
    return f"{figure:.{4 if column.scale != 1 else 6}g}"


def _matrix(title: str, names: Sequence[str], values: Sequence[Sequence[float | None]]) -> str:
    width = max(len(title), *map(len, names))
    head = f"{title:<{width}}" + "".join(f"  {name:>6}" for name in names)
    lines = [
        f"{name:<{width}}"
        + "".join(
            f"  {'-' if value is None else f'{value:.2f}':>{max(6, len(other))}}"
            for value, other in zip(row, names, strict=True)
        )
        for name, row in zip(names, values, strict=True)
    ]
    return "\n".join([head, *lines])
