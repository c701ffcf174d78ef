"""The files of a results folder that hold proposals as binary records, beside the database: docs/history.md.

The database says how many records there are, in the commit after which they are on disk: what lies behind them in the files is
of a search that was killed, and is cut off when that is continued.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from gsnet.evolution.packed import BLOCK, ELSEWHERE, BlockType, Packed, narrowed, record_of, widened
from SearchSpace.random_numbers import candidate_seeds

RECORDS, NETWORKS = "proposals.bin", "networks.bin"
# Records that are read together.
_BATCH = 16_384

Source = Path | IO[bytes]


class Kept(NamedTuple):
    """What the files hold. first: the iteration of the first record. length: how many. types: what a type's number means.

    figures: what records have beside the costs.
    """

    first: int
    length: int = 0
    types: tuple[BlockType, ...] = ()
    figures: tuple[str, ...] = ()

    @property
    def record(self) -> np.dtype:
        """What a record has."""
        return record_of(self.figures)

    def to_json(self) -> str:
        """As text."""
        return json.dumps({name: value for name, value in self._asdict().items() if value or name != "figures"})

    @classmethod
    def from_json(cls, text: str) -> Kept:
        """From `to_json`'s text."""
        values = json.loads(text)
        types = tuple(BlockType(*kind) for kind in values["types"])
        return cls(values["first"], values["length"], types, tuple(values.get("figures", ())))


class RecordReader:
    """Records that are on disk, and their networks. seed: of the search.

    Files are mapped for each access alone: what was read does not stay in memory.
    """

    def __init__(self, kept: Kept, sources: tuple[Source, Source], seed: int) -> None:
        self.kept = kept
        self._seed = seed
        self._sources = sources

    def batches(self, end: int) -> Iterator[Packed]:
        """All records up to an iteration, in order, those that stand for rows of the database among them."""
        last = min(self.kept.length, end - self.kept.first)
        for begin in range(0, last, _BATCH):
            yield self.at(np.arange(begin, min(begin + _BATCH, last)))

    def at(self, places: np.ndarray) -> Packed:
        """The records of some places."""
        mapped = self._mapped()
        records = mapped[places]
        begins = np.where(places > 0, mapped["end"][places - 1], 0) if len(places) else places
        counts = records["end"] - begins
        records["end"] = ends = np.cumsum(counts)
        # Of each block, its place in the file.
        where = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - counts), counts)
        there = _mapped(self._sources[1], BLOCK, int(mapped["end"][-1]) if self.kept.length else 0)
        blocks = widened(there[where], ends, records["in_channels"])
        iterations = places + self.kept.first
        return Packed(iterations, candidate_seeds(self._seed, iterations), records, blocks, self.kept.types)

    def best(self, count: int) -> np.ndarray:
        """The iterations of the best scores, the oldest first among equals."""
        places = np.empty(0, dtype=np.int64)
        for begin in range(0, self.kept.length, _BATCH):
            mapped = self._mapped()
            more = np.flatnonzero(mapped["outcome"][begin : begin + _BATCH] == 0) + begin
            places = np.concatenate((places, more))
            places = places[np.lexsort((places, -mapped["score"][places]))][:count]
        return places + self.kept.first

    def _mapped(self) -> np.ndarray:
        return _mapped(self._sources[0], self.kept.record, self.kept.length)


class RecordWriter:
    """Appends records. folder: None keeps them in files without a name."""

    def __init__(self, folder: Path | None, kept: Kept) -> None:
        self.kept = kept
        self._files = tuple(_opened(folder / name if folder else None) for name in (RECORDS, NETWORKS))
        self._end = self._cut()

    @property
    def sources(self) -> tuple[IO[bytes], IO[bytes]]:
        """The files."""
        records, networks = self._files
        return records, networks

    def append(self, packed: Packed) -> None:
        """Add proposals that follow the last one."""
        types = list(dict.fromkeys((*self.kept.types, *packed.types)))
        numbers = np.array([types.index(kind) for kind in packed.types], dtype=np.uint16)
        blocks = packed.blocks.copy()
        blocks[:, 0] = numbers[blocks[:, 0]]
        records = packed.records.copy()
        records["end"] += self._end
        self._write(records, narrowed(blocks))
        self.kept = self.kept._replace(types=tuple(types))

    def skip(self, count: int) -> None:
        """Say of so many proposals that they are rows of the database."""
        records = np.zeros(count, dtype=self.kept.record)
        records["outcome"], records["end"] = ELSEWHERE, self._end
        self._write(records, np.empty(0, dtype=BLOCK))

    def flush(self, durable: bool = False) -> None:
        """Have others see what was written; durable: also after the computer has lost its power."""
        for file in self._files:
            file.flush()
            if durable:
                os.fdatasync(file.fileno())

    def close(self) -> None:
        """Close the files. What was not flushed may be lost."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()

    def _write(self, records: np.ndarray, blocks: np.ndarray) -> None:
        for file, values in zip(self._files, (records, blocks), strict=True):
            file.seek(0, os.SEEK_END)
            file.write(values.tobytes())
        self._end += len(blocks)
        self.kept = self.kept._replace(length=self.kept.length + len(records))

    def _cut(self) -> int:
        """Cut off what was never committed, or what a damaged disk has left of it; returns how many blocks there are."""
        records, networks = self._files
        kind = self.kept.record
        count = min(self.kept.length, _size(records) // kind.itemsize)
        ends = _mapped(records, kind, count)["end"]
        count = int(np.searchsorted(ends, _size(networks) // BLOCK.itemsize, side="right"))
        end = int(ends[count - 1]) if count else 0
        records.truncate(count * kind.itemsize)
        networks.truncate(end * BLOCK.itemsize)
        self.kept = self.kept._replace(length=count)
        return end


def _opened(path: Path | None) -> IO[bytes]:
    if path is None:
        return tempfile.TemporaryFile()
    path.touch()
    return path.open("r+b")


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _mapped(source: Source, kind: np.dtype, count: int) -> np.ndarray:
    """So many of a file's values, read when they are needed. Raises OSError and ValueError where there are not so many."""
    if not count:
        return np.empty(0, dtype=kind)
    return np.memmap(source, dtype=kind, mode="r", shape=(count,))
