"""Every proposal of a search, in one SQLite file that a kill cannot corrupt.

Rows are committed in batches, at most about a second apart, and only whole rounds. Candidates' random numbers come from
(seed, iteration), so the next iteration's number is all the random state there is: a search continues after its last
committed row as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from gsnet.evolution.settings import SearchError, SearchSettings

SCHEMA_VERSION = 2
# How candidates get their random numbers: a search continues with those that it was begun with.
RANDOM_NUMBERS = "SplitMix64"
DATABASE = "search.db"
_SECONDS_BETWEEN_COMMITS = 0.9
_ROWS_TOGETHER = 64
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE proposals (
    iteration INTEGER PRIMARY KEY,
    parent INTEGER,
    seed INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    score REAL,
    layers INTEGER,
    parameters INTEGER,
    flops INTEGER,
    memory_access INTEGER,
    peak_feature_map INTEGER,
    latency REAL,
    seconds REAL NOT NULL,
    structure TEXT NOT NULL,
    scores TEXT NOT NULL DEFAULT ''
);
"""
# Schema version -> what makes the next one of it.
_MIGRATIONS = {"1": "ALTER TABLE proposals ADD COLUMN scores TEXT NOT NULL DEFAULT ''"}


class Row(NamedTuple):
    """One proposal: where it came from, what became of it and what it costs.

    parent: the iteration of the parent, None for a first candidate. outcome: "scored", "duplicate", "over budget" or
    "failed"; reason: which budget, or why it failed. latency and seconds (spent scoring) are in seconds. scores: of every
    proxy of an ensemble, as a JSON list, and then `score` is the first of them: what they come to depends on the population.
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


SCORED, DUPLICATE, OVER_BUDGET, FAILED = "scored", "duplicate", "over budget", "failed"
# Timings differ from run to run; everything else is the same for the same settings.
DETERMINISTIC_COLUMNS = tuple(name for name in Row._fields if name not in ("latency", "seconds"))


class History:
    """The record of one results folder; only one process at a time may have it open for writing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE
        self._lock = _lock(folder)
        self._connection = _connect(self.path)
        self._pending: list[Row] = []
        self._failed = False
        self._last_commit = time.monotonic()

    @classmethod
    def create(cls, folder: Path, settings: SearchSettings) -> History:
        """A new, empty history in a folder that has none. Raises SearchError."""
        history = cls(folder)
        with _reporting(history.path):
            history._connection.executescript(_SCHEMA)
            meta = {"schema_version": str(SCHEMA_VERSION), "settings": settings.to_json(), "finished": "0"}
            meta["random_numbers"] = RANDOM_NUMBERS
            history._connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            history._connection.commit()
        return history

    @classmethod
    def open(cls, folder: Path) -> History:
        """The history that a folder holds. Raises SearchError."""
        if not (folder / DATABASE).is_file():
            raise SearchError(f"{folder} holds no {DATABASE}: there is nothing to continue or report")
        history = cls(folder)
        version = history._meta("schema_version")
        if version in _MIGRATIONS:
            with _reporting(history.path):
                history._connection.execute(_MIGRATIONS[version])
            version = str(int(version) + 1)
            history._set_meta("schema_version", version)
        if version != str(SCHEMA_VERSION):
            history.close()
            raise SearchError(f"{history.path} has schema version {version}, this program reads {SCHEMA_VERSION}")
        return history

    @property
    def settings(self) -> SearchSettings:
        """The settings that the search was started with."""
        return SearchSettings.from_json(self._meta("settings"))

    @settings.setter
    def settings(self, settings: SearchSettings) -> None:
        self._set_meta("settings", settings.to_json())

    @property
    def can_continue(self) -> bool:
        """Whether this program draws the same candidates as the one that began the search."""
        with _reporting(self.path):
            found = self._connection.execute("SELECT value FROM meta WHERE key = 'random_numbers'").fetchone()
        return found == (RANDOM_NUMBERS,)

    @property
    def finished(self) -> bool:
        """Whether the search ran to its last iteration."""
        return self._meta("finished") == "1"

    @finished.setter
    def finished(self, value: bool) -> None:
        self._set_meta("finished", str(int(value)))

    def measured_latency(self, structure: str) -> float | None:
        """Seconds an image of a winner that was measured when the search had ended."""
        with _reporting(self.path):
            query = "SELECT value FROM meta WHERE key = ?"
            row = self._connection.execute(query, (f"measured latency of {structure}",)).fetchone()
        return float(row[0]) if row else None

    def add_measured_latency(self, structure: str, seconds: float) -> None:
        """Keep a winner's measured seconds an image."""
        self._set_meta(f"measured latency of {structure}", repr(seconds))

    def append(self, rows: list[Row]) -> None:
        """Record a whole round; it is safe on disk at the latest a second later."""
        self._pending += rows
        if len(self._pending) >= _ROWS_TOGETHER:
            self._insert()
            if time.monotonic() - self._last_commit > _SECONDS_BETWEEN_COMMITS:
                self.commit()

    def commit(self) -> None:
        """Put everything recorded so far on disk. Raises SearchError when the disk is full or read-only."""
        self._insert()
        if self._failed:
            return
        with self._all_or_nothing():
            self._connection.commit()
        self._last_commit = time.monotonic()

    def _insert(self) -> None:
        """Hand rows to SQLite while they are still in the processor's cache; they are safe once committed."""
        if self._failed:
            return
        with self._all_or_nothing():
            places = ",".join("?" * len(Row._fields))
            self._connection.executemany(f"INSERT INTO proposals VALUES ({places})", self._pending)
        self._pending.clear()

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A failure takes back what was not committed, and nothing is written after it: a history has no holes."""
        try:
            with _reporting(self.path):
                yield
        except SearchError:
            self._failed = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            raise

    def rows(self) -> Iterator[Row]:
        """All committed rows in order."""
        with _reporting(self.path):
            for values in self._connection.execute("SELECT * FROM proposals ORDER BY iteration"):
                yield Row(*values)

    def best(self, count: int) -> list[Row]:
        """The committed rows with the best scores, the oldest first among equals."""
        with _reporting(self.path):
            query = "SELECT * FROM proposals WHERE score IS NOT NULL ORDER BY score DESC, iteration LIMIT ?"
            return [Row(*values) for values in self._connection.execute(query, (count,))]

    def drop_incomplete_round(self, round_size: int) -> None:
        """Forget rows after the last whole round: a longer search goes on as if it had been that long from the start."""
        with _reporting(self.path):
            count = len(self)
            if remainder := count % round_size:
                self._connection.execute("DELETE FROM proposals WHERE iteration >= ?", (count - remainder,))
                self._connection.commit()

    def __len__(self) -> int:
        return self._connection.execute("SELECT COUNT(*) FROM proposals").fetchone()[0] + len(self._pending)

    def close(self) -> None:
        """Fold the log into the database and release the folder. What was not committed is lost."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.close()

    def _meta(self, key: str) -> str:
        with _reporting(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise SearchError(f"{self.path} is not a search history: it has no {key}")
        return row[0]

    def _set_meta(self, key: str, value: str) -> None:
        with _reporting(self.path):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            self._connection.commit()


class _reporting:
    """Turns SQLite's errors into sentences."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise SearchError(
                f"{self._path}: {error}. What was committed is safe: free the disk or fix the file, then use --resume"
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    with _reporting(path):
        connection = sqlite3.connect(path, isolation_level="DEFERRED")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # The log is folded into the database only here and at the end: meanwhile any beginning of it is a sound history,
        # wherever a crash may have torn it.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection


def _lock(folder: Path) -> IO[str]:
    path = folder / "search.lock"
    try:
        lock = path.open("a+")
    except OSError as error:
        raise SearchError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        message = f"Another search (process {owner}) is writing to {folder}: wait for it or choose another --save_dir"
        raise SearchError(message) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
