"""The SQLite file of a device's latencies: what it is of, its making, its opening, and its errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from gsnet.interface.files import check_replaceable, target_of
from gsnet.interface.partial import part_file, part_folder, remove_leftovers
from gsnet.latency.device import TORCH
from gsnet.latency.errors import LatencyError
from gsnet.latency.layer import MOVING
from gsnet.latency.records import Origin
from gsnet.runtimes import runtime_names, way_of_rewriting
from gsnet.runtimes.rewriting import AS_IT_IS, SOME_WAY

_VERSION = "1"
LAYER_KEY = "kind, batch, in_channels, height, width, out_channels, kernel_size, stride, fused"
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (
    precision TEXT, kind TEXT, batch INTEGER, in_channels INTEGER, height INTEGER, width INTEGER, out_channels INTEGER,
    kernel_size INTEGER, stride INTEGER, fused INTEGER, seconds REAL, samples INTEGER NOT NULL,
    PRIMARY KEY (precision, {LAYER_KEY})
) WITHOUT ROWID;
CREATE TABLE chains (
    precision TEXT, batch INTEGER, resolution INTEGER, structure TEXT, PRIMARY KEY (precision, batch, resolution, structure)
) WITHOUT ROWID;
CREATE TABLE networks (
    precision TEXT, batch INTEGER, resolution INTEGER, structure TEXT, num_classes INTEGER, use_se INTEGER, role TEXT,
    round INTEGER, seconds REAL NOT NULL,
    PRIMARY KEY (precision, batch, resolution, role, structure, num_classes, use_se, round)
) WITHOUT ROWID;
CREATE TABLE calibrations (
    precision TEXT, batch INTEGER, resolution INTEGER, fit TEXT NOT NULL, PRIMARY KEY (precision, batch, resolution)
) WITHOUT ROWID;
"""
# Tables of before have none of these: their layers say all that was inferred, and networks were timed as a whole alone.
LATER_SCHEMA = """
CREATE TABLE IF NOT EXISTS inferred (
    precision TEXT, batch INTEGER, resolution INTEGER, fit TEXT NOT NULL, PRIMARY KEY (precision, batch, resolution)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profiles (
    precision TEXT, batch INTEGER, resolution INTEGER, structure TEXT, num_classes INTEGER, use_se INTEGER, role TEXT,
    shares TEXT NOT NULL,
    PRIMARY KEY (precision, batch, resolution, role, structure, num_classes, use_se)
) WITHOUT ROWID;
"""


class TableFile:
    """A table's file, and which device and runtime it is of.

    way: in which its networks were rewritten (`gsnet.runtimes.rewriting`). exported_for: the runtime for which they were
    written, which may be another than the one that ran them; "" where that is not known.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        if meta.get("version") != _VERSION:
            raise LatencyError(f"{path} is no latency table of this program (version {meta.get('version', 'unknown')})")
        # Older tables of devices at hand are all of torch.
        before = "" if meta["fuses"] == "1" else TORCH
        self.origin = Origin(meta["device"], meta.get("runtime", before), meta.get("runtime_version", ""))
        self.fuses = meta["fuses"] == "1"
        # Older tables do not say it, and list what an export writes anew as if it were not.
        self.way = int(meta.get("rewrites", AS_IT_IS))
        self.rewrites = self.way != AS_IT_IS
        # Older tables do not say it.
        self.exported_for = meta.get("exported_for", "")

    @property
    def device(self) -> str:
        """The device's name, with its threads."""
        return self.origin.device

    @property
    def runtime(self) -> str:
        """What ran the networks; "" where that is not known."""
        return self.origin.runtime

    @property
    def of_other_files(self) -> str:
        """In words, that its networks were written for another runtime than the one that ran them; "" where they were not."""
        if self.exported_for in ("", self.runtime):
            return ""
        return f"of files that are exported for {self.exported_for}, not of those for {self.runtime}"

    @property
    def of_other_graphs(self) -> str:
        """In words, that its networks were written otherwise than exports are now; "" where they were not.

        Nor where the same came of it: only networks that split, join or shuffle channels are rewritten.
        """
        name = self.exported_for or self.runtime
        # Of a runtime that is not known here, as of a plugin that is not given, nothing can be said.
        if name not in runtime_names() or self.way == way_of_rewriting(name) or not self._moves_channels():
            return ""
        written = f"of networks as an earlier version wrote them for {name}, and exports of now may take another time"
        return f"{written}: build the table again"

    @property
    def warnings(self) -> list[str]:
        """What is to be known of all its latencies, in words that go on from "latencies"."""
        return [sentence for sentence in (self.of_other_files, self.of_other_graphs) if sentence]

    @classmethod
    def create(cls, path: Path, origin: Origin, *, fuses: bool, way: int = AS_IT_IS, exported_for: str = "") -> Self:
        """A new, empty table; the one that is there, where another process was quicker.

        fuses: the runtime folds normalisation, activations and sums into convolutions. way, exported_for: see the class.
        Raises LatencyError or OSError where the file cannot be written.
        """
        check_replaceable(path)
        path = target_of(path)
        meta = {"version": _VERSION, "device": origin.device, "fuses": str(int(fuses)), "rewrites": str(way)}
        meta |= {"runtime": origin.runtime, "runtime_version": origin.version, "exported_for": exported_for}
        remove_leftovers(path)
        with part_file(path) as part:
            try:
                with closing(sqlite3.connect(part)) as connection, connection:
                    # In a file of its own a journal could be left behind.
                    connection.execute("PRAGMA journal_mode = MEMORY")
                    connection.executescript(_SCHEMA)
                    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            except sqlite3.Error as error:
                raise LatencyError(f"{path} cannot be written: {error}. Is the disk full?") from error
            _name_new(part, path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, backend: str | None = None) -> Self:
        """The table that a file holds, to read alone where the user may not write it. Raises LatencyError.

        backend: the runtime that is asked for, of which the error tells how to make a table.
        """
        if path.is_dir():
            raise LatencyError(f"{path} is a folder: give --latency_table a file")
        if not path.is_file():
            of = f" --backend {backend}" if backend not in (None, TORCH) else ""
            raise LatencyError(
                f"There is no latency table {path}: make it with benchmark_network_latency.py --build_table{of}, "
                "from what a device bundle measured with --import_timings, or from a TinyNAS library with --import_tinynas"
            )
        effective = os.access in os.supports_effective_ids
        writable = all(os.access(one, os.W_OK, effective_ids=effective) for one in (path, path.parent))
        # Where nobody writes to it, SQLite need make no files beside a table to read it.
        still = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        how = "mode=rw" if writable else still
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)
        try:
            table = cls(path, connection)
            if writable:
                # A commit after every chain or network, each without waiting for the disk. Only now: what is no table stays as
                # it was.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            return table
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise LatencyError(f"{path} is no latency table: {error}") from error
            raise

    @classmethod
    def open_for(
        cls, path: Path, origin: Origin, *, fuses: bool | None = None, way: int = AS_IT_IS, exported_for: str = ""
    ) -> Self:
        """The table of a device and runtime that are at hand, made if there is none. Raises LatencyError for one of others.

        fuses: see `create`; by default whether it is of another runtime than torch. way, exported_for: of what is to be put in.
        """
        if path.is_file():
            table = cls.open(path)
        else:
            folded = origin.runtime != TORCH if fuses is None else fuses
            table = cls.create(path, origin, fuses=folded, way=way, exported_for=exported_for)
        try:
            table.check_is_of(origin, exported_for, way)
            table.take_way(way)
        except LatencyError:
            table.close()
            raise
        return table

    @classmethod
    @contextmanager
    def changed_whole(
        cls, path: Path, origin: Origin, *, way: int = AS_IT_IS, exported_for: str = ""
    ) -> Iterator[Self]:
        """`open_for` of a table that has all that is put in when the block ends, and nothing of it where an error ends it."""
        check_replaceable(path)
        target = target_of(path)
        open_for = partial(cls.open_for, origin=origin, way=way, exported_for=exported_for)
        with part_folder(target) as folder:
            draft = folder / target.name
            if path.is_file():
                with cls.open(path) as before:
                    before.check_is_of(origin, exported_for, way)
                    before.copy_to(draft)
            with open_for(draft) as table:
                # As messages name it.
                table.path = path
                yield table
                with open_for(path) as made:
                    made.copy_from(table)

    def copy_to(self, path: Path) -> None:
        """Write all that the table has to another file, which is new. Raises LatencyError."""
        with self.reporting(), closing(sqlite3.connect(path)) as connection:
            self.connection.backup(connection)

    def copy_from(self, table: TableFile) -> None:
        """Take all of another table in place of what this one has, at once. Raises LatencyError."""
        with self.reporting():
            table.connection.backup(self.connection)

    def check_is_of(self, origin: Origin, exported_for: str, way: int) -> None:
        """Raise LatencyError unless the latencies are of this device and runtime, and of files for that runtime of this way.

        Of older tables it is not known in which way theirs are: `of_other_graphs` says so.
        """
        # Older tables do not say torch's version.
        if self.origin._replace(version=self.origin.version or origin.version) != origin:
            held, given = str(self.origin), str(origin)
        elif self.exported_for and exported_for and self.exported_for != exported_for:
            held, given = (f"files that are exported for {name}" for name in (self.exported_for, exported_for))
        elif self.way != way and SOME_WAY not in (self.way, way) and self._moves_channels():
            held, given = "networks as another version wrote them", "one whose networks take another time"
        else:
            return
        raise LatencyError(
            f"{self.path} holds latencies of {held}, and this is {given}: nothing measured here belongs into it, "
            "give another --latency_table, or remove that file to measure all anew"
        )

    def take_way(self, way: int) -> None:
        """Make the table one of networks that are rewritten in this way, if none of its own would be another by it."""
        if self.way == way or self._moves_channels():
            return
        with self.reporting(), self.connection:
            self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('rewrites', ?)", (str(way),))
        self.way, self.rewrites = way, way != AS_IT_IS

    def check_runtime(self, name: str | None) -> None:
        """Raise LatencyError where another runtime's latencies are asked for."""
        if name is not None and name != self.runtime:
            of = self.runtime or "a runtime that it does not name"
            raise LatencyError(
                f"{self.path} holds latencies of {of}, not of {name}: give the table that benchmark_network_latency.py "
                f"--build_table --backend {name} makes"
            )

    def has(self, name: str) -> bool:
        """Whether the file has a table of LATER_SCHEMA."""
        with self.reporting():
            found = self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        return found is not None

    def _moves_channels(self) -> bool:
        """Whether a network of the table splits, joins or shuffles channels; also where nothing is known of its layers yet."""
        kinds = ", ".join("?" * len(MOVING))
        with self.reporting():
            if self.connection.execute(f"SELECT 1 FROM layers WHERE kind IN ({kinds}) LIMIT 1", MOVING).fetchone():
                return True
            some = [
                self.connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in ("layers", "networks")
            ]
        return some[0] is None and some[1] is not None

    def close(self) -> None:
        """Release the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Errors of the file as LatencyError, with its name."""
        try:
            yield
        except sqlite3.Error as error:
            raise LatencyError(f"{self.path}: {error}") from error


def _name_new(part: Path, path: Path) -> None:
    """Give a whole file its name, unless another process has given it to one of its own meanwhile."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return
    except OSError:
        # A disk without links.
        part.replace(path)
