"""Growth of gradients in closed form: beside backward passes, as is their spread, what it costs, and growth of accurate cells.

    python -m benchmarks.gradient_growth              # prints; some minutes, for what it costs
    python -m benchmarks.gradient_growth --write      # and puts the tables into docs/gradient_growth.md
    python -m benchmarks.gradient_growth --accuracy   # accuracy alone, in seconds

Backward passes are those that benchmarks.gradient_passes keeps in docs/gradient_passes.csv, of the networks of
benchmarks.zen_closed_form_networks. Accuracies of cells are read from the folder that GSNET_DATA names.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, median

import numpy as np
from scipy.stats import spearmanr

from gsnet.interface.running import run
from benchmarks.data_folder import data_folder
from benchmarks.gradient_passes import BATCHES, KEY, Measured, measured
from benchmarks.gradient_passes import CASES as PASSES
from benchmarks.gradient_passes import FILE as PASSES_FILE
from benchmarks.nas_bench_201 import FILE, read_table
from benchmarks.pages import show_sections
from benchmarks.saved_rows import read_rows
from benchmarks.zen_closed_form_networks import CASES, sample_networks
from gsnet.evolution.array_choice import make_loop
from gsnet.evolution.executors import make_executor
from gsnet.evolution.figures import known_figures
from gsnet.evolution.history import History
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.search import Search
from gsnet.evolution.settings import SearchSettings
from PlainNet import Network, Style
from PlainNet.step_table import StepTable
from ZeroShotProxy.compute_zen_closed_form import ClosedForm
from ZeroShotProxy.gradient_growth import GAMMA, GradientGrowth
from ZeroShotProxy.mean_field_machine import first_map, room
from ZeroShotProxy.mean_field_machine import run as pass_forward

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/gradient_growth.md"
CELLS = ROOT / "tests/golden/nasbench201_gradient_growth.csv.gz"
SPACES = ("XXBL_32", "IDW_fixfc_32", "ghostshuffle_32")
QUANTILES = (5, 25, 50, 75, 95)
# On growth, of the searches that are timed.
LIMIT = 4.0
# Quantities of backward passes, of the logarithms of norms at all maps.
OF_NORMS: dict[str, Callable[[np.ndarray], float]] = {
    "growth": lambda norms: float(norms[0] - norms[-1]),
    "spread": lambda norms: float(norms.std()),
}


def accuracy_row(space: str, case: str, quantity: str, found: Sequence[Measured]) -> str:
    """How the closed form and means over backward passes agree on networks of one space. quantity: of `OF_NORMS`."""
    closed_form = GradientGrowth(32, PASSES[case].style)
    computed = [OF_NORMS[quantity](closed_form.log_norms(one.network)) for one in found]
    passes = [getattr(one, quantity) for one in found]
    means = [fmean(numbers) for numbers in passes]
    differences = [one - mean for one, mean in zip(computed, means, strict=True)]
    relative = [abs(d) / m for d, m in zip(differences, means, strict=True)]
    seeds = min(len(numbers) for numbers in passes)
    errors = [float(np.std(numbers, ddof=1)) / len(numbers) ** 0.5 for numbers in passes] if seeds > 1 else []
    rank = spearmanr(computed, means).statistic
    return (
        f"| {space} | {case} | {found[0].batch} | {len(found)} | {rank:.3f} | {median(relative):.1%} | "
        f"{max(relative):.1%} | {fmean(differences):+.2f} | {fmean(errors or [float('nan')]):.2f} |"
    )


def accuracy_table(quantity: str, count: int) -> str:
    """Each space with links, without, with PyTorch's weights, and with squeeze-and-excitation."""
    lines = [
        "| space | links | batch | networks | Spearman | median \\|difference\\| | worst | bias | standard error |",
        "|---" * 9 + "|",
    ]
    rows = read_rows(PASSES_FILE, KEY)
    for space in BATCHES:
        for case in PASSES:
            found = list(measured(space, case, count, rows))
            lines += [accuracy_row(space, case, quantity, found)] if found else []
    return "\n".join(lines)


def cost_table(count: int) -> str:
    """Processor time of a network of which nothing is remembered, beside that of the forward closed form.

    The gradient's forward pass is timed alone, too: what is left of growth is the way back and what is written down for it.
    """
    lines = ["| space | Zen-Score, whole network | growth | its forward pass alone | ratio |", "|---|---|---|---|---|"]
    image, stack = first_map(32, GAMMA, 3), room(32)
    for space in SPACES:
        networks = sample_networks(CASES[space], count, seed=0)
        forward = microseconds(partial(_score_anew, ClosedForm(32, style=Style())), networks)
        whole = microseconds(GradientGrowth(32).growth, networks)
        alone = microseconds(partial(_pass_forward, StepTable(Style()), image, stack), networks)
        times = " | ".join(f"{time:.0f} us" for time in (forward, whole, alone))
        lines.append(f"| {space.removesuffix('_32')} | {times} | {whole / forward:.2f} |")
    return "\n".join(lines)


def search_table(proposals: int) -> str:
    """Processor time of a proposal of searches with a limit on growth and without one."""
    lines = [
        f"{proposals:,} proposals, population 512, limit {LIMIT:g}; ratios are to the compiled search without a limit.",
        "",
        "| space | no limit, compiled | limit, compiled | limit, in Python |",
        "|---|---|---|---|",
    ]
    for space in SPACES:
        name, case = space.removesuffix("_32"), CASES[space]
        free = SearchSettings(
            "ZenClosedForm",
            evolution_max_iter=proposals,
            fix_initialize=True,
            origin=True,
            search_space=f"SearchSpace/search_space_{name}.py",
            plainnet_struct=case.initial,
            max_layers=case.max_layers,
            budget_model_size=1e6,
            budget_flops=1e8,
        )
        limited = replace(free, figures=("growth",), limits=(("growth", LIMIT),))
        none, compiled, in_python = (
            _proposal(settings, loop) for settings, loop in ((free, True), (limited, True), (limited, False))
        )
        shown = " | ".join(f"{time:.0f} us ({time / none:.1f})" for time in (compiled, in_python))
        lines.append(f"| {name} | {none:.0f} us | {shown} |")
    return "\n".join(lines)


def _proposal(settings: SearchSettings, compiled: bool) -> float:
    """Microseconds of a proposal of a search with its loop compiled or not, after its first third; the lesser of two."""
    best, end = float("inf"), settings.evolution_max_iter
    for _ in range(2):
        proposer, figures = make_proposer(settings), known_figures(settings)
        loop = make_loop(settings, proposer, figures) if compiled else None
        history = History.create(None, settings)
        search = Search(settings, proposer, make_executor(settings, 1), history, figures, loop)
        while (first := search.progress.next_iteration) < end // 3:
            search.advance()
        begun = time.process_time()
        while not search.finished:
            search.advance()
        best = min(best, (time.process_time() - begun) / (end - first) * 1e6)
    return best


def _score_anew(closed_form: ClosedForm, network: Network) -> float:
    closed_form.forget_beginnings()
    return closed_form.score(network)


def _pass_forward(table: StepTable, image: np.ndarray, stack: np.ndarray, network: Network) -> None:
    calls = np.frombuffer(bytearray().join([table.calls.get(b.key) or table.call(b) for b in network.blocks]))
    pass_forward(calls, table.rows, image, 0, image[:0], stack)


def microseconds(function: Callable[[Network], object], networks: Sequence[Network], repeats: int = 200) -> float:
    """The mean over the networks of each one's least time: other programs' turns are in some of its repeats, not in all."""
    least = [float("inf")] * len(networks)
    for _ in range(repeats):
        for place, network in enumerate(networks):
            begun = time.perf_counter()
            function(network)
            least[place] = min(least[place], time.perf_counter() - begun)
    return fmean(least) * 1e6


def cells_table(data: Path) -> str:
    """Growth of all cells of NAS-Bench-201, and of those with the best accuracy on CIFAR-10."""
    with gzip.open(CELLS, "rt", encoding="utf-8") as file:
        growth = np.array([float(row["growth"]) for row in csv.DictReader(file)])
    accuracy = np.array([row.accuracies["CIFAR-10"] for row in read_table(data / FILE)])
    order = np.argsort(-accuracy, kind="stable")
    lines = ["| cells | " + " | ".join(f"{q} %" for q in QUANTILES) + " | least | most |", "|---" * 8 + "|"]
    for name, chosen in (
        ("all 15,625", order),
        ("the 50 most accurate", order[:50]),
        ("the 20 most accurate", order[:20]),
    ):
        found = growth[chosen]
        figures = [*np.percentile(found, QUANTILES), found.min(), found.max()]
        lines.append(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", type=int, default=60, help="networks of each space, at most (default: %(default)s)"
    )
    parser.add_argument("--accuracy", action="store_true", help="the comparison with backward passes alone")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/gradient_growth.md")
    options = parser.parse_args()
    tables = {
        "accuracy": accuracy_table("growth", options.networks),
        "spread": accuracy_table("spread", options.networks),
    }
    if not options.accuracy:
        cells = cells_table(data_folder())
        tables |= {"cells": cells, "cost": cost_table(20), "search": search_table(12_000)}
    show_sections(PAGE, tables, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
