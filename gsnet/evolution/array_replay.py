"""A recorded search taken up again by compiled code: who survives, what was tried, what was best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsnet.evolution import array_children, array_layout, array_members, array_random, array_tried, judging, packed
from gsnet.evolution.array_children import copy_blocks
from gsnet.evolution.array_codes import Codes
from gsnet.evolution.array_layout import (
    ARGUMENTS,
    BEST_COUNT,
    BEST_ITERATION,
    BLOCK_WIDTH,
    DUPLICATE,
    FOR_SEARCH,
    HEIGHT,
    KNOWN,
    SCORED,
    TOO_LONG,
    TRIED,
    UNCOUNTED,
    UNSCORED,
    WHY,
    Members,
    Room,
)
from gsnet.evolution.array_members import place_of_newcomer, write_member
from gsnet.evolution.array_tried import find, identity
from gsnet.evolution.judging import PATIENCE_WITH_PREFERENCES, UNSCORED_BEFORE_KEEPING
from gsnet.evolution.packed import ELSEWHERE, OUTCOMES, BlockType, Packed
from gsnet.evolution.packed_text import read_texts, table_of
from gsnet.evolution.recorded import Row
from gsnet.evolution.settings import SearchError
from PlainNet.compiling import kept_on_disk, source_version

_NUMBERS = {words: number for number, words in enumerate(OUTCOMES)}


class Recorded(NamedTuple):
    """Some rows of a history as compiled code reads them: what became of each, and the blocks of those that were scored.

    ends: of each row's blocks in `blocks`, (blocks, 6). What is not for compiled code has the outcome `ELSEWHERE`.
    """

    iterations: np.ndarray
    outcomes: np.ndarray
    scores: np.ndarray
    blocks: np.ndarray
    ends: np.ndarray


def recorded_of(batch: Sequence[Row] | Packed, codes: Codes, types: tuple[BlockType, ...]) -> Recorded:
    """Rows or records of a history, with a search's own numbers of types. Raises SearchError."""
    if isinstance(batch, Packed):
        numbers = [types.index(kind) if kind in types else -1 for kind in batch.types]
        if -1 in numbers:
            raise SearchError(
                f"The search has had blocks that it does not have now: {batch.types[numbers.index(-1)].name}"
            )
        blocks = batch.blocks.copy()
        blocks[:, 0] = np.array(numbers, dtype=np.uint16)[blocks[:, 0]]
        records = batch.records
        columns = (np.ascontiguousarray(records[name]) for name in ("outcome", "score", "end"))
        outcomes, scores, ends = columns
        return Recorded(batch.iterations, outcomes, scores, blocks, ends)
    outcomes = np.array([_NUMBERS.get((row.outcome, row.reason), ELSEWHERE) for row in batch], dtype=np.uint8)
    texts = [row.structure if not outcome else "" for row, outcome in zip(batch, outcomes.tolist(), strict=True)]
    text = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
    blocks = np.zeros((int(np.count_nonzero(text == ord("("))), ARGUMENTS), dtype=np.uint16)
    ends = np.zeros(len(batch), dtype=np.int64)
    known = read_texts(*table_of(types), text, np.cumsum([len(t.encode()) for t in texts]), blocks, ends)
    # What is not a network of plain blocks is read by Python, and so is what comes after it here.
    outcomes[known:] = ELSEWHERE
    iterations = np.array([row.iteration for row in batch], dtype=np.int64)
    scores = np.array([np.nan if row.score is None else row.score for row in batch])
    return Recorded(iterations, outcomes, scores, blocks, ends)


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """The function that Python calls; see `source_version`."""

    def replay(capacity: int, members: Members, room: Room, state: np.ndarray, rows: Recorded, row: int) -> int:
        """Take up rows from one on, up to the first that is not for compiled code; returns which that is."""
        child = room.child
        state[WHY] = FOR_SEARCH if version else TOO_LONG
        while row < rows.outcomes.size:
            outcome = rows.outcomes[row]
            if outcome == ELSEWHERE:
                break
            if state[KNOWN] >= PATIENCE_WITH_PREFERENCES or state[UNSCORED] >= UNSCORED_BEFORE_KEEPING:
                break
            if outcome != SCORED:
                state[UNSCORED] += 1
                state[KNOWN] = state[KNOWN] + 1 if outcome == DUPLICATE else 0
                row += 1
                continue
            begin = rows.ends[row - 1] if row else 0
            count = rows.ends[row] - begin
            if count > members.blocks.shape[1]:
                state[WHY] = TOO_LONG
                break
            for index in range(count):
                for field in range(BLOCK_WIDTH):
                    child[index, field] = rows.blocks[begin + index, field] if field < ARGUMENTS else 0
                child[index, HEIGHT] = UNCOUNTED
            wanted = identity(child, count)
            place = find(room.tried, wanted)
            if room.tried[place] != wanted:
                room.tried[place] = wanted
                state[TRIED] += 1
            score = rows.scores[row]
            state[KNOWN] = state[UNSCORED] = 0
            if score > room.best_score[0]:
                room.best_score[0], state[BEST_COUNT], state[BEST_ITERATION] = score, count, rows.iterations[row]
                copy_blocks(child, room.best, count)
            entering = place_of_newcomer(members, state, capacity, score, rows.iterations[row])
            if entering >= 0:
                write_member(members, state, child, count, score, rows.iterations[row], entering)
            row += 1
        return row

    return kept_on_disk(replay)


MODULES = (array_children, array_layout, array_members, array_random, array_tried, judging, packed)
replay = _kept_on_disk(source_version(Path(__file__), *(Path(str(module.__file__)) for module in MODULES)))
