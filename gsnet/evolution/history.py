"""Every proposal of a search, in one SQLite file that a kill cannot corrupt, and two files of binary records beside it.

The first `ROWS_IN_DATABASE` proposals are rows of the database; what the compiled loop proposes after them are records
(`gsnet.evolution.packed_files`), which take a tenth of the time and half of the room.

Rows are committed in batches, at most about a second apart, and only whole rounds. Candidates' random numbers come from
(seed, iteration), so the next iteration's number is all the random state there is: a search continues after its last
committed row as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gsnet.evolution.database import MIGRATIONS, SCHEMA, connect, lock
from gsnet.evolution.packed import Packed
from gsnet.evolution.packed_files import Kept, RecordReader, RecordWriter
from gsnet.evolution.recorded import (
    DATABASE,
    DETERMINISTIC_COLUMNS,
    DUPLICATE,
    FAILED,
    IN_MEMORY,
    KEPT,
    OVER_BUDGET,
    SCHEMA_VERSION,
    SCORED,
    WITH_FIGURES,
    WITH_RECORDS,
    HistoryReader,
    Row,
    reporting,
)
from gsnet.evolution.settings import GROWTH, SearchError, SearchSettings

__all__ = ["DATABASE", "DETERMINISTIC_COLUMNS", "DUPLICATE", "FAILED", "OVER_BUDGET", "SCORED", "History", "Row"]

# How candidates get their random numbers: a search continues with those that it was begun with.
RANDOM_NUMBERS = "SplitMix64"
ROWS_IN_DATABASE = 1_000_000
_SECONDS_BETWEEN_COMMITS = 0.9
# How large the log of the database becomes before it is folded into it, in bytes.
_LARGEST_LOG = 256_000_000
_ROWS_TOGETHER = 64


class History(HistoryReader):
    """The record of one search; only one at a time may have a results folder's open for writing.

    folder: None for a history that is kept in memory alone. Threads may take turns with one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = lock(folder) if folder else None
        path = folder / DATABASE if folder else IN_MEMORY
        with contextlib.ExitStack() as failed:
            # Whoever has caught the error still has the file, and with it the lock.
            if self._lock:
                failed.callback(self._lock.close)
            super().__init__(path, connect(path))
            failed.pop_all()
        self._pending: list[Row] = []
        self._writer: RecordWriter | None = None
        self._failed = False
        self._last_commit = time.monotonic()

    @classmethod
    def create(cls, folder: Path | None, settings: SearchSettings) -> History:
        """A new, empty history in a folder that has none, or in memory. Raises SearchError."""
        history = cls(folder)
        with history._closed_by_errors(), reporting(history.path):
            # All or nothing, so that a kill leaves either no history or a whole one.
            history._connection.executescript(f"BEGIN;{SCHEMA}")
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
        with history._closed_by_errors():
            history._bring_up_to_date()
            history._take_up_records()
        return history

    @contextlib.contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _bring_up_to_date(self) -> None:
        """Have the columns that this program writes. Raises SearchError where a later one has made the history."""
        version = self._meta("schema_version")
        while version in MIGRATIONS:
            with reporting(self.path):
                self._connection.execute(MIGRATIONS[version])
            version = str(int(version) + 1)
            self._set_meta("schema_version", version)
        if version not in (str(SCHEMA_VERSION), str(WITH_RECORDS), str(WITH_FIGURES)):
            raise SearchError(f"{self.path} has schema version {version}, this program reads up to {WITH_FIGURES}")

    @property
    def settings(self) -> SearchSettings:
        return super().settings

    @settings.setter
    def settings(self, settings: SearchSettings) -> None:
        self._set_meta("settings", settings.to_json())

    @property
    def can_continue(self) -> bool:
        """Whether this program draws the same candidates as the one that began the search."""
        with reporting(self.path):
            found = self._connection.execute("SELECT value FROM meta WHERE key = 'random_numbers'").fetchone()
        return found == (RANDOM_NUMBERS,)

    @property
    def finished(self) -> bool:
        return super().finished

    @finished.setter
    def finished(self, value: bool) -> None:
        self._set_meta("finished", str(int(value)))

    def add_measured_latency(self, structure: str, seconds: float) -> None:
        """Keep a winner's measured seconds an image."""
        self._set_meta(f"measured latency of {structure}", repr(seconds))

    def add_latency_error_bar(self, structure: str, spread: float) -> None:
        """Keep the error bar of a winner's predicted latency."""
        self._set_meta(f"error bar of the latency of {structure}", repr(spread))

    def add_told(self, iteration: int, text: str) -> None:
        """Keep what was said of a candidate whose round is not complete; it is safe on disk at once."""
        self._set_meta(f"told {iteration}", text)

    def told(self) -> dict[int, str]:
        """What was said of the candidates of the round under way, by iteration."""
        with reporting(self.path):
            found = self._connection.execute("SELECT key, value FROM meta WHERE key GLOB 'told *'").fetchall()
        return {int(key.split()[1]): value for key, value in found}

    def add_migration(self, epoch: int, emigrants: Sequence[Sequence[int]]) -> None:
        """Keep, for each island, the iterations of those who leave it as an epoch begins; safe with the rows before it."""
        with self._all_or_nothing():
            self._replace(f"migration {epoch}", json.dumps(emigrants))

    def migration(self, epoch: int) -> list[list[int]] | None:
        """Who leaves each island as an epoch begins; None where that is not known yet."""
        with reporting(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (f"migration {epoch}",)).fetchone()
        return json.loads(row[0]) if row else None

    def forget_told(self) -> None:
        """A round is complete: its rows say it all."""
        with reporting(self.path):
            self._connection.execute("DELETE FROM meta WHERE key GLOB 'told *'")
        self.commit()

    def append(self, rows: list[Row]) -> None:
        """Record a whole round; it is safe on disk at the latest a second later."""
        self._pending += rows
        # However few they are: where scoring is slow, a handful of rows is the work of minutes.
        if time.monotonic() - self._last_commit > _SECONDS_BETWEEN_COMMITS:
            self.commit()
        elif len(self._pending) >= _ROWS_TOGETHER:
            self._insert()

    def extend(self, packed: Packed) -> None:
        """Record proposals, each of which is a whole round; they are safe as those of `append`."""
        self._insert()
        first = int(packed.iterations[0])
        if self._writer is None and first < ROWS_IN_DATABASE:
            self._insert_all(packed.rows())
        elif not self._failed:
            with self._all_or_nothing():
                self._writer = self._writer or self._first_records(first)
                self._writer.append(packed)
        if time.monotonic() - self._last_commit > _SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        """Put everything recorded so far on disk. Raises SearchError when the disk is full or read-only."""
        self._insert()
        if self._failed:
            return
        with self._all_or_nothing():
            if self._writer:
                # On disk before the database says that they are.
                self._writer.flush(durable=self._folder is not None)
                self._replace(KEPT, self._writer.kept.to_json())
            self._connection.commit()
            self._fold_log()
        self._last_commit = time.monotonic()

    def _insert(self) -> None:
        """Hand rows to SQLite while they are still in the processor's cache; they are safe once committed."""
        if not self._pending or self._failed:
            return
        self._insert_all(self._pending)
        if self._writer:
            with self._all_or_nothing():
                self._writer.skip(len(self._pending))
        self._pending.clear()

    def _insert_all(self, rows: Iterable[tuple]) -> None:
        if self._failed:
            return
        with self._all_or_nothing():
            places = ",".join("?" * len(Row._fields))
            self._connection.executemany(f"INSERT INTO proposals VALUES ({places})", rows)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A failure takes back what was not committed, and nothing is written after it: a history has no holes."""
        try:
            with reporting(self.path):
                yield
        except SearchError:
            self._failed = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            raise

    def drop_incomplete_round(self, round_size: int) -> None:
        """Forget rows after the last whole round: a longer search goes on as if it had been that long from the start."""
        with reporting(self.path):
            count = len(self)
            if remainder := count % round_size:
                self._connection.execute("DELETE FROM proposals WHERE iteration >= ?", (count - remainder,))
                self._connection.commit()

    def __len__(self) -> int:
        return super().__len__() + len(self._pending)

    def close(self) -> None:
        """Fold the log into the database and release the folder. What was not committed is lost."""
        if self._writer:
            self._writer.close()
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        if self._lock:
            self._lock.close()

    def _first_records(self, first: int) -> RecordWriter:
        """Begin the files of records."""
        kept = Kept(first, figures=tuple(name for name in self.settings.figures if name == GROWTH))
        self._replace("schema_version", str(WITH_FIGURES if kept.figures else WITH_RECORDS))
        return RecordWriter(self._folder, kept)

    def _take_up_records(self) -> None:
        """Go on writing records where there are any; rows of the database after those that are whole are none either."""
        kept = super()._kept()
        if kept is None:
            return
        with reporting(self.path):
            self._writer = RecordWriter(self._folder, kept)
            end = self._writer.kept.first + self._writer.kept.length
            self._connection.execute("DELETE FROM proposals WHERE iteration >= ?", (end,))
            self._replace(KEPT, self._writer.kept.to_json())
            self._connection.commit()

    def _kept(self) -> Kept | None:
        return self._writer.kept if self._writer else None

    def _records(self) -> RecordReader | None:
        if self._writer is None:
            return None
        with reporting(self.path):
            self._writer.flush()
            return RecordReader(self._writer.kept, self._writer.sources, self.settings.seed)

    def _fold_log(self) -> None:
        """Fold a large log into the database; where somebody reads it, another time."""
        log = self.path.with_name(f"{self.path.name}-wal")
        if self._folder is not None and log.exists() and log.stat().st_size > _LARGEST_LOG:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _replace(self, key: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _set_meta(self, key: str, value: str) -> None:
        with reporting(self.path):
            self._replace(key, value)
            self._connection.commit()
