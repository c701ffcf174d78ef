"""Scores of all NAS-Bench-201 cells in closed form: what forward and backward passes give on average, without a network.

`cell_scores` takes all 15,625 cells at once and needs seconds. docs/cells_closed_form.md says what is computed, how well it
agrees with forward and backward passes, and what the scores are worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.cell_gradients import Gradient, cell_gradient, last_gradient, log_norm, reduction_gradient
from benchmarks.cell_lags import Lags, ratio
from benchmarks.cell_layers import BN_KEPT, BN_MOVED, Maps, images
from benchmarks.cell_maps import CellRecord, ReductionRecord, run_cell, run_reduction
from benchmarks.nas_bench_201 import CELLS_PER_STAGE, OPERATIONS, STAGES, Operations
from ZeroShotProxy.registry import Weights

# As many cells at a time as leave their maps in a processor's cache.
_AT_A_TIME = 250
_STEM_INPUTS = 27

Record = CellRecord | ReductionRecord


class CellScores(NamedTuple):
    """Scores of cells, (cells,) each.

    zen: Zen-Score (Lin et al. 2021, algorithm 1). perturbation: its first term. growth: logarithm of the gradient's norm at the
    stem's map over that at the last cell's output. spread: standard deviation of that logarithm over the stem's map and those
    behind cells and reductions. Where nothing flows to the output, the first two are minus infinity, the others not a number.
    """

    zen: np.ndarray
    perturbation: np.ndarray
    growth: np.ndarray
    spread: np.ndarray


def cell_scores(
    cells: Sequence[Operations],
    weights: Weights = Weights.GAUSSIAN,
    batch_size: float = math.inf,
    gamma: float = 1e-2,
) -> CellScores:
    """Expected scores of the networks of cells.

    weights: GAUSSIAN as for the Zen-Score or KAIMING as at the start of a training; where BN follows they are the same, but a
    reduction's shortcut has none. batch_size: images of a backward pass, whose mean BN takes from gradients. gamma: the
    perturbation's size. Raises ValueError for other weights.
    """
    if weights is Weights.DEFAULT or batch_size < 1:
        raise ValueError(
            f"weights are {weights.name} and batch_size is {batch_size}: give GAUSSIAN or KAIMING, at least 1"
        )
    places = np.array([[OPERATIONS.index(operation) for operation in cell] for cell in cells]).reshape(-1, 6)
    parts = [
        _scores(places[first : first + _AT_A_TIME], weights, batch_size, gamma)
        for first in range(0, len(places), _AT_A_TIME)
    ]
    return CellScores(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _scores(operations: np.ndarray, weights: Weights, batch_size: float, gamma: float) -> CellScores:
    blocks = list(_blocks(operations, weights, gamma))
    maps, scale, _ = blocks[-1]
    tape = [record for _, _, record in blocks if record]
    lags = tape[-1].lags
    channels, height = STAGES[-1]
    # The last BN; behind the last rectifier |f - f'| has the mean sqrt((1 - correlation) / pi).
    scale = scale + 0.5 * np.log(BN_KEPT + BN_MOVED * maps.variance)
    change = np.maximum(ratio(maps.variance - maps.crossed[:, 0], maps.variance), 0) * (maps.variance > 0)
    size = channels * height**2 * np.sqrt(change / np.pi)
    perturbation = np.log(size, out=np.full(len(size), -np.inf), where=size > 0)
    norms = _log_norms(tape, maps, last_gradient(lags, maps, batch_size), batch_size)
    norms[~np.isfinite(norms).all(axis=1)] = np.nan
    return CellScores(perturbation + scale, perturbation, norms[:, -1] - norms[:, 0], norms.std(axis=1))


def _blocks(operations: np.ndarray, weights: Weights, gamma: float) -> Iterator[tuple[Maps, np.ndarray, Record | None]]:
    """The map behind the stem and each block, the sum of logarithms of BN up to there, and what the way back needs."""
    lags = Lags(STAGES[0][1])
    maps = images(lags, len(operations), gamma)
    reach = 1 - 2 / (3 * lags.height)
    scale = np.full(len(operations), 0.5 * math.log(BN_KEPT + BN_MOVED * _STEM_INPUTS * reach**2))
    yield maps, scale, None
    for stage, (channels, _) in enumerate(STAGES):
        if stage:
            before, halved = STAGES[stage - 1][0], Lags(STAGES[stage][1])
            gain = 2.0 if weights is Weights.KAIMING else float(before)
            maps, added, reduction = run_reduction(lags, halved, maps, before, gain)
            lags, scale = halved, scale + added
            yield maps, scale, reduction
        for _ in range(CELLS_PER_STAGE):
            maps, added, cell = run_cell(lags, maps, operations, channels)
            scale = scale + added
            yield maps, scale, cell


def _log_norms(tape: Sequence[Record], maps: Maps, gradient: Gradient, batch_size: float) -> np.ndarray:
    """Logarithm of the gradient's norm at each block's map, from the last cell's back to the stem's: (cells, blocks + 1)."""
    norms = [log_norm(tape[-1].lags, gradient, tape[-1].channels)]
    for record in reversed(tape):
        if isinstance(record, CellRecord):
            gradient = cell_gradient(record, gradient, batch_size)
        else:
            gradient = reduction_gradient(record, gradient, maps.shortcuts[record.channels], batch_size)
        norms.append(log_norm(record.lags, gradient, record.channels))
    return np.stack(norms, axis=1)
