"""NAS-Bench-201's scores in closed form: beside forward and backward passes, and beside trained accuracies.

    python -m benchmarks.cell_closed_form_accuracy                  # prints the tables of docs/cells_closed_form.md
    python -m benchmarks.cell_closed_form_accuracy --cells 6 --seeds 2 --write
    python -m benchmarks.cell_closed_form_accuracy --write_scores   # scores of all cells into benchmarks/scores, and no more

Passes are made for --cells random cells that something flows through; growth is also compared with one draw of weights for each
of all 15,625 cells, which was measured elsewhere. Accuracies are read from the folder that GSNET_DATA names.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from gsnet.interface.running import run
from benchmarks import score_tables
from benchmarks.cell_closed_form import CellScores, cell_scores
from benchmarks.data_folder import data_file
from benchmarks.nas_bench_201 import (
    DATA_SETS,
    FILE,
    CellNetwork,
    Operations,
    Row,
    is_connected,
    parameters,
    parse_cell,
    random_cell,
    read_table,
)
from benchmarks.pages import show_sections
from benchmarks.report_benchmarks import DISCONNECTED, GROWTH, GROWTH_BATCH, SETTINGS
from benchmarks.report_output import markdown
from benchmarks.score_tables import ScoreTable
from gsnet.evolution.ensemble import log_rank_sums
from gsnet.interface.options import OptionParser, positive_int
from ZeroShotProxy import ScoringSettings, Weights, score
from ZeroShotProxy.network_state import normalise_by_batch, set_kaiming_weights

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/cells_closed_form.md"
MEASURED = ROOT / "tests/golden/nasbench201_gradient_growth.csv.gz"
LIMITS = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0)
NAME = "NAS-Bench-201"


def log_norms(network: CellNetwork, batch_size: int, seed: int) -> np.ndarray:
    """Logarithm of the gradient's norm at the stem's map and behind each block, by one backward pass: (blocks + 1,)."""
    generator = torch.Generator().manual_seed(seed)
    set_kaiming_weights(network, generator)
    normalise_by_batch(network)
    maps = [network.stem(torch.randn(batch_size, 3, 32, 32, generator=generator))]
    for block in network.stages:
        maps.append(block(maps[-1]))
    logits = network.classifier(network.last(maps[-1]).mean(dim=(2, 3)))
    gradients = torch.autograd.grad(logits, maps, torch.randn(logits.shape, generator=generator))
    return np.array([float(gradient.norm().log()) for gradient in gradients])


def growth_and_spread(network: CellNetwork, batch_size: int, seed: int) -> tuple[float, float]:
    """Growth and spread by one backward pass."""
    norms = log_norms(network, batch_size, seed)
    return float(norms[0] - norms[-1]), float(norms.std())


def connected_cells(count: int, seed: int = 7) -> list[Operations]:
    """Different random cells that something flows through."""
    generator = random.Random(seed)
    found: dict[Operations, None] = {}
    while len(found) < count:
        cell = random_cell(generator)
        if is_connected(cell):
            found[cell] = None
    return list(found)


def accuracy_table(cells: Sequence[Operations], seeds: int, batch_size: int, say: Callable[[str], None]) -> str:
    """How closed forms and means over passes agree."""
    settings = ScoringSettings(batch_size=batch_size)
    runs: dict[str, list[list[float]]] = {name: [] for name in ("Zen", "Perturbation", "growth", "spread")}
    for place, cell in enumerate(cells):
        network = CellNetwork(cell)
        for name in ("Zen", "Perturbation"):
            runs[name].append([score(network, name, settings, seed) for seed in range(seeds)])
        back = [growth_and_spread(network, batch_size, seed) for seed in range(seeds)]
        for name, figures in zip(("growth", "spread"), zip(*back, strict=True), strict=True):
            runs[name].append(list(figures))
        say(f"{place + 1} of {len(cells)} cells")
    forward = cell_scores(cells)
    backward = cell_scores(cells, Weights.KAIMING, batch_size)
    computed = {"Zen": forward.zen, "Perturbation": forward.perturbation}
    computed |= {"growth": backward.growth, "spread": backward.spread}
    lines = [_agreement(name, computed[name], np.array(runs[name])) for name in runs]
    header = ("score", "cells", "Spearman", "median \\|difference\\|", "worst", "bias", "standard error of the passes")
    return markdown(header, lines)


def _agreement(name: str, computed: np.ndarray, runs: np.ndarray) -> tuple[str, ...]:
    measured = runs.mean(axis=1)
    difference = computed - measured
    relative = np.abs(difference) / np.abs(measured)
    error = f"{(runs.std(axis=1, ddof=1) / runs.shape[1] ** 0.5).mean():.3f}" if runs.shape[1] > 1 else ""
    rank = spearmanr(computed, measured).statistic
    figures = (f"{rank:.4f}", f"{np.median(relative):.1%}", f"{relative.max():.1%}", f"{difference.mean():+.3f}")
    return (name, f"{len(measured):,}", *figures, error)


def measured_table(scores: CellScores) -> str:
    """Growth and spread of all cells beside one backward pass each. scores: with Kaiming's weights."""
    with gzip.open(MEASURED, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = np.isfinite(scores.growth)
    lines = []
    for name, computed in (("growth", scores.growth), ("spread", scores.spread)):
        measured = np.array([float(row[name]) for row in rows])
        lines.append(_agreement(name, computed[known], measured[known, None])[:-1])
    return markdown(("score", "cells", "Spearman", "median \\|difference\\|", "worst", "bias"), lines)


def worth_table(rows: Sequence[Row], forward: CellScores, backward: CellScores) -> str:
    """Spearman's correlation with accuracy over all cells; no score ranks below all others."""
    cost = np.array([parameters(parse_cell(row.cell)) for row in rows], float)
    growth, spread = (-np.nan_to_num(figure, nan=np.inf) for figure in (backward.growth, backward.spread))
    named = {"parameters": cost, "ZenClosedForm": forward.zen, "PerturbationClosedForm": forward.perturbation}
    named |= {"-growth": growth, "-spread": spread}
    joined = np.stack([cost, forward.perturbation], axis=1)
    named["log ranks of parameters, PerturbationClosedForm"] = log_rank_sums(joined)
    named["log ranks of these and -spread"] = log_rank_sums(np.column_stack([joined, spread]))
    lines = []
    for name, values in named.items():
        order = np.unique(values, return_inverse=True)[1]
        correlations = [spearmanr(order, accuracies).statistic for accuracies in _accuracies(rows)]
        lines.append((name, *(f"{c:.3f}" for c in correlations)))
    return markdown(("score", *DATA_SETS), lines)


def limits_table(rows: Sequence[Row], forward: CellScores, backward: CellScores) -> str:
    """The first of all cells by a closed form, alone and with parameters, among those with growth below a limit."""
    cost = np.array([parameters(parse_cell(row.cell)) for row in rows], float)
    both = log_rank_sums(np.stack([cost, forward.perturbation], axis=1))
    named = {"parameters": cost, "ZenClosedForm": forward.zen, "PerturbationClosedForm": forward.perturbation}
    named["parameters and PerturbationClosedForm"] = both
    lines = []
    for limit in (None, *LIMITS):
        allowed = np.isfinite(backward.growth) if limit is None else backward.growth < limit
        line = ["none" if limit is None else f"{limit:g}", f"{allowed.sum():,}"]
        for values in named.values():
            best = np.flatnonzero(allowed)[values[allowed] == values[allowed].max()]
            line.append(" / ".join(f"{a[best].mean():.2f}" for a in _accuracies(rows)))
        lines.append(line)
    optimum = " / ".join(f"{a.max():.2f}" for a in _accuracies(rows))
    return markdown(("growth below", "cells", *named), [*lines, ("optimum", "", optimum, "", "", "")])


def _accuracies(rows: Sequence[Row]) -> list[np.ndarray]:
    return [np.array([row.accuracies[name] for row in rows]) for name in DATA_SETS]


def write_scores(rows: Sequence[Row], forward: CellScores, backward: CellScores, seconds: float, folder: Path) -> None:
    """The tables of all cells' scores; cells without a score are minus infinity."""
    keys = [row.cell for row in rows]
    growth = np.nan_to_num(backward.growth, nan=-np.inf)
    named = {"ZenClosedForm": forward.zen, "PerturbationClosedForm": forward.perturbation}
    for proxy, values in (named | {GROWTH: growth}).items():
        lost = int(np.isneginf(values).sum())
        scores = dict(zip(keys, values.tolist(), strict=True))
        cost = 1e3 * seconds / len(keys)
        batch = GROWTH_BATCH if proxy == GROWTH else SETTINGS.batch_size
        table = ScoreTable(NAME, proxy, scores, len(keys), cost, batch_size=batch, failures={DISCONNECTED: lost})
        table.write(folder, keys)


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--cells", type=positive_int, default=64, metavar="N", help="cells that passes are made for")
    parser.add_argument("--seeds", type=positive_int, default=3, metavar="N", help="draws of weights for each of them")
    parser.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images of each pass")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--write_scores", action="store_true", help="write the scores of all cells, and stop")
    parser.add_argument(
        "--output_dir", type=Path, default=score_tables.FOLDER, metavar="FOLDER", help="for --write_scores"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and write them where that is asked for."""
    options = parse_options(argv)
    torch.set_num_threads(1)
    path = data_file(FILE)
    rows = read_table(path)
    cells = [parse_cell(row.cell) for row in rows]
    begun = time.process_time()
    forward = cell_scores(cells)
    seconds = time.process_time() - begun
    backward = cell_scores(cells, Weights.KAIMING, GROWTH_BATCH)
    if options.write_scores:
        write_scores(rows, forward, backward, seconds, options.output_dir)
        return 0
    tables = {"worth": worth_table(rows, forward, backward), "limits": limits_table(rows, forward, backward)}
    tables["cost"] = f"All {len(rows):,} cells take {seconds:.0f} s of one core, forward and back."
    tables["measured"] = measured_table(backward)
    # Passes take long, and may be interrupted.
    show_sections(PAGE, tables, write=options.write)
    passes = accuracy_table(
        connected_cells(options.cells), options.seeds, options.batch_size, lambda line: print(line, file=sys.stderr)
    )
    accuracy = f"{options.seeds} passes a cell, batch {options.batch_size}, 32 x 32 pixels.\n\n{passes}"
    show_sections(PAGE, {"accuracy": accuracy}, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
