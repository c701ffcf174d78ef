"""Scores of a benchmark's networks: from the tables of the repository, or made once and kept in a CSV file."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from benchmarks import score_tables
from benchmarks.report_benchmarks import Benchmark, is_instant, score_or_reason
from benchmarks.score_tables import ScoreTable
from gsnet.interface.files import write_text

_WORTH_A_WRITE = 0.01
_COLUMNS = ("key", "proxy", "seed", "score", "reason", "seconds")


class Entry(NamedTuple):
    """One score and the processor seconds that it took.

    A network without a score (`reason` says why) has minus infinity: it ranks below all that have one.
    """

    score: float
    reason: str
    seconds: float


class Scores:
    """All scores of one benchmark so far, by (key, proxy, seed).

    path: file of the scores that this class makes, which an interrupted run continues. tables: folder of tables with the scores
    of seed 0 (`score_tables`); None for no tables.
    """

    def __init__(self, benchmark: Benchmark, path: Path, tables: Path | None = score_tables.FOLDER) -> None:
        self.benchmark = benchmark
        self._tables = tables
        self._read_tables: dict[str, ScoreTable | None] = {}
        self._entries: dict[tuple[str, str, int], Entry] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read(path)
        self._file = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not path.stat().st_size:
            self._writer.writerow(_COLUMNS)

    def entry(self, key: str, proxy: str, seed: int = 0) -> Entry:
        """The score of a network, made now where it is not known yet."""
        identity = (key, proxy, seed)
        entry = self._entries.get(identity) or self._tabled(*identity)
        if entry is None:
            start = time.process_time()
            score, reason = score_or_reason(self.benchmark, key, proxy, seed)
            entry = self._entries[identity] = Entry(score, reason, time.process_time() - start)
            self._writer.writerow((*identity, repr(entry.score), reason, f"{entry.seconds:.6f}"))
            if entry.seconds > _WORTH_A_WRITE:
                self.flush()
        return entry

    def has(self, key: str, proxy: str, seed: int = 0) -> bool:
        """Whether the score of a network is known."""
        return (key, proxy, seed) in self._entries or self._tabled(key, proxy, seed) is not None

    def covers(self, proxy: str) -> bool:
        """Whether the scores of all networks are known, or are at hand in a moment."""
        if is_instant(proxy):
            return True
        table = self._table(proxy)
        complete = table is not None and table.complete
        return complete or all(self.has(key, proxy) for key in self.benchmark.keys)

    def _table(self, proxy: str) -> ScoreTable | None:
        if proxy not in self._read_tables:
            names = self.benchmark.keys
            found = self._tables and score_tables.read_table(self._tables, self.benchmark.name, proxy, names)
            self._read_tables[proxy] = found or None
        return self._read_tables[proxy]

    def _tabled(self, key: str, proxy: str, seed: int) -> Entry | None:
        table = self._table(proxy) if seed == 0 else None
        if table is None or key not in table.scores:
            return None
        score = table.scores[key]
        return Entry(score, "" if score > -math.inf else "no score", table.milliseconds / 1e3)

    def score_all(self, keys: Iterable[str], proxy: str, seed: int = 0) -> None:
        """Score many networks, with a progress bar."""
        missing = [key for key in keys if not self.has(key, proxy, seed)]
        for key in tqdm(missing, desc=f"{self.benchmark.name} {proxy} seed {seed}", disable=None):
            self.entry(key, proxy, seed)
        self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        self._file.flush()

    def close(self) -> None:
        """Write what is still in memory and release the file."""
        self._file.close()

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        # A run that was killed may have left half a line, which would be glued to the next one.
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_text(path, whole)
        for row in csv.DictReader(whole.splitlines()):
            identity = (row["key"], row["proxy"], int(row["seed"]))
            self._entries[identity] = Entry(float(row["score"]), row["reason"], float(row["seconds"]))
