"""Scores of a benchmark's networks, each made once and kept in a CSV file that an interrupted run continues."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from benchmarks.report_benchmarks import Benchmark, score_or_reason
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
    """All scores of one benchmark so far, by (key, proxy, seed)."""

    def __init__(self, benchmark: Benchmark, path: Path) -> None:
        self.benchmark = benchmark
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
        entry = self._entries.get(identity)
        if entry is None:
            start = time.process_time()
            score, reason = score_or_reason(self.benchmark, key, proxy, seed)
            entry = self._entries[identity] = Entry(score, reason, time.process_time() - start)
            self._writer.writerow((*identity, repr(entry.score), reason, f"{entry.seconds:.6f}"))
            if entry.seconds > _WORTH_A_WRITE:
                self.flush()
        return entry

    def score_all(self, keys: Iterable[str], proxy: str, seed: int = 0) -> None:
        """Score many networks, with a progress bar."""
        missing = [key for key in keys if (key, proxy, seed) not in self._entries]
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
