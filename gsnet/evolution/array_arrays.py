"""The arrays of a search, and what becomes of them when networks are longer than there was room for."""

from __future__ import annotations

import numpy as np

from gsnet.evolution.array_children import LENGTHENING
from gsnet.evolution.array_layout import ARGUMENTS, BLOCK_WIDTH, FREE, STATE, TRIED, Members, Plan, Room, Rows
from gsnet.evolution.array_loop import move_hashes
from gsnet.evolution.array_members import NO_MAP
from gsnet.evolution.array_tried import room_for
from PlainNet.step_table import CALL_WIDTH
from ZeroShotProxy.gradient_map import gradient_room
from ZeroShotProxy.mean_field_machine import room as stack_of
from ZeroShotProxy.mean_field_map import STACK

# Blocks of a network, to begin with.
_BLOCKS = 32
# A hundredth of a second: how long a request to stop waits. There is room for as many blocks as most rows have.
_ROWS, _ROW_BLOCKS = 1_024, 16_384
# 2 kB each at a resolution of 32.
_LARGEST_POOL = 8_000
# Numbers that gradients' way through a network is written down in: of a hundred layers. Deeper ones are left to `Search`.
_RECORDS = 32_768
# Networks that were tried, to begin with: 64 MB, of which a search takes what it needs.
_MOST_TRIED = 4_000_000


class Arrays:
    """All that changes in a search, but for the tables of what it draws from. map_width: numbers of a map between blocks."""

    def __init__(self, plan: Plan, map_width: int) -> None:
        self._plan = plan
        self._map_width = map_width
        self.state = np.zeros(STATE, dtype=np.int64)
        places, pool = plan.capacity, min(_LARGEST_POOL, plan.capacity * _BLOCKS)
        self.members = Members(
            blocks=np.zeros((places, _BLOCKS, BLOCK_WIDTH), dtype=np.int64),
            counts=np.zeros(places, dtype=np.int64),
            scores=np.zeros(places),
            iterations=np.zeros(places, dtype=np.int64),
            worst=np.zeros(places, dtype=np.int64),
            maps=np.full((places, _BLOCKS), NO_MAP, dtype=np.int32),
            pool=np.zeros((pool, map_width)),
            holders=np.zeros(pool, dtype=np.int32),
            free=np.arange(pool - 1, -1, -1, dtype=np.int32),
        )
        self.state[FREE] = pool
        self.room = self._room(room_for(min(plan.last, _MOST_TRIED)))
        self.rows = self._rows()

    @property
    def longest(self) -> int:
        """How many blocks a network may have."""
        return self.members.blocks.shape[1]

    def make_room_for(self, blocks: int) -> None:
        """Have room for networks of so many blocks."""
        if blocks <= self.longest:
            return
        members = self.members
        more = ((0, 0), (0, blocks - self.longest))
        self.members = members._replace(
            blocks=np.pad(members.blocks, (*more, (0, 0))), maps=np.pad(members.maps, more, constant_values=NO_MAP)
        )
        room = self._room(self.room.tried)
        room.best[: len(self.room.best)] = self.room.best
        room.best_score[:] = self.room.best_score
        # Rows that wait to be written stay; blocks are written behind them.
        more_blocks = np.concatenate((self.rows.blocks, np.zeros((4 * blocks, ARGUMENTS), dtype=np.uint16)))
        self.room, self.rows = room, self.rows._replace(blocks=more_blocks)

    def make_room_for_tried(self, rows: int = _ROWS) -> None:
        """Have room for the networks that the next rows may have, with some to spare."""
        tried = self.room.tried
        size = tried.size
        while 4 * (self.state[TRIED] + rows) > 3 * size:
            size *= 4
        if size > tried.size:
            more = np.zeros(size, dtype=np.uint64)
            move_hashes(tried, more)
            self.room = self.room._replace(tried=more)

    def _room(self, tried: np.ndarray) -> Room:
        longest = LENGTHENING * self.longest
        return Room(
            numbers=np.zeros(1, dtype=np.uint64),
            child=np.zeros((longest, BLOCK_WIDTH), dtype=np.int64),
            held=np.zeros(longest, dtype=np.int32),
            totals=np.zeros(5, dtype=np.int64),
            calls=np.zeros(longest * CALL_WIDTH),
            kept=np.zeros((self.longest, self._map_width)),
            stack=stack_of(self._plan.resolution),
            best=np.zeros((self.longest, BLOCK_WIDTH), dtype=np.int64),
            best_score=np.full(1, -np.inf),
            tried=tried,
            gradients=gradient_room(STACK, self._plan.resolution),
            records=np.zeros(_RECORDS),
            norms=np.zeros(longest),
            growth=np.full(1, np.nan),
        )

    @staticmethod
    def _rows() -> Rows:
        return Rows(
            parents=np.zeros(_ROWS, dtype=np.int64),
            seeds=np.zeros(_ROWS, dtype=np.int64),
            outcomes=np.zeros(_ROWS, dtype=np.int64),
            scores=np.zeros(_ROWS),
            growths=np.full(_ROWS, np.nan),
            figures=np.zeros((_ROWS, 5), dtype=np.int64),
            blocks=np.zeros((_ROW_BLOCKS, ARGUMENTS), dtype=np.uint16),
            ends=np.zeros(_ROWS, dtype=np.int64),
        )
