"""GradNorm in closed form beside backward passes; each pass is kept in docs/gradient_norm_passes.csv.

    python -m benchmarks.gradient_norm            # prints the tables, in seconds
    python -m benchmarks.gradient_norm --write    # and puts them into docs/gradient_norm.md
    python -m benchmarks.gradient_norm --measure  # first makes what the file lacks of passes: an hour on one core

Every third of the sixty networks a space on which growth is compared (benchmarks.gradient_passes), at 32 x 32 pixels.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from gsnet.interface.running import run
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Rows, read_rows, save_rows
from benchmarks.zen_closed_form_networks import CASES, sample_networks
from PlainNet import Network, parse
from ZeroShotProxy import ScoringSettings, score
from ZeroShotProxy.compute_gradnorm_closed_form import KINDS, GradientNorm

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs/gradient_norm_passes.csv"
PAGE = ROOT / "docs/gradient_norm.md"
KEY = ("space", "structure")
FIELDS = (*KEY, "batch", "norms")
# Images of a pass. Maps of IDW_fixfc end in one pixel: with few images, BN sees few values of a channel there.
BATCHES = {"XXBL": 16, "ghostshuffle": 16, "IDW_fixfc": 64}
SEEDS = 10


class Measured(NamedTuple):
    """GradNorm of a network by backward passes, one number for each draw of weights, images and labels."""

    network: Network
    batch: int
    norms: tuple[float, ...]

    @property
    def norm(self) -> float:
        """The root of the mean square."""
        return math.sqrt(fmean(norm * norm for norm in self.norms))

    @property
    def error(self) -> float:
        """Relative standard error of `norm`."""
        squares = np.square(self.norms)
        return float(squares.std(ddof=1) / squares.mean() / len(squares) ** 0.5 / 2)


def networks_of(space: str) -> list[Network]:
    """Those that are measured."""
    return sample_networks(CASES[f"{space}_32"], 60, seed=0)[::3]


def measured(rows: Rows) -> Iterator[tuple[str, list[Measured]]]:
    """What the file holds, space by space, in its order."""
    for space in BATCHES:
        found = [row for key, row in rows.items() if key[0] == space]
        if found:
            yield space, [_measured_of(row) for row in found]


def _measured_of(row: dict[str, str]) -> Measured:
    return Measured(parse(row["structure"]), int(row["batch"]), tuple(map(float, row["norms"].split())))


def measure(rows: Rows, file: Path, seeds: int) -> None:
    """Add the passes that are missing, seed after seed of each network."""
    for space, batch in BATCHES.items():
        settings = ScoringSettings(batch_size=batch)
        for network in networks_of(space):
            key = space, network.text
            norms = rows[key]["norms"].split() if key in rows else []
            norms += [f"{score(network, 'GradNorm', settings, seed):.5g}" for seed in range(len(norms), seeds)]
            rows[key] = dict(zip(FIELDS, (*key, str(batch), " ".join(norms)), strict=True))
            save_rows(file, FIELDS, rows, rows)


def accuracy_row(space: str, found: Sequence[Measured]) -> str:
    """How the closed form and roots of mean squares over passes agree on networks of one space."""
    form = GradientNorm(32)
    passes = np.array([one.norm for one in found])
    computed = np.array([form.norm(one.network, one.batch) for one in found])
    relative = computed / passes - 1
    rank, log_rank = spearmanr(computed, passes).statistic, np.corrcoef(np.log(computed), np.log(passes))[0, 1]
    return (
        f"| {space} | {found[0].batch} | {len(found)} | {passes.min():.3g} to {passes.max():.3g} | {rank:.3f} | "
        f"{log_rank:.4f} | {median(abs(relative)):.1%} | {max(abs(relative)):.1%} | {fmean(relative):+.1%} | "
        f"{fmean(one.error for one in found):.1%} |"
    )


def accuracy_table(rows: Rows) -> str:
    """One row for each space."""
    lines = [
        "| space | batch | networks | GradNorm | Spearman | correlation of logarithms | median \\|difference\\| | worst | "
        "bias | standard error |",
        "|---" * 10 + "|",
    ]
    return "\n".join(lines + [accuracy_row(space, found) for space, found in measured(rows)])


def kinds_table(rows: Rows) -> str:
    """Which parameters the squared norm is of: means over the networks of each space, by the closed form."""
    lines = ["| space | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    form = GradientNorm(32)
    for space, found in measured(rows):
        squares = [form.squares(one.network, one.batch) for one in found]
        shares = np.mean([square / square.sum() for square in squares], axis=0)
        lines.append(f"| {space} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
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
    print(*tables.values(), sep="\n\n", flush=True)
    if options.write:
        for name, table in tables.items():
            replace_section(PAGE, name, table)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
