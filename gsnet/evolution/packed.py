"""Proposals as fixed binary records, and the blocks of their networks: what the compiled loop of a search hands over.

docs/history.md says what every field means.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np

from gsnet.evolution.outcomes import DUPLICATE, OVER_BUDGET, SCORED
from gsnet.evolution.packed_text import FIELDS, LONGEST_BLOCK, BlockType, table_of, write_texts
from gsnet.evolution.settings import GROWTH

RECORD = np.dtype(
    [
        ("score", "<f8"),
        ("parameters", "<i8"),
        ("flops", "<i8"),
        ("memory_access", "<i8"),
        ("peak_feature_map", "<i8"),
        ("end", "<i8"),
        ("parent", "<u4"),
        ("seconds", "<f4"),
        ("layers", "<i4"),
        ("in_channels", "<u2"),
        ("outcome", "u1"),
        ("unused", "u1"),
    ]
)
# Of a search that limits the growth of gradients, not a number where that was not worked out.
RECORD_WITH_GROWTH = np.dtype([*RECORD.descr, (GROWTH, "<f8")])
BLOCK = np.dtype(
    [("type", "u1"), ("stride", "u1"), ("out_channels", "<u2"), ("bottleneck_channels", "<u2"), ("depth", "<u2")]
)
# What a record's outcome means, in the order of `array_layout`: the outcome and the reason of a row.
OUTCOMES = (
    (SCORED, ""),
    (DUPLICATE, ""),
    *((OVER_BUDGET, reason) for reason in ("layers", "parameters", "flops", "memory access", GROWTH)),
)
# The iteration is a row of the database: its outcome has words of its own, or more than a record holds.
ELSEWHERE = 255
FIGURES = ("layers", "parameters", "flops", "memory_access", "peak_feature_map")


def record_of(figures: tuple[str, ...]) -> np.dtype:
    """What a record has, in a search with these figures beside the costs."""
    return RECORD_WITH_GROWTH if GROWTH in figures else RECORD


class Packed(NamedTuple):
    """Some proposals. iterations, seeds: of each. records: of `record_of`, their `end` counted from the first of `blocks`.

    blocks: of all their networks, (blocks, `FIELDS`) as unsigned 16-bit numbers. types: what a type's number means.
    """

    iterations: np.ndarray
    seeds: np.ndarray
    records: np.ndarray
    blocks: np.ndarray
    types: tuple[BlockType, ...]

    def outcomes(self) -> Counter[str]:
        """How many came to what."""
        found = np.bincount(self.records["outcome"], minlength=len(OUTCOMES)).tolist()
        words = (f"{outcome}: {reason}" if reason else outcome for outcome, reason in OUTCOMES)
        return Counter({name: count for name, count in zip(words, found, strict=True) if count})

    def points(self, costs: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Of the scored ones: their iterations, and the negative of the score and the costs, (proposals, 1 + costs)."""
        scored = self.records["outcome"] == 0
        records = self.records[scored]
        figures = [-records["score"], *(records[name].astype(np.float64) for name in costs)]
        return self.iterations[scored], np.column_stack(figures)

    def texts(self) -> list[str]:
        """The structure strings."""
        if not len(self.records):
            return []
        ends = np.zeros(len(self.records), dtype=np.int64)
        text = np.zeros(len(self.blocks) * LONGEST_BLOCK, dtype=np.uint8)
        write_texts(
            *table_of(self.types),
            self.blocks,
            np.ascontiguousarray(self.records["end"]),
            text,
            ends,
        )
        places = ends.tolist()
        whole = text[: places[-1]].tobytes().decode("ascii")
        return [whole[start:end] for start, end in zip([0, *places], places, strict=False)]

    def rows(self) -> Iterator[tuple]:
        """The rows of the history, values in the order of `gsnet.evolution.recorded.Row`."""
        records = self.records
        outcomes = records["outcome"].tolist()
        scores: list[float | None] = records["score"].tolist()
        figures: Iterable[str] = repeat("")
        if GROWTH in (records.dtype.names or ()):
            known = records[GROWTH].tolist()
            figures = ("" if math.isnan(growth) else json.dumps({GROWTH: growth}) for growth in known)
        return zip(
            self.iterations.tolist(),
            records["parent"].tolist(),
            self.seeds.tolist(),
            [OUTCOMES[outcome][0] for outcome in outcomes],
            [OUTCOMES[outcome][1] for outcome in outcomes],
            [None if outcome else score for outcome, score in zip(outcomes, scores, strict=True)],
            *([None if value < 0 else value for value in records[name].tolist()] for name in FIGURES),
            repeat(None),
            records["seconds"].astype(np.float64).tolist(),
            self.texts(),
            repeat(""),
            figures,
            strict=False,
        )

    def between(self, first: int, end: int) -> Packed:
        """Those of these places."""
        begin = int(self.records["end"][first - 1]) if first else 0
        records = self.records[first:end].copy()
        records["end"] -= begin
        blocks = self.blocks[begin : begin + int(records["end"][-1]) if len(records) else begin]
        return Packed(self.iterations[first:end], self.seeds[first:end], records, blocks, self.types)


def narrowed(blocks: np.ndarray) -> np.ndarray:
    """Blocks as a file holds them, `BLOCK`: their input channels are the output channels of the one before."""
    narrow = np.empty(len(blocks), dtype=BLOCK)
    for place, name in ((0, "type"), (2, "out_channels"), (3, "stride"), (4, "bottleneck_channels"), (5, "depth")):
        narrow[name] = blocks[:, place]
    return narrow


def widened(narrow: np.ndarray, ends: np.ndarray, in_channels: np.ndarray) -> np.ndarray:
    """Blocks as `Packed` has them; ends: of the networks among them; in_channels: of each network."""
    blocks = np.empty((len(narrow), FIELDS), dtype=np.uint16)
    for place, name in ((0, "type"), (2, "out_channels"), (3, "stride"), (4, "bottleneck_channels"), (5, "depth")):
        blocks[:, place] = narrow[name]
    blocks[1:, 1] = narrow["out_channels"][:-1]
    begins = np.concatenate(([0], ends[:-1]))
    some = begins < ends
    blocks[begins[some], 1] = in_channels[some]
    return blocks
