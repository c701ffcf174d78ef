"""What several runtimes take for a network, and which of their operations take it, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gsnet.interface.words import counted

# Of a runtime's report: why it was not timed, and which packages it lacks where that is why.
ERROR, PACKAGES = "error", "packages"
# What a page of operations shows: kinds, and single operations.
_MOST_KINDS, _MOST_SINGLE = 12, 15
_LINE = "{:<16}{:<14}{:>5}  {:>9}  {:>20}  {:>9}  {}"


def comparison_table(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Several runtimes' reports as one table; those that could not be timed say why below it."""
    timed = [(report, row) for report in reports for row in report.get("rows", ())]
    names = ("backend", "computes in", "batch", "median ms", "quartiles ms", "images/s", "difference")
    lines = [_LINE.format(*names)] if timed else []
    for report, row in timed:
        lower, median, upper = (f"{row[name] * 1e3:.4g}" for name in ("lower_quartile", "median", "upper_quartile"))
        off = report["max_difference"]
        difference = "-" if off is None else f"{off:.1e}"
        figures = (row["batch"], median, f"{lower} to {upper}", f"{row['images_per_second']:.4g}", difference)
        lines.append(_LINE.format(report["backend"], report["precision"], *figures))
    return lines + reasons(reports)


def reasons(reports: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why runtimes were not timed: a line for each, and one for all that are not installed."""
    failed = [report for report in reports if ERROR in report]
    missing = [report for report in failed if PACKAGES in report]
    if len(missing) < 2:
        return [_with_name(report["backend"], report[ERROR]) for report in failed]
    *names, last = (report["backend"] for report in missing)
    packages = dict.fromkeys(package for report in missing for package in report[PACKAGES])
    line = f"not installed: {', '.join(names)} and {last}, for which pip install {' '.join(packages)}"
    return [*(_with_name(one["backend"], one[ERROR]) for one in failed if PACKAGES not in one), line]


def _with_name(backend: str, error: str) -> str:
    """What a runtime says of itself, which mostly begins with its name."""
    return error if error.startswith(f"{backend} ") else f"{backend}: {error}"


def operation_lines(backend: str, operations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Operations of a pass, as of `gsnet.runtimes.Operation`: summed by their kind, and the longest ones, longest first."""
    seconds: dict[str, list[float]] = {}
    for one in operations:
        seconds.setdefault(one["kind"], []).append(one["seconds"])
    kinds = sorted(((sum(times), len(times), kind) for kind, times in seconds.items()), reverse=True)
    whole = sum(total for total, _, _ in kinds)

    def part(total: float) -> str:
        return f"  {total * 1e6:10.1f} us {total / whole if whole else 0:6.1%}"

    lines = [f"{backend}: {counted(len(operations), 'operation')}, {whole * 1e6:.1f} us together"]
    lines += [f"{part(total)} {count:6} {kind}" for total, count, kind in kinds[:_MOST_KINDS]]
    if rest := kinds[_MOST_KINDS:]:
        total, count = sum(total for total, _, _ in rest), sum(count for _, count, _ in rest)
        lines.append(f"{part(total)} {count:6} of {counted(len(rest), 'other kind')}")
    longest = sorted(operations, key=lambda one: -one["seconds"])[:_MOST_SINGLE]
    more = "the longest of them" if len(operations) > len(longest) else "each"
    lines += [f"  {more}:", *(f"{part(one['seconds'])} {one['kind']:<30} {one['name']}".rstrip() for one in longest)]
    return lines


def operation_rows(reports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every operation of networks' reports as a row of a table, in the order in which they ran."""
    rows = []
    for report in reports:
        for one in report.get("backends", [report]):
            named = {name: found[name] for name in ("arch", "backend") for found in (report | one,) if name in found}
            # Operations are of the first batch size.
            named |= {"batch": one["rows"][0]["batch"]} if one.get("rows") else {}
            rows += [{**named, "place": place} | told for place, told in enumerate(one.get("operations", ()))]
    return rows
