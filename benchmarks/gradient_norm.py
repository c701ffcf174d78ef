"""GradNorm in closed form beside backward passes; each pass is kept in docs/gradient_norm_passes.csv.

    python -m benchmarks.gradient_norm            # prints the tables, in seconds
    python -m benchmarks.gradient_norm --write    # and puts them into docs/gradient_norm.md
    python -m benchmarks.gradient_norm --measure  # first makes what the file lacks of passes: three hours on one core

The sixty networks a space on which growth is compared (benchmarks.gradient_passes), at 32 x 32 pixels. A stopped run goes on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from gsnet.interface.running import run
from benchmarks.pages import show_sections
from benchmarks.saved_rows import Rows, read_rows, save_rows
from benchmarks.zen_closed_form_networks import CASES, sample_networks
from PlainNet import Network, parse
from ZeroShotProxy import ScoringContext, ScoringSettings, get_proxy, score
from ZeroShotProxy.compute_gradnorm_closed_form import KINDS, GradientNorm
from ZeroShotProxy.network_state import normalise_by_batch

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs/gradient_norm_passes.csv"
PAGE = ROOT / "docs/gradient_norm.md"
KEY = ("space", "structure")
# Of each kind of parameter the squares of all passes, one after the other.
FIELDS = (*KEY, "batch", *KINDS)
# Images of a pass. Maps of IDW_fixfc end in one pixel: with few images, BN sees few values of a channel there.
BATCHES = {"XXBL": 16, "ghostshuffle": 16, "IDW_fixfc": 64}
SEEDS = 10


class Measured(NamedTuple):
    """Squares of gradients by backward passes, a row for each draw of weights, images and labels: (passes, kinds)."""

    network: Network
    batch: int
    squares: np.ndarray

    @property
    def norm(self) -> float:
        """The root of the mean square over all parameters."""
        return math.sqrt(self.squares.sum(axis=1).mean())

    @property
    def halves(self) -> tuple[float, float]:
        """The same of either half of the passes."""
        half = len(self.squares) // 2
        return self._replace(squares=self.squares[:half]).norm, self._replace(squares=self.squares[half:]).norm

    @property
    def error(self) -> float:
        """Relative standard error of `norm`."""
        squares = self.squares.sum(axis=1)
        return float(squares.std(ddof=1) / squares.mean() / len(squares) ** 0.5 / 2)


def networks_of(space: str) -> list[Network]:
    """Those that are measured."""
    return sample_networks(CASES[f"{space}_32"], 60, seed=0)


def measured(rows: Rows) -> Iterator[tuple[str, list[Measured]]]:
    """What the file holds, space by space, in its order."""
    for space in BATCHES:
        found = [row for key, row in rows.items() if key[0] == space]
        if found:
            yield space, [_measured_of(row) for row in found]


def _measured_of(row: dict[str, str]) -> Measured:
    squares = np.array([[float(square) for square in row[kind].split()] for kind in KINDS]).T
    return Measured(parse(row["structure"]), int(row["batch"]), squares)


def measure(rows: Rows, file: Path, seeds: int) -> None:
    """Add the passes that are missing."""
    networks = {space: networks_of(space) for space in BATCHES}
    order = [(space, network.text) for space in BATCHES for network in networks[space]]
    for space, batch in BATCHES.items():
        settings = ScoringSettings(batch_size=batch)
        for network in networks[space]:
            key = space, network.text
            lists = [rows[key][kind].split() if key in rows else [] for kind in KINDS]
            for seed in range(len(lists[0]), seeds):
                for squares, square in zip(lists, squares_of_pass(network, settings, seed), strict=True):
                    squares.append(f"{square:.4g}")
            kept = (" ".join(squares) for squares in lists)
            rows[key] = dict(zip(FIELDS, (*key, str(batch), *kept), strict=True))
            save_rows(file, FIELDS, rows, order)


def squares_of_pass(network: Network, settings: ScoringSettings, seed: int) -> list[float]:
    """Squared gradients by kind of parameter of one backward pass of GradNorm: their sum is the square of that score."""
    squares = [0.0] * len(KINDS)

    def compute(module: nn.Module, context: ScoringContext) -> float:
        normalise_by_batch(module)
        logits = module(context.random_images())
        functional.cross_entropy(logits, context.random_labels(logits.shape[1])).backward()
        for layer in module.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.grad is not None:
                    squares[kind_of(layer, name)] += float(parameter.grad.double().square().sum())
        return 0.0

    score(network, replace(get_proxy("GradNorm"), compute=compute), settings, seed)
    return squares


def kind_of(layer: nn.Module, name: str) -> int:
    """The place in `KINDS` of a layer's parameter."""
    if isinstance(layer, nn.Conv2d):
        return KINDS.index("depth-wise" if layer.groups == layer.in_channels > 1 else "convolutions")
    if isinstance(layer, nn.BatchNorm2d):
        return KINDS.index("scales" if name == "weight" else "shifts")
    return KINDS.index("classifier" if name == "weight" else "biases")


def accuracy_row(space: str, found: Sequence[Measured]) -> str:
    """How the closed form and roots of mean squares over passes agree on networks of one space."""
    form = GradientNorm(32)
    passes = np.array([one.norm for one in found])
    computed = np.array([form.norm(one.network, one.batch) for one in found])
    relative = computed / passes - 1
    rank, halves = (
        spearmanr(*some).statistic for some in ((computed, passes), zip(*(one.halves for one in found), strict=True))
    )
    return (
        f"| {space} | {found[0].batch} | {len(found)} | {passes.min():.3g} to {passes.max():.3g} | {rank:.3f} | "
        f"{halves:.3f} | {median(abs(relative)):.1%} | {max(abs(relative)):.1%} | {fmean(relative):+.1%} | "
        f"{fmean(one.error for one in found):.1%} |"
    )


def accuracy_table(rows: Rows) -> str:
    """One row for each space."""
    lines = [
        "| space | batch | networks | GradNorm | Spearman | either half of the passes | median \\|difference\\| | worst | "
        "bias | standard error |",
        "|---" * 10 + "|",
    ]
    return "\n".join(lines + [accuracy_row(space, found) for space, found in measured(rows)])


def kinds_table(rows: Rows) -> str:
    """Of each kind of parameter its part of the squared norm by passes, and squares of the closed form over those of passes.

    Means over the networks of a space, of the logarithm for quotients.
    """
    lines = ["| space | | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 2) + "|"]
    form = GradientNorm(32)
    for space, found in measured(rows):
        passes = np.array([one.squares.mean(axis=0) for one in found])
        computed = np.array([form.squares(one.network, one.batch) for one in found])
        parts = (passes / passes.sum(axis=1, keepdims=True)).mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = np.exp(np.log(computed / passes).mean(axis=0))
        shown = " | ".join(f"{part:.1%}" for part in parts)
        lines.append(f"| {space} | part of the square | {shown} |")
        shown = " | ".join(f"{quotient:.2f}" if quotient > 0 else "" for quotient in quotients)
        lines.append(f"| {space} | closed form over passes | {shown} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and measure and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="make the passes that the file lacks first")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="passes of each network (default: %(default)s)")
    parser.add_argument("--file", type=Path, default=FILE, help="where passes are kept (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/gradient_norm.md")
    options = parser.parse_args(argv)
    rows = read_rows(options.file, KEY)
    if options.measure:
        measure(rows, options.file, options.seeds)
    tables = {"accuracy": accuracy_table(rows), "kinds": kinds_table(rows)}
    show_sections(PAGE, tables, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
