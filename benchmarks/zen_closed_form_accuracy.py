"""Closed-form Zen against stored Monte-Carlo Zen: a table, and the plots of docs/zen_closed_form.md.

    python -m benchmarks.zen_closed_form_accuracy [--plots docs]

The Monte-Carlo figures are those of `zen_closed_form_monte_carlo.py`; nothing here needs torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

import PlainNet
from gsnet.interface.running import run
from PlainNet import Style
from ZeroShotProxy.compute_zen_closed_form import ClosedForm

ROOT = Path(__file__).resolve().parent.parent


class Comparison(NamedTuple):
    """Scores of the same networks: Monte-Carlo means, their standard errors, closed form; and the two perturbations."""

    sampled: np.ndarray
    error: np.ndarray
    closed: np.ndarray
    perturbation: np.ndarray
    layers: np.ndarray


def compare(rows: list[dict]) -> Comparison:
    """The closed form on the networks of rows that share resolution and link mode."""
    closed_form = ClosedForm(rows[0]["resolution"], style=Style(no_reslink=not rows[0]["links"]))
    results = []
    for row in rows:
        network = PlainNet.parse(row["structure"])
        perturbation, scale = closed_form.parts(network)
        spread = stdev(row["zen"]) / len(row["zen"]) ** 0.5
        change = perturbation - fmean(row["perturbation"])
        results.append((fmean(row["zen"]), spread, perturbation + scale, change, network.layers))
    return Comparison(*map(np.array, zip(*results, strict=True)))


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """Rank correlation of values without ties."""
    return float(np.corrcoef(left.argsort().argsort(), right.argsort().argsort())[0, 1])


def groups(path: Path) -> dict[tuple[str, bool], list[dict]]:
    """The stored rows by case and link mode."""
    result: dict[tuple[str, bool], list[dict]] = {}
    for row in json.loads(path.read_text())["rows"]:
        if row["zen"]:
            result.setdefault((row["case"], row["links"]), []).append(row)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--monte_carlo", type=Path, default=ROOT / "tests/golden/zen_monte_carlo.json")
    parser.add_argument("--plots", type=Path, help="folder for the PNG plots")
    options = parser.parse_args()
    comparisons = {key: compare(rows) for key, rows in groups(options.monte_carlo).items()}
    print(f"{'case':<20}{'links':<7}{'n':>4}{'Spearman':>10}{'mean |%|':>10}{'worst %':>9}{'bias':>8}{'MC error':>10}")
    for (case, links), c in comparisons.items():
        difference = c.closed - c.sampled
        percent = 100 * np.abs(difference) / c.sampled
        numbers = f"{spearman(c.sampled, c.closed):>10.4f}{percent.mean():>10.2f}{percent.max():>9.2f}"
        print(f"{case:<20}{links!s:<7}{len(percent):>4}{numbers}{difference.mean():>8.2f}{c.error.mean():>10.2f}")
    if options.plots:
        plot(comparisons, options.plots)
    return 0


def plot(comparisons: dict[tuple[str, bool], Comparison], folder: Path) -> None:
    """Scatter plots of scores and residuals, links left out and kept."""
    import matplotlib.pyplot as plt

    colours = {"XXBL": "tab:blue", "IDW_fixfc": "tab:orange", "ghostshuffle": "tab:green"}
    for name, vertical in (("scores", "closed form"), ("residuals", "closed form less Monte-Carlo, % of the score")):
        figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), sharey=True, layout="constrained")
        for (case, links), c in comparisons.items():
            space, resolution = case.rsplit("_", 1)
            value = c.closed if name == "scores" else 100 * (c.closed - c.sampled) / c.sampled
            marker = "o" if resolution == "32" else "^"
            label = f"{space}, {resolution} x {resolution}"
            axes[int(links)].scatter(
                c.sampled, value, s=18, marker=marker, color=colours[space], alpha=0.7, label=label
            )
        for kept, axis in enumerate(axes):
            axis.set_title(f"residual links {'kept' if kept else 'left out'}")
            axis.set_xlabel("Monte-Carlo Zen")
            axis.axline((100, 100), slope=1, lw=0.7, color="grey") if name == "scores" else axis.axhline(
                0, color="grey"
            )
        axes[0].set_ylabel(vertical)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
        figure.savefig(folder / f"zen_closed_form_{name}.png", dpi=110)


if __name__ == "__main__":
    sys.exit(run(main))
