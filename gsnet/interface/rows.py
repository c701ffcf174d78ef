"""Figures of several networks as a table in a file, a row each, also of those that failed."""

from __future__ import annotations

import csv
import json
import logging
from argparse import _ActionsContainer
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsnet.interface.files import written_whole
from gsnet.interface.path_options import new_file

_LOG = logging.getLogger(__name__)
_FIRST, _LAST = "arch", "error"


def add_csv_option(group: _ActionsContainer) -> None:
    """--csv, which every script has that takes several networks."""
    group.add_argument(
        "--csv",
        type=new_file,
        metavar="FILE",
        help="table with a row a network: its figures, or the error; written anew after each",
    )


def write_csv(file: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of plain values: "arch" first, "error" last, all other columns in the order in which they come up.

    None writes nothing. Lists and tables within a row are JSON. Raises OSError.
    """
    if file is None:
        return
    names = dict.fromkeys([_FIRST, *(name for row in rows for name in row), _LAST])
    columns = [*(name for name in names if name != _LAST), _LAST]
    with written_whole(file) as stream:
        table = csv.DictWriter(stream, columns, lineterminator="\n")
        table.writeheader()
        table.writerows([{name: _cell(value) for name, value in row.items()} for row in rows])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def say_csv(file: Path | None) -> None:
    """Say once all rows are there where the table is; None says nothing."""
    if file is not None:
        _LOG.info("%s: the table", file)
