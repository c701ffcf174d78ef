"""Measured latencies of one device, in one SQLite file: layers, whole networks, and what was fitted to them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from gsnet.latency.device import BF16, FP16, FP32, is_tuned
from gsnet.latency.inferred_layers import InferredLayers
from gsnet.latency.layer import Layer
from gsnet.latency.profiled import Share
from gsnet.latency.records import Calibration, Conditions, TimedNetwork
from gsnet.latency.table_file import LATER_SCHEMA, LAYER_KEY, TableFile

_LOG = logging.getLogger(__name__)


class LatencyTable(TableFile):
    """The table in a file. Every write is a transaction: what a kill interrupts is measured again, nothing else."""

    def layers(self, precision: str, batch: int) -> dict[Layer, float]:
        """Seconds of every layer that was measured at one batch size."""
        query = f"SELECT {LAYER_KEY}, seconds FROM layers WHERE precision = ? AND batch = ? AND seconds IS NOT NULL"
        with self.reporting():
            return {Layer(*row[:-1]): row[-1] for row in self.connection.execute(query, (precision, batch))}

    def known_layers(self, precision: str, batch: int) -> set[Layer]:
        """Every layer that was tried at one batch size, with or without success."""
        query = f"SELECT {LAYER_KEY} FROM layers WHERE precision = ? AND batch = ?"
        with self.reporting():
            return {Layer(*row) for row in self.connection.execute(query, (precision, batch))}

    def batches(self) -> dict[str, list[int]]:
        """Batch sizes of measured layers by precision."""
        found: dict[str, list[int]] = {}
        with self.reporting():
            query = "SELECT DISTINCT precision, batch FROM layers ORDER BY precision, batch"
            for precision, batch in self.connection.execute(query):
                found.setdefault(precision, []).append(batch)
        return found

    def precision(self, half: bool) -> str:
        """What --fp16 means in this table: float16 in a GPU's, bfloat16 in a processor's. Without it what its runtime takes."""
        if not (half or is_tuned(self.runtime, "cuda")):
            return FP32
        known = self.batches()
        return BF16 if BF16 in known else FP16

    def add_layers(self, precision: str, rows: Iterable[tuple[Layer, float | None]]) -> int:
        """Put measured layers in, None for one that cannot be measured; returns how many. Of repeated ones the mean counts."""
        values = [(precision, *layer, seconds) for layer, seconds in rows]
        with self.reporting(), self.connection:
            self._insert_layers(values)
        return len(values)

    def put_inferred(self, conditions: Conditions, inferred: InferredLayers) -> None:
        """Put inferred layers in, in place of what was known of them, with what tells others under these conditions."""
        places = ",".join("?" * (len(Layer._fields) + 2))
        rows = [(conditions.precision, *layer, inferred.seconds(layer)) for layer in inferred.layers]
        with self.reporting(), self.connection:
            self.connection.executescript(LATER_SCHEMA)
            self.connection.executemany(f"INSERT OR REPLACE INTO layers VALUES ({places}, 1)", rows)
            self.connection.execute(
                "INSERT OR REPLACE INTO inferred VALUES (?, ?, ?, ?)", (*conditions, inferred.to_json())
            )

    def inferred(self, conditions: Conditions) -> InferredLayers | None:
        """What was inferred from whole networks under these conditions."""
        if not self.has("inferred"):
            return None
        query = "SELECT fit FROM inferred WHERE precision = ? AND batch = ? AND resolution = ?"
        with self.reporting():
            row = self.connection.execute(query, conditions).fetchone()
        return InferredLayers.from_json(row[0]) if row else None

    def remove_layers(self, precision: str, layers: Iterable[Layer]) -> None:
        """Forget what is known of layers."""
        places = " AND ".join(f"{field} = ?" for field in Layer._fields)
        with self.reporting(), self.connection:
            self.connection.executemany(
                f"DELETE FROM layers WHERE precision = ? AND {places}", [(precision, *layer) for layer in layers]
            )

    def add_chain(self, conditions: Conditions, structure: str, rows: Iterable[tuple[Layer, float | None]]) -> None:
        """`add_layers` of a whole network's layers, and the note that it was measured."""
        values = [(conditions.precision, *layer, seconds) for layer, seconds in rows]
        with self.reporting(), self.connection:
            self._insert_layers(values)
            self.connection.execute("INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?)", (*conditions, structure))

    def chains(self, conditions: Conditions) -> set[str]:
        """The networks whose layers were measured."""
        query = "SELECT structure FROM chains WHERE precision = ? AND batch = ? AND resolution = ?"
        with self.reporting():
            return {structure for (structure,) in self.connection.execute(query, conditions)}

    def _insert_layers(self, values: Sequence[tuple]) -> None:
        places = ",".join("?" * (len(Layer._fields) + 3))
        self.connection.executemany(
            f"INSERT INTO layers VALUES ({places}) ON CONFLICT DO UPDATE SET "
            "seconds = coalesce((seconds * samples + excluded.seconds) / (samples + 1), seconds, excluded.seconds), "
            "samples = samples + excluded.samples",
            # One that could not be measured is no sample.
            [(*value, int(value[-1] is not None)) for value in values],
        )

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
        with self.reporting():
            for text, classes, se, seconds in self.connection.execute(query, (*conditions, role)):
                found.setdefault(TimedNetwork(text, classes, bool(se), role, 0.0), []).append(seconds)
        return found

    def rounds(self, conditions: Conditions, role: str, num_classes: int, use_se: bool) -> set[tuple[int, str]]:
        """Which network was timed in which round, as a classifier of so many classes."""
        query = (
            "SELECT round, structure FROM networks WHERE precision = ? AND batch = ? AND resolution = ? AND role = ? "
            "AND num_classes = ? AND use_se = ?"
        )
        with self.reporting():
            return set(self.connection.execute(query, (*conditions, role, num_classes, int(use_se))))

    def add_network(self, conditions: Conditions, timed: TimedNetwork, number: int = 0) -> None:
        """Put a whole network's time in the round `number` in."""
        values = (
            *(*conditions, timed.structure, timed.num_classes, int(timed.use_se), timed.role),
            *(number, timed.seconds),
        )
        with self.reporting(), self.connection:
            self.connection.execute(f"INSERT OR REPLACE INTO networks VALUES ({','.join('?' * len(values))})", values)

    def add_profile(self, conditions: Conditions, timed: TimedNetwork, shares: Iterable[Share]) -> None:
        """Keep which parts of a network's time its layers take, in place of what was known."""
        told = json.dumps([[*share.layer, share.part] for share in shares])
        values = (*conditions, timed.structure, timed.num_classes, int(timed.use_se), timed.role, told)
        with self.reporting(), self.connection:
            self.connection.executescript(LATER_SCHEMA)
            self.connection.execute(f"INSERT OR REPLACE INTO profiles VALUES ({','.join('?' * len(values))})", values)

    def profiles(self, conditions: Conditions, role: str) -> dict[TimedNetwork, list[Share]]:
        """Networks that were profiled, their seconds left at 0, and which parts of them their layers take."""
        if not self.has("profiles"):
            return {}
        query = (
            "SELECT structure, num_classes, use_se, shares FROM profiles "
            "WHERE precision = ? AND batch = ? AND resolution = ? AND role = ?"
        )
        with self.reporting():
            rows = self.connection.execute(query, (*conditions, role)).fetchall()
        return {
            TimedNetwork(text, classes, bool(se), role, 0.0): [
                Share(Layer(*row[:-1]), row[-1]) for row in json.loads(told)
            ]
            for text, classes, se, told in rows
        }

    def calibration(self, conditions: Conditions) -> Calibration | None:
        """What was fitted under these conditions."""
        query = "SELECT fit FROM calibrations WHERE precision = ? AND batch = ? AND resolution = ?"
        with self.reporting():
            row = self.connection.execute(query, conditions).fetchone()
        if row is None:
            return None
        fit = json.loads(row[0])
        return Calibration(tuple(fit["coefficients"]), fit["spread"], fit["networks"])

    def calibrated(self) -> list[Conditions]:
        """Under which conditions something was fitted."""
        query = "SELECT precision, batch, resolution FROM calibrations ORDER BY resolution, batch, precision"
        with self.reporting():
            return [Conditions(*row) for row in self.connection.execute(query)]

    def add_calibration(self, conditions: Conditions, calibration: Calibration) -> None:
        """Keep a fit."""
        with self.reporting(), self.connection:
            self.connection.execute(
                "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
                (*conditions, json.dumps(asdict(calibration))),
            )


def is_calibrated(path: Path, conditions: Conditions) -> bool:
    """Whether a file is a table with a fit for these conditions."""
    if not path.is_file():
        return False
    with LatencyTable.open(path) as table:
        return table.calibration(conditions) is not None


def say_what_it_is_of(table: LatencyTable) -> None:
    """Log what is to be known of all latencies of a table that something is put in."""
    if table.of_other_graphs:
        _LOG.warning("%s holds latencies %s", table.path, table.of_other_graphs)


def told_of(table: LatencyTable) -> dict[str, str | None]:
    """Of what a table's latencies are, for a report.

    exported_for: the runtime for which its networks were written, where that is another than the one that ran them.
    """
    told = {"device": table.device, "runtime": table.runtime or None, "runtime_version": table.origin.version or None}
    return told | {"exported_for": table.exported_for if table.of_other_files else None}
