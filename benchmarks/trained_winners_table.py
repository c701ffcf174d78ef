"""What trained winners say: means, deviations and differences of equal seeds, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from textwrap import fill

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.saved_rows import Row

# Letters in a line of a candidate's name in the picture.
_LABEL_WIDTH = 44
# What a proxy has to beat: chance, and the cost that everybody knows.
BASELINES = ("Random", "Flops")


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows of one table as Markdown, best mean first.

    Differences are of equal seeds, with the standard error of their mean where there are two or more.
    """
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row["candidate"], {})[row["seed"]] = row
    names = [f"minus {name}" for name in BASELINES]
    yield f"| winner by | test | {' | '.join(names)} | each seed | train | layers | M FLOPs |"
    yield "|---" * (len(names) + 6) + "|"
    for candidate in sorted(found, key=lambda name: -fmean(tests(found[name]).values())):
        mine = found[candidate]
        differences = [
            difference(tests(mine), tests(found.get(name, {}))) if name != candidate else "" for name in BASELINES
        ]
        cells = (
            candidate,
            mean(list(tests(mine).values())),
            *differences,
            " / ".join(f"{value:.1f}" for value in tests(mine).values()),
            f"{fmean(float(row['train_acc1']) for row in mine.values()):.1f}",
            "/".join(row["layers"] for row in mine.values()),
            "/".join(f"{float(row['flops']) / 1e6:.1f}" for row in mine.values()),
        )
        yield f"| {' | '.join(cells)} |"


def tests(rows: Mapping[str, Row]) -> dict[str, float]:
    """Test accuracies by seed."""
    return {seed: float(row["test_acc1"]) for seed, row in sorted(rows.items())}


def mean(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def difference(mine: Mapping[str, float], others: Mapping[str, float]) -> str:
    """Mean difference over the seeds that both have, and its standard error."""
    values = [mine[seed] - others[seed] for seed in mine if seed in others]
    if not values:
        return ""
    error = f" ± {stdev(values) / sqrt(len(values)):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):+.2f}{error}"


def draw(file: Path, rows: Sequence[Row], title: str) -> None:
    """A dot for every winner's test accuracy and a line at each candidate's mean, best on top."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["candidate"], []).append(float(row["test_acc1"]))
    names = sorted(found, key=lambda name: fmean(found[name]))
    figure, axis = plt.subplots(figsize=(8, 0.6 + 0.44 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        axis.plot(found[name], [place] * len(found[name]), "o", color="tab:blue", alpha=0.7)
        axis.plot([fmean(found[name])], [place], "|", color="black", markersize=18)
    labels = [fill(name, _LABEL_WIDTH) for name in names]
    axis.set(xlabel="test accuracy (%)", title=title, yticks=range(len(names)), yticklabels=labels)
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(file, dpi=100)
    plt.close(figure)
