"""What a history holds: its rows, and how they are read, also while a search is writing them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np

import PlainNet
from gsnet.evolution.outcomes import DUPLICATE, FAILED, OVER_BUDGET, SCORED
from gsnet.evolution.packed import ELSEWHERE, Packed
from gsnet.evolution.packed_files import NETWORKS, RECORDS, Kept, RecordReader
from gsnet.evolution.settings import SearchError, SearchSettings
from gsnet.interface.result_files import DATABASE
from PlainNet import Network

__all__ = ["DATABASE", "DUPLICATE", "FAILED", "OVER_BUDGET", "SCORED", "HistoryReader", "Row"]

# The others where there are records beside the database: whoever does not know of them would miss most proposals, and whoever
# does not know that these may hold a figure beside the costs would take one for the next.
SCHEMA_VERSION, WITH_RECORDS, WITH_FIGURES = 3, 4, 5
_VERSIONS = tuple(map(str, range(1, WITH_FIGURES + 1)))
# Of `meta`: what the files of `gsnet.evolution.packed_files` hold.
KEPT = "records"
# Of `meta`: what a history has from its first moment.
AT_FIRST = {"schema_version", "settings", "finished", "random_numbers"}
_BATCH = 4_096
# More iterations than any search has.
_ALL = 1 << 62
IN_MEMORY = Path(":memory:")


class Row(NamedTuple):
    """One proposal: where it came from, what became of it and what it costs.

    parent: the iteration of the parent, None for a first candidate. outcome: "scored", "duplicate", "over budget" or
    "failed"; reason: which budget, or why it failed. latency and seconds (spent scoring) are in seconds. scores: of every
    proxy of an ensemble, as a JSON list, and then `score` is the first of them: what they come to depends on the population.
    figures: what functions of the user's own say of the network, as a JSON object.
    """

    iteration: int
    parent: int | None
    seed: int
    outcome: str
    reason: str
    score: float | None
    layers: int | None
    parameters: int | None
    flops: int | None
    memory_access: int | None
    peak_feature_map: int | None
    latency: float | None
    seconds: float
    structure: str
    scores: str = ""
    figures: str = ""

    @property
    def network(self) -> Network:
        """The network as a value."""
        return PlainNet.parse(self.structure)


# Timings differ from run to run; everything else is the same for the same settings.
DETERMINISTIC_COLUMNS = tuple(name for name in Row._fields if name not in ("latency", "seconds", "figures"))


class Recording(Protocol):
    """Where the proposals of a search go, and come from when it is taken up again."""

    def append(self, rows: list[Row]) -> None:
        """Record a whole round."""
        ...

    def extend(self, packed: Packed) -> None:
        """Record proposals, each of which is a whole round."""
        ...

    def drop_incomplete_round(self, round_size: int) -> None:
        """Forget rows after the last whole round."""
        ...

    def batches(self) -> Iterator[list[Row] | Packed]:
        """All that was recorded, in order."""
        ...


class HistoryReader:
    """The record of a search as a reader sees it. Raises SearchError where it is none."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That of a results folder, which is left as it is, also while a search writes to it. Raises SearchError."""
        path = folder / DATABASE
        if not path.is_file():
            raise SearchError(f"{folder} holds no {DATABASE}: it is no results folder of a search")
        reader = cls(path, _connected(path))
        try:
            version = reader._meta("schema_version")
            if not version.isdecimal() or int(version) > WITH_FIGURES:
                raise SearchError(f"{path} has schema version {version}, this program reads up to {WITH_FIGURES}")
        except BaseException:
            reader.close()
            raise
        return reader

    @cached_property
    def _columns(self) -> str:
        """Columns that older histories lack are as in a search that has none of it."""
        with reporting(self.path):
            known = [column[1] for column in self._connection.execute("PRAGMA table_info(proposals)")]
        return ", ".join(name if name in known else f"'' AS {name}" for name in Row._fields)

    @property
    def settings(self) -> SearchSettings:
        """The settings that the search was started with."""
        return SearchSettings.from_json(self._meta("settings"))

    @property
    def finished(self) -> bool:
        """Whether the search ran to its last iteration."""
        return self._meta("finished") == "1"

    def measured_latency(self, structure: str) -> float | None:
        """Seconds an image of a winner that was measured when the search had ended."""
        return self._number(f"measured latency of {structure}")

    def latency_error_bar(self, structure: str) -> float | None:
        """The error bar of a winner's predicted latency: standard deviation of its logarithm."""
        return self._number(f"error bar of the latency of {structure}")

    def rows(self, end: int = -1) -> Iterator[Row]:
        """All committed rows in order; with `end` the first so many."""
        for batch in self.batches(end):
            yield from rows_of(batch)

    def batches(self, end: int = -1) -> Iterator[list[Row] | Packed]:
        """All committed rows in order, some thousands together; with `end` the first so many."""
        last, records = _ALL if end < 0 else end, self._records()
        yield from self._rows(0, min(last, records.kept.first) if records else last)
        if records is None:
            return
        with reporting(self.path):
            for packed in records.batches(last):
                yield from self._with_rows(packed)

    def at(self, iterations: Iterable[int]) -> list[Row]:
        """The rows of some iterations, in their order."""
        wanted, records = np.fromiter(iterations, dtype=np.int64), self._records()
        found: dict[int, Row] = {}
        if records is not None:
            places = wanted[wanted >= records.kept.first] - records.kept.first
            packed = records.at(places[records.at(places).records["outcome"] != ELSEWHERE])
            found = {row.iteration: row for row in rows_of(packed)}
        query = f"SELECT {self._columns} FROM proposals WHERE iteration = ?"
        with reporting(self.path):
            for iteration in wanted.tolist():
                if iteration not in found:
                    found[iteration] = Row(*self._connection.execute(query, (iteration,)).fetchone())
        return [found[iteration] for iteration in wanted.tolist()]

    def best(self, count: int) -> list[Row]:
        """The committed rows with the best scores, the oldest first among equals."""
        records = self._records()
        query = f"SELECT {self._columns} FROM proposals WHERE score IS NOT NULL ORDER BY score DESC, iteration LIMIT ?"
        with reporting(self.path):
            rows = [Row(*values) for values in self._connection.execute(query, (count,))]
        if records is not None:
            rows += self.at(records.best(count).tolist())
        return sorted(rows, key=lambda row: (-(row.score or 0.0), row.iteration))[:count]

    def __len__(self) -> int:
        if kept := self._kept():
            return kept.first + kept.length
        return self._connection.execute("SELECT COUNT(*) FROM proposals").fetchone()[0]

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _rows(self, first: int, end: int) -> Iterator[list[Row]]:
        """The rows of the database from one iteration up to another."""
        query = f"SELECT {self._columns} FROM proposals WHERE iteration >= ? AND iteration < ? ORDER BY iteration"
        with reporting(self.path), closing(self._connection.execute(query, (first, end))) as found:
            while batch := found.fetchmany(_BATCH):
                yield list(map(Row._make, batch))

    def _with_rows(self, packed: Packed) -> Iterator[list[Row] | Packed]:
        """Some records, and the rows of the database in place of those that stand for them."""
        elsewhere = packed.records["outcome"] == ELSEWHERE
        edges = [0, *(np.flatnonzero(np.diff(elsewhere)) + 1).tolist(), len(elsewhere)]
        for first, end in pairwise(edges):
            if first == end:
                continue
            if elsewhere[first]:
                yield from self._rows(int(packed.iterations[first]), int(packed.iterations[end - 1]) + 1)
            else:
                yield packed if end - first == len(elsewhere) else packed.between(first, end)

    def _kept(self) -> Kept | None:
        """What the files beside the database hold at the moment."""
        with reporting(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (KEPT,)).fetchone()
        return Kept.from_json(row[0]) if row else None

    def _records(self) -> RecordReader | None:
        """The records that are committed; None where all rows are in the database."""
        kept, folder = self._kept(), self.path.parent
        if kept is None:
            return None
        with reporting(self.path):
            return RecordReader(kept, (folder / RECORDS, folder / NETWORKS), self.settings.seed)

    def _number(self, key: str) -> float | None:
        with reporting(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return float(row[0]) if row else None

    def _meta(self, key: str) -> str:
        with reporting(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise SearchError(f"{self.path} is not a search history: it has no {key}")
        return row[0]


def holds_search(folder: Path) -> bool:
    """Whether a folder's database has anything of a search in it. Raises SearchError where it is none.

    A kill while it was made, or before the first proposals were safe, leaves one that has nothing.
    """
    path = folder / DATABASE
    if not path.is_file():
        return path.exists()
    with reporting(path), closing(_connected(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "proposals" in tables and connection.execute("SELECT 1 FROM proposals LIMIT 1").fetchone():
            return True
        meta = dict(connection.execute("SELECT key, value FROM meta")) if "meta" in tables else {}
    # What a later version or another program has made is not ours to judge.
    known = tables <= {"meta", "proposals"} and meta.keys() <= AT_FIRST
    return not known or meta.get("finished") == "1" or meta.get("schema_version", str(SCHEMA_VERSION)) not in _VERSIONS


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises SearchError."""
    # A log beside the database is somebody's who writes, or did until a kill; without one nothing need be shared.
    how = "mode=ro" if path.with_name(f"{DATABASE}-wal").exists() else "immutable=1"
    with reporting(path):
        return sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, check_same_thread=False)


def rows_of(batch: list[Row] | Packed) -> Iterator[Row]:
    """The rows of what `HistoryReader.batches` gives."""
    return map(Row._make, batch.rows()) if isinstance(batch, Packed) else iter(batch)


class reporting:
    """Turns errors of SQLite and of files into sentences."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise SearchError(
                f"{self._path}: {error}. What was committed is safe: free the disk or fix the file, then use --resume"
            ) from error
        if isinstance(error, OSError | ValueError):
            file = getattr(error, "filename", None) or self._path.parent / RECORDS
            raise SearchError(
                f"{file}: {getattr(error, 'strerror', None) or error}. What was committed is safe: free the disk, then use "
                "--resume"
            ) from error
