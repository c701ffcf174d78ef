"""Rows of a benchmark that asks other programs, kept in a CSV file after each answer, so that a stopped run goes on."""

from __future__ import annotations

import csv
import importlib.metadata
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from gsnet.interface.files import write_text

Row = dict[str, str]
Rows = dict[tuple[str, ...], Row]


def read_rows(file: Path, key: Sequence[str]) -> Rows:
    """The rows of an earlier run by the values of the columns `key`."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        return {tuple(row[name] for name in key): row for row in csv.DictReader(stream)}


def save_rows(file: Path, fields: Sequence[str], rows: Rows, order: Iterable[tuple[str, ...]]) -> None:
    """Write all rows, in this order of their keys; those of other keys, which a run of less leaves alone, come last."""
    content = io.StringIO()
    writer = csv.DictWriter(content, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[key] for key in dict.fromkeys([*order, *rows]) if key in rows)
    write_text(file, content.getvalue())


def missing(packages: Iterable[str]) -> str | None:
    """Which of the packages is not installed, in words, or None."""
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"{package} is not installed"
    return None


def failure(error: Exception) -> str:
    """Another program's error in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
