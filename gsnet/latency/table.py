"""Measured latencies of one device, in one SQLite file: layers, whole networks, and what was fitted to them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gsnet.latency.device import BF16, FP16, FP32, TORCH
from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import InferredLayers
from gsnet.latency.layers import Layer
from gsnet.latency.records import Calibration, Conditions, Origin, TimedNetwork
from gsnet.latency.tinynas import read_tinynas

_VERSION = "1"
_KEY = "kind, batch, in_channels, height, width, out_channels, kernel_size, stride, fused"
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (
    precision TEXT, kind TEXT, batch INTEGER, in_channels INTEGER, height INTEGER, width INTEGER, out_channels INTEGER,
    kernel_size INTEGER, stride INTEGER, fused INTEGER, seconds REAL, samples INTEGER NOT NULL,
    PRIMARY KEY (precision, {_KEY})
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
# Tables of before have none: their layers say all that was inferred.
_INFERRED = """
CREATE TABLE IF NOT EXISTS inferred (
    precision TEXT, batch INTEGER, resolution INTEGER, fit TEXT NOT NULL, PRIMARY KEY (precision, batch, resolution)
) WITHOUT ROWID;
"""


class LatencyTable:
    """The table in a file. Every write is a transaction: what a kill interrupts is measured again, nothing else."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        with self._reporting():
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        if meta.get("version") != _VERSION:
            raise LatencyError(f"{path} is no latency table of this program (version {meta.get('version', 'unknown')})")
        # Older tables of devices at hand are all of torch.
        before = "" if meta["fuses"] == "1" else TORCH
        self.origin = Origin(meta["device"], meta.get("runtime", before), meta.get("runtime_version", ""))
        self.fuses = meta["fuses"] == "1"

    @property
    def device(self) -> str:
        """The device's name, with its threads."""
        return self.origin.device

    @property
    def runtime(self) -> str:
        """What ran the networks; "" where that is not known."""
        return self.origin.runtime

    @classmethod
    def create(cls, path: Path, origin: Origin, *, fuses: bool) -> LatencyTable:
        """A new, empty table. fuses: the runtime folds normalisation, activations and sums into convolutions.

        Raises LatencyError where the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        try:
            with sqlite3.connect(part) as connection:
                connection.executescript(_SCHEMA)
                meta = {"version": _VERSION, "device": origin.device, "fuses": str(int(fuses))}
                meta |= {"runtime": origin.runtime, "runtime_version": origin.version}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.close()
            part.replace(path)
        except sqlite3.Error as error:
            raise LatencyError(f"{path} cannot be written: {error}. Is the disk full?") from error
        finally:
            part.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> LatencyTable:
        """The table that a file holds. Raises LatencyError."""
        if not path.is_file():
            raise LatencyError(
                f"There is no latency table {path}: make it with benchmark_network_latency.py --build_table, "
                "from what a device bundle measured with --import_timings, or from a TinyNAS library with --import_tinynas"
            )
        try:
            connection = sqlite3.connect(path)
            # A commit after every chain or network, each without waiting for the disk.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return cls(path, connection)
        except sqlite3.Error as error:
            raise LatencyError(f"{path} is no latency table: {error}") from error

    @classmethod
    def open_for(cls, path: Path, origin: Origin) -> LatencyTable:
        """The table of a device and runtime that are at hand, made if there is none. Raises LatencyError for one of others."""
        if not path.is_file():
            return cls.create(path, origin, fuses=origin.runtime != TORCH)
        table = cls.open(path)
        # Older tables do not say torch's version.
        if table.origin._replace(version=table.origin.version or origin.version) != origin:
            table.close()
            raise LatencyError(
                f"{path} holds latencies of {table.origin}, and this is {origin}: nothing measured here belongs into it, "
                "give another --latency_table"
            )
        return table

    def check_runtime(self, name: str | None) -> None:
        """Raise LatencyError where another runtime's latencies are asked for."""
        if name is not None and name != self.runtime:
            of = self.runtime or "a runtime that it does not name"
            raise LatencyError(
                f"{self.path} holds latencies of {of}, not of {name}: give the table that benchmark_network_latency.py "
                f"--build_table --backend {name} makes"
            )

    def layers(self, precision: str, batch: int) -> dict[Layer, float]:
        """Seconds of every layer that was measured at one batch size."""
        query = f"SELECT {_KEY}, seconds FROM layers WHERE precision = ? AND batch = ? AND seconds IS NOT NULL"
        with self._reporting():
            return {Layer(*row[:-1]): row[-1] for row in self._connection.execute(query, (precision, batch))}

    def known_layers(self, precision: str, batch: int) -> set[Layer]:
        """Every layer that was tried at one batch size, with or without success."""
        query = f"SELECT {_KEY} FROM layers WHERE precision = ? AND batch = ?"
        with self._reporting():
            return {Layer(*row) for row in self._connection.execute(query, (precision, batch))}

    def batches(self) -> dict[str, list[int]]:
        """Batch sizes of measured layers by precision."""
        found: dict[str, list[int]] = {}
        with self._reporting():
            query = "SELECT DISTINCT precision, batch FROM layers ORDER BY precision, batch"
            for precision, batch in self._connection.execute(query):
                found.setdefault(precision, []).append(batch)
        return found

    def precision(self, half: bool) -> str:
        """What --fp16 means in this table: float16 in a GPU's, bfloat16 in a processor's. Without it "fp32"."""
        if not half:
            return FP32
        known = self.batches()
        return BF16 if BF16 in known else FP16

    def add_layers(self, precision: str, rows: Iterable[tuple[Layer, float | None]]) -> int:
        """Put measured layers in, None for one that cannot be measured; returns how many. Of repeated ones the mean counts."""
        values = [(precision, *layer, seconds) for layer, seconds in rows]
        with self._reporting(), self._connection:
            self._insert_layers(values)
        return len(values)

    def put_inferred(self, conditions: Conditions, inferred: InferredLayers) -> None:
        """Put inferred layers in, in place of what was known of them, with what tells others under these conditions."""
        places = ",".join("?" * (len(Layer._fields) + 2))
        rows = [(conditions.precision, *layer, inferred.seconds(layer)) for layer in inferred.layers]
        with self._reporting(), self._connection:
            self._connection.execute(_INFERRED)
            self._connection.executemany(f"INSERT OR REPLACE INTO layers VALUES ({places}, 1)", rows)
            self._connection.execute(
                "INSERT OR REPLACE INTO inferred VALUES (?, ?, ?, ?)", (*conditions, inferred.to_json())
            )

    def inferred(self, conditions: Conditions) -> InferredLayers | None:
        """What was inferred from whole networks under these conditions."""
        query = "SELECT fit FROM inferred WHERE precision = ? AND batch = ? AND resolution = ?"
        with self._reporting():
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'inferred'").fetchone():
                return None
            row = self._connection.execute(query, conditions).fetchone()
        return InferredLayers.from_json(row[0]) if row else None

    def remove_layers(self, precision: str, layers: Iterable[Layer]) -> None:
        """Forget what is known of layers."""
        places = " AND ".join(f"{field} = ?" for field in Layer._fields)
        with self._reporting(), self._connection:
            self._connection.executemany(
                f"DELETE FROM layers WHERE precision = ? AND {places}", [(precision, *layer) for layer in layers]
            )

    def add_chain(self, conditions: Conditions, structure: str, rows: Iterable[tuple[Layer, float | None]]) -> None:
        """`add_layers` of a whole network's layers, and the note that it was measured."""
        values = [(conditions.precision, *layer, seconds) for layer, seconds in rows]
        with self._reporting(), self._connection:
            self._insert_layers(values)
            self._connection.execute("INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?)", (*conditions, structure))

    def chains(self, conditions: Conditions) -> set[str]:
        """The networks whose layers were measured."""
        query = "SELECT structure FROM chains WHERE precision = ? AND batch = ? AND resolution = ?"
        with self._reporting():
            return {structure for (structure,) in self._connection.execute(query, conditions)}

    def _insert_layers(self, values: Sequence[tuple]) -> None:
        places = ",".join("?" * (len(Layer._fields) + 2))
        self._connection.executemany(
            f"INSERT INTO layers VALUES ({places}, 1) ON CONFLICT DO UPDATE SET "
            "seconds = coalesce((seconds * samples + excluded.seconds) / (samples + 1), seconds, excluded.seconds), "
            "samples = samples + (excluded.seconds IS NOT NULL)",
            values,
        )

    def import_tinynas(self, path: Path, precision: str) -> int:
        """Take in a TinyNAS library; returns how many layers it has. Raises LatencyError."""
        return self.add_layers(precision, read_tinynas(path))

    def networks(self, conditions: Conditions, role: str) -> list[TimedNetwork]:
        """Whole networks timed under these conditions, each with the least of its rounds: the computer undisturbed."""
        return [network._replace(seconds=min(rounds)) for network, rounds in self.timings(conditions, role).items()]

    def timings(self, conditions: Conditions, role: str) -> dict[TimedNetwork, list[float]]:
        """Whole networks, their seconds left at 0, and their seconds in every round."""
        query = (
            "SELECT structure, num_classes, use_se, seconds FROM networks "
            "WHERE precision = ? AND batch = ? AND resolution = ? AND role = ? ORDER BY structure, num_classes, use_se"
        )
        found: dict[TimedNetwork, list[float]] = {}
        with self._reporting():
            for text, classes, se, seconds in self._connection.execute(query, (*conditions, role)):
                found.setdefault(TimedNetwork(text, classes, bool(se), role, 0.0), []).append(seconds)
        return found

    def rounds(self, conditions: Conditions, role: str, num_classes: int, use_se: bool) -> set[tuple[int, str]]:
        """Which network was timed in which round, as a classifier of so many classes."""
        query = (
            "SELECT round, structure FROM networks WHERE precision = ? AND batch = ? AND resolution = ? AND role = ? "
            "AND num_classes = ? AND use_se = ?"
        )
        with self._reporting():
            return set(self._connection.execute(query, (*conditions, role, num_classes, int(use_se))))

    def add_network(self, conditions: Conditions, timed: TimedNetwork, number: int = 0) -> None:
        """Put a whole network's time in the round `number` in."""
        values = (
            *(*conditions, timed.structure, timed.num_classes, int(timed.use_se), timed.role),
            *(number, timed.seconds),
        )
        with self._reporting(), self._connection:
            self._connection.execute(f"INSERT OR REPLACE INTO networks VALUES ({','.join('?' * len(values))})", values)

    def calibration(self, conditions: Conditions) -> Calibration | None:
        """What was fitted under these conditions."""
        query = "SELECT fit FROM calibrations WHERE precision = ? AND batch = ? AND resolution = ?"
        with self._reporting():
            row = self._connection.execute(query, conditions).fetchone()
        if row is None:
            return None
        fit = json.loads(row[0])
        return Calibration(tuple(fit["coefficients"]), fit["spread"], fit["networks"])

    def calibrated(self) -> list[Conditions]:
        """Under which conditions something was fitted."""
        query = "SELECT precision, batch, resolution FROM calibrations ORDER BY resolution, batch, precision"
        with self._reporting():
            return [Conditions(*row) for row in self._connection.execute(query)]

    def add_calibration(self, conditions: Conditions, calibration: Calibration) -> None:
        """Keep a fit."""
        with self._reporting(), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
                (*conditions, json.dumps(asdict(calibration))),
            )

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def __enter__(self) -> LatencyTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LatencyError(f"{self.path}: {error}") from error


def is_calibrated(path: Path, conditions: Conditions) -> bool:
    """Whether a file is a table with a fit for these conditions."""
    if not path.is_file():
        return False
    with LatencyTable.open(path) as table:
        return table.calibration(conditions) is not None
