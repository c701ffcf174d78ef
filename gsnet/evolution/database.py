"""The database of a history: its tables, and the one process that writes it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO

from gsnet.evolution.recorded import reporting
from gsnet.evolution.settings import SearchError

SCHEMA = """
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
    scores TEXT NOT NULL DEFAULT '',
    figures TEXT NOT NULL DEFAULT ''
);
"""
# Schema version -> what makes the next one of it.
MIGRATIONS = {
    version: f"ALTER TABLE proposals ADD COLUMN {name} TEXT NOT NULL DEFAULT ''"
    for version, name in (("1", "scores"), ("2", "figures"))
}


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes. Raises SearchError."""
    with reporting(path):
        connection = sqlite3.connect(path, isolation_level="DEFERRED", check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            # The log is folded into the database only here, at the end, and where it is large: meanwhile any beginning of it
            # is a sound history, wherever a crash may have torn it.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            connection.close()
            raise
        return connection


def lock(folder: Path) -> IO[str]:
    """The file that holds a folder for this process until it is closed. Raises SearchError."""
    path = folder / "search.lock"
    try:
        file = path.open("a+")
    except OSError as error:
        raise SearchError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        if not isinstance(error, BlockingIOError):
            raise SearchError(
                f"{path} cannot be locked ({error.strerror}): choose a --save_dir on a disk of this computer"
            ) from error
        message = f"Another search (process {owner}) is writing to {folder}: wait for it or choose another --save_dir"
        raise SearchError(message) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
