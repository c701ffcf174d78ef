"""The report as Markdown and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.stats import rankdata

from benchmarks.report_rows import SAMPLE, WHOLE, Candidate, CorrelationRow, SearchRow
from benchmarks.report_scores import Scores
from benchmarks.report_statistics import Interval, spearman
from gsnet.evolution.ensemble import ENSEMBLE
from gsnet.interface.files import write_text, written_whole

# Spearman on all networks as published: NAS-Bench-201 on CIFAR-10, and NAS-Bench-Macro.
PUBLISHED = {
    ("NAS-Bench-201", "NASWOT"): ".762 to .785",
    ("NAS-Bench-201", "Syncflow-log"): ".758 to .769 (log .826)",
    ("NAS-Bench-201", "GradNorm"): ".438",
    ("NAS-Bench-201", "Flops"): ".799",
    ("NAS-Bench-201", "Params"): ".753",
    ("NAS-Bench-201", "TE-NAS"): ".722",
    ("NAS-Bench-201", "Zen"): ".10 to .62",
    ("NAS-Bench-201", ENSEMBLE): ".919 (best aggregate)",
    ("NAS-Bench-Macro", "Params"): ".318",
    ("NAS-Bench-Macro", "Flops"): ".748",
    ("NAS-Bench-Macro", ENSEMBLE): ".980 (between training seeds)",
}
_WINNERS_SHOWN = 9.0
_MAIN_DATA_SET = "CIFAR-10"
_ACCURACY_TICKS = (10, 50, 70, 80, 85, 88, 90, 92, 94)


def write_summary(
    path: Path, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow], notes: str
) -> None:
    """summary.md: one short table a benchmark, best search winner first."""
    parts = [_headline_table(name, correlations, searches) for name in _names(correlations)]
    write_text(path, "\n\n".join([*parts, notes]) + "\n")


def write_tables(path: Path, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow]) -> None:
    """tables.md: every data set, with intervals, seed spread, nDCG, cost and failures."""
    parts = []
    for name in _names(correlations):
        for scope, title in ((SAMPLE, "uniform sample"), (WHOLE, "all networks")):
            rows = [r for r in correlations if r.benchmark == name and r.scope == scope]
            parts += _correlation_tables(name, title, rows)
        parts += _search_tables(name, [s for s in searches if s.benchmark == name])
    write_text(path, "\n\n".join(parts) + "\n")


def _names(correlations: Iterable[CorrelationRow]) -> list[str]:
    return list(dict.fromkeys(r.benchmark for r in correlations))


def _headline_table(name: str, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow]) -> str:
    found = {s.proxy: s for s in searches if s.benchmark == name and s.data_set == _MAIN_DATA_SET}
    rows = [r for r in correlations if (r.benchmark, r.data_set, r.scope) == (name, _MAIN_DATA_SET, SAMPLE)]
    rows.sort(key=lambda r: (-found[r.proxy].mean if r.proxy in found else 0, -r.spearman.value))
    header = ("proxy", "search winner", "regret", "argmax", "top 1 %", "Spearman", "Kendall", "published Spearman", "n")
    lines = [
        (
            f"**{r.proxy}**" if r.proxy == ENSEMBLE else r.proxy,
            _winner(found[r.proxy]) if r.proxy in found else "",
            f"{found[r.proxy].regret:.2f}" if r.proxy in found else "",
            f"{r.argmax:.2f}",
            f"{r.top:.2f}",
            _interval(r.spearman),
            _interval(r.kendall),
            PUBLISHED.get((name, r.proxy), ""),
            str(r.networks),
        )
        for r in rows
    ]
    return f"### {name}, {_MAIN_DATA_SET}\n\n" + _markdown(header, lines)


def _correlation_tables(name: str, title: str, rows: Sequence[CorrelationRow]) -> list[str]:
    header = (
        "proxy",
        "n",
        "Spearman",
        "Kendall",
        "seed std",
        "nDCG",
        "top 1 %",
        "argmax",
        "best of n",
        "ms",
        "no score",
    )
    tables = []
    for data_set in dict.fromkeys(r.data_set for r in rows):
        lines = [
            (
                *(r.proxy, str(r.networks), _interval(r.spearman), _interval(r.kendall)),
                "" if r.seed_spread is None else f"{r.seed_spread:.3f}",
                *(f"{r.ndcg:.3f}", f"{r.top:.2f}", f"{r.argmax:.2f}", f"{r.best:.2f}"),
                *(f"{r.milliseconds:.3g}", r.failures),
            )
            for r in sorted((r for r in rows if r.data_set == data_set), key=lambda r: r.spearman.value, reverse=True)
        ]
        tables += [f"### {name}, {data_set}, {title}", _markdown(header, lines)]
    return tables


def _search_tables(name: str, searches: Sequence[SearchRow]) -> list[str]:
    header = ("proxy", "networks", "winner", "worst of all seeds", "regret")
    tables = []
    for data_set in dict.fromkeys(s.data_set for s in searches):
        rows = sorted((s for s in searches if s.data_set == data_set), key=lambda s: s.regret)
        lines = [(s.proxy, str(s.networks), _winner(s), f"{s.worst:.2f}", f"{s.regret:.2f}") for s in rows]
        title = f"### {name}, {data_set}, winners of {rows[0].seeds} searches"
        tables += [title, _markdown(header, lines)]
    return tables


def _winner(row: SearchRow) -> str:
    return f"{row.mean:.2f} ± {row.std:.2f}"


def _interval(figure: Interval) -> str:
    shown = f"{figure.value:.3f}"
    return shown if figure.low is None else f"{shown} [{figure.low:.2f}, {figure.high:.2f}]"


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot_summary(path: Path, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow]) -> None:
    """A picture of both halves of the report: correlation over random networks, and the winner of a search."""
    names = _names(correlations)
    figure, axes = plt.subplots(len(names), 2, figsize=(11, 4.2 * len(names)), squeeze=False, layout="constrained")
    for (left, right), name in zip(axes, names, strict=True):
        rows = [r for r in correlations if (r.benchmark, r.data_set, r.scope) == (name, _MAIN_DATA_SET, SAMPLE)]
        rows.sort(key=lambda r: r.spearman.value)
        errors = np.array([(i.value - (i.low or 0), (i.high or 0) - i.value) for i in (r.spearman for r in rows)])
        values = [r.spearman.value for r in rows]
        left.errorbar(values, range(len(rows)), xerr=np.abs(errors).T, fmt="o", color="tab:blue", capsize=3)
        left.set(
            yticks=range(len(rows)), yticklabels=[r.proxy for r in rows], xlabel="Spearman, 95 % interval", title=name
        )
        found = [s for s in searches if (s.benchmark, s.data_set) == (name, _MAIN_DATA_SET)]
        found.sort(key=lambda s: -s.regret)
        means = [s.mean for s in found]
        right.errorbar(means, range(len(found)), xerr=[s.std for s in found], fmt="s", color="tab:orange", capsize=3)
        names_and_means = [f"{s.proxy} ({s.mean:.2f})" for s in found]
        right.set(
            yticks=range(len(found)),
            yticklabels=names_and_means,
            xlabel="winner of the search, % (mean, deviation)",
        )
        if found:
            optimum = found[0].mean + found[0].regret
            right.axvline(optimum, color="grey", linestyle=":", label="best of the benchmark")
            # A search that knows nothing can be tens of points behind: its mean stands beside its name.
            right.set_xlim(max(right.get_xlim()[0], optimum - _WINNERS_SHOWN), optimum + 0.3)
            right.legend(loc="upper left")
        for axis in (left, right):
            axis.grid(alpha=0.3)
    _save(path, figure)


def plot_scatter(path: Path, scores: Scores, chosen: Sequence[Candidate], sample: Sequence[str]) -> None:
    """Rank by each candidate against trained accuracy, one panel a candidate, the best correlation first.

    Errors are on a logarithmic scale: the best networks differ by tenths of a point, the worst by tens.
    """
    table = scores.benchmark.accuracies[_MAIN_DATA_SET]
    columns = 4
    lines = -(-len(chosen) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(12, 2.6 * lines), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    panels = []
    for candidate in chosen:
        keys = sample[: candidate.networks]
        values = candidate.values(scores, keys)
        accuracies = np.array([table[key] for key in keys])
        panels.append((spearman(values, accuracies), candidate.name, values, accuracies))
    panels.sort(key=lambda panel: -panel[0])
    for axis, (correlation, name, values, accuracies) in zip(axes.flat, panels, strict=False):
        # Equal scores share their mean place, as in the correlation.
        places = 100 * (rankdata(values) - 0.5) / len(values)
        axis.scatter(places, 100 - accuracies, s=8, alpha=0.6)
        axis.set_title(f"{name}: {correlation:.3f}, n = {len(values)}", fontsize=10)
        axis.grid(alpha=0.3)
    _accuracy_scale(axes[0, 0], np.concatenate([panel[3] for panel in panels]))
    for axis in axes.flat[len(chosen) :]:
        axis.axis("off")
    for axis in axes.flat[max(0, len(chosen) - columns) : len(chosen)]:
        axis.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("place in the proxy's order, % (best on the right)")
    figure.supylabel(f"{_MAIN_DATA_SET} accuracy, % (scale by the logarithm of the error)")
    figure.suptitle(
        f"{scores.benchmark.name}: each proxy's order against trained accuracy, with Spearman's correlation"
    )
    _save(path, figure)


def _accuracy_scale(axis: Axes, accuracies: np.ndarray) -> None:
    """Errors upside down on a logarithmic scale, with accuracies as labels."""
    shown = [tick for tick in _ACCURACY_TICKS if accuracies.min() - 5 <= tick <= accuracies.max() + 1]
    axis.set_yscale("log")
    axis.set_ylim(1.05 * (100 - accuracies.min()), 0.95 * (100 - accuracies.max()))
    axis.yaxis.set_major_locator(FixedLocator([100 - tick for tick in shown]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:.0f}"))
    axis.yaxis.set_minor_locator(NullLocator())


def _save(path: Path, figure: plt.Figure) -> None:
    with written_whole(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
