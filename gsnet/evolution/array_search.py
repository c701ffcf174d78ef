"""A search whose loop is compiled: its arrays, and what Python sees of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gsnet.evolution import array_layout as layout
from gsnet.evolution.array_arrays import Arrays
from gsnet.evolution.array_codes import Codes, SpaceTables
from gsnet.evolution.array_compiling import prepared
from gsnet.evolution.array_layout import Plan, Steps
from gsnet.evolution.array_loop import advance
from gsnet.evolution.array_population import ArrayPopulation, ArrayTried
from gsnet.evolution.array_replay import recorded_of, replay
from gsnet.evolution.array_tables import BoundsTable, CostTable
from gsnet.evolution.budgets import CostModel
from gsnet.evolution.functions import Figure
from gsnet.evolution.judging import Novelty
from gsnet.evolution.packed import FIGURES, OUTCOMES, BlockType, Packed, record_of
from gsnet.evolution.recorded import Recording, Row
from gsnet.evolution.settings import GROWTH
from gsnet.evolution.so_far import Progress
from PlainNet.step_table import StepTable


class ClosedFormSteps(NamedTuple):
    """The steps of a closed form, and the map of an image."""

    table: StepTable
    image: np.ndarray


class ArrayLoop:
    """Runs the iterations of a search that compiled code can do; the others are left to `Search`.

    population, tried: the search's own. plan: what the search is. costs: counts what networks cost. score, gradients: steps of
    the closed forms, with the maps of an image, of the resolution that `plan` has. growth: as in `ArrayPopulation`.
    """

    def __init__(
        self,
        plan: Plan,
        codes: Codes,
        space: SpaceTables,
        costs: CostModel,
        score: ClosedFormSteps,
        gradients: ClosedFormSteps,
        growth: Figure | None = None,
    ) -> None:
        self._plan = plan
        self._space = space
        self._costs = CostTable(codes, StepTable(costs.style), plan.resolution)
        self._score_bounds, self._growth_bounds = BoundsTable(codes, score.table), BoundsTable(codes, gradients.table)
        self._image, self._growth_image = score.image, gradients.image
        self._arrays = Arrays(plan, score.image.size)
        self.population = ArrayPopulation(plan.capacity, self._arrays, codes, costs, growth)
        self.tried = ArrayTried(self._arrays, codes)
        self._codes = codes
        self._types = tuple(map(BlockType, (kind.__name__ for kind in codes.types), codes.have_bottleneck))
        self._record = record_of((GROWTH,) if growth else ())
        self._run, self._grow = prepared(plan, growth is not None)

    def advance(self, progress: Progress, novelty: Novelty, history: Recording, last: int) -> bool:
        """Iterations from the next one up to another, recorded in the history; False where the next one is for `Search`."""
        self._plan = self._plan._replace(last=last)
        self._arrays.make_room_for_tried()
        state, room = self._arrays.state, self._arrays.room
        first, begun = progress.next_iteration, time.perf_counter()
        state[layout.ITERATION], state[layout.ROWS], state[layout.BLOCKS_END] = first, 0, 0
        state[layout.KNOWN], state[layout.UNSCORED] = novelty.counts
        state[layout.BEST_COUNT] = 0
        room.best_score[0] = progress.best.score if progress.best else -np.inf
        self._run_compiled()
        done = int(state[layout.ROWS])
        if not done:
            return False
        scored = int(np.count_nonzero(self._arrays.rows.outcomes[:done] == layout.SCORED))
        seconds = (time.perf_counter() - begun) / max(1, scored)
        history.extend(self._packed(first, done, seconds))
        novelty.counts = int(state[layout.KNOWN]), int(state[layout.UNSCORED])
        progress.next_iteration = first + done
        self._count(self._arrays.rows.outcomes[:done], progress)
        return True

    def replay(self, batch: Sequence[Row] | Packed, progress: Progress, novelty: Novelty) -> Iterator[int]:
        """Take up rows of a history; yields the place of each that is for `Search` to take up, before what follows it."""
        rows, arrays = recorded_of(batch, self._codes, self._types), self._arrays
        arrays.make_room_for_tried(len(rows.outcomes))
        state, at, size = arrays.state, 0, len(rows.outcomes)
        while at < size:
            state[layout.KNOWN], state[layout.UNSCORED] = novelty.counts
            state[layout.BEST_COUNT] = 0
            arrays.room.best_score[0] = progress.best.score if progress.best else -np.inf
            end = replay(self._plan.capacity, arrays.members, arrays.room, state, rows, at)
            if end > at:
                novelty.counts = int(state[layout.KNOWN]), int(state[layout.UNSCORED])
                self._count(rows.outcomes[at:end], progress)
                progress.next_iteration = int(rows.iterations[end - 1]) + 1
            at = end
            if at < size and state[layout.WHY] == layout.TOO_LONG:
                arrays.make_room_for(2 * arrays.longest)
            elif at < size:
                yield at
                at += 1

    def _count(self, outcomes: np.ndarray, progress: Progress) -> None:
        """Have what became of proposals in the progress, and the best network if there is a new one."""
        found = np.bincount(outcomes, minlength=layout.OUTCOMES)
        for (outcome, reason), number in zip(OUTCOMES, found.tolist(), strict=True):
            if number:
                progress.outcomes[f"{outcome} ({reason})" if reason else outcome] += number
        if count := int(self._arrays.state[layout.BEST_COUNT]):
            score, iteration = float(self._arrays.room.best_score[0]), int(self._arrays.state[layout.BEST_ITERATION])
            progress.best = self.population.member(self._arrays.room.best[:count], score, iteration)

    def _all_arrays(self) -> tuple:
        """What `advance` works on."""
        arrays = self._arrays
        score, growth = self._score_bounds, self._growth_bounds
        steps = Steps(
            *(self._costs.places, self._costs.rows),
            *(score.bounds, score.rows, self._image),
            *(growth.bounds, growth.rows, self._growth_image),
        )
        return self._plan, self._space.arrays, steps, arrays.members, arrays.room, arrays.rows, arrays.state

    def _run_compiled(self) -> None:
        """Iterations until there is nothing more to be done by compiled code for now."""
        arrays = self._arrays
        state = arrays.state
        while True:
            advance(*self._all_arrays(), self._run, self._grow)
            why, asked = state[layout.WHY], int(state[layout.ASKED])
            if why == layout.NO_OPTIONS:
                self._space.add(int(state[layout.FAMILY]), asked)
            elif why == layout.NO_COST_STEPS:
                self._costs.add(asked, int(state[layout.FAMILY]))
            elif why == layout.NO_SCORE_STEPS:
                self._score_bounds.add(asked)
            elif why == layout.NO_GROWTH_STEPS:
                self._growth_bounds.add(asked)
            elif why == layout.TOO_LONG:
                arrays.make_room_for(2 * arrays.longest)
            else:
                return

    def _packed(self, first: int, done: int, seconds: float) -> Packed:
        """The rows as the history takes them. seconds: of a candidate that was scored."""
        rows = self._arrays.rows
        records = np.zeros(done, dtype=self._record)
        if GROWTH in (records.dtype.names or ()):
            records[GROWTH] = rows.growths[:done]
        records["parent"], records["outcome"] = rows.parents[:done], rows.outcomes[:done]
        records["score"], records["end"] = rows.scores[:done], rows.ends[:done]
        for place, name in enumerate(FIGURES):
            records[name] = rows.figures[:done, place]
        records["seconds"] = np.where(rows.outcomes[:done] == layout.SCORED, seconds, 0.0)
        begins = np.concatenate(([0], rows.ends[: done - 1]))
        records["in_channels"] = rows.blocks[begins, layout.INTO]
        blocks = rows.blocks[: rows.ends[done - 1]].copy()
        return Packed(np.arange(first, first + done), rows.seeds[:done].copy(), records, blocks, self._types)
