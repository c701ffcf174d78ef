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
from benchmarks.report_winners import ORACLE, RANDOM, WinnerRow
from gsnet.interface.files import write_text, written_whole

_WINNERS_SHOWN = 9.0
_ACCURACY_TICKS = (10, 50, 70, 80, 85, 88, 90, 92, 94)


def write_tables(
    path: Path,
    correlations: Sequence[CorrelationRow],
    searches: Sequence[SearchRow],
    winners: Sequence[WinnerRow] = (),
) -> None:
    """tables.md: every data set, with intervals, seed spread, nDCG, cost and failures."""
    parts = []
    for name in names(correlations):
        mine = [r for r in correlations if r.benchmark == name]
        for scope in dict.fromkeys(r.scope for r in mine):
            title = {SAMPLE: "uniform sample", WHOLE: "all networks"}.get(scope, scope)
            parts += _correlation_tables(name, title, [r for r in mine if r.scope == scope])
        for data_set in dict.fromkeys(w.data_set for w in winners if w.benchmark == name):
            chosen = [w for w in winners if (w.benchmark, w.data_set) == (name, data_set)]
            parts += [f"### {name}, {data_set}, winners among N networks", winners_table(chosen)]
        parts += _search_tables(name, [s for s in searches if s.benchmark == name])
    write_text(path, "\n\n".join(parts) + "\n")


def winners_table(rows: Sequence[WinnerRow]) -> str:
    """Mean accuracy of winners by length, best at the longest draw first, and what they lose there by what; one data set.

    What is lost has two parts: the best network of all may not be among those drawn, and the winner may not be the best drawn.
    """
    lengths = sorted({row.networks for row in rows})
    found = {(row.proxy, row.networks): row for row in rows}
    # Of all networks only one is the first: the longest draw tells more.
    judged = lengths[-2] if len(lengths) > 1 else lengths[-1]
    proxies = sorted({row.proxy for row in rows}, key=lambda proxy: (-found[proxy, judged].mean, proxy))
    header = ("proxy", *winners_columns(lengths, judged))
    lines = [
        (
            f"**{proxy}**" if proxy in (ORACLE, RANDOM) else proxy,
            *(
                f"{found[proxy, n].mean:.2f}" + (f" ± {found[proxy, n].std:.2f}" if n == judged < lengths[-1] else "")
                for n in lengths
            ),
            *(f"{found[proxy, judged].too_few:.2f}", f"{found[proxy, judged].proxy_regret:.2f}"),
        )
        for proxy in proxies
    ]
    return markdown(header, lines)


def winners_columns(lengths: Sequence[int], judged: int) -> tuple[str, ...]:
    """Headings of winners by length, the last being that of all networks, and of what those of `judged` ones lose."""
    return (
        *(f"winner of {n:,}" for n in lengths[:-1]),
        f"winner of all {lengths[-1]:,}",
        f"best of all minus best of {judged:,}",
        f"best of {judged:,} minus winner",
    )


def names(correlations: Iterable[CorrelationRow]) -> list[str]:
    """The benchmarks that rows are of, in their order."""
    return list(dict.fromkeys(r.benchmark for r in correlations))


def main_data_set(name: str, correlations: Iterable[CorrelationRow]) -> str:
    """The first data set of a benchmark: the one that choices are made on."""
    return next(r.data_set for r in correlations if r.benchmark == name)


def best_known(name: str, data_set: str, correlations: Iterable[CorrelationRow]) -> list[CorrelationRow]:
    """One row a proxy: over all networks where there is such a row, else over the sample; best correlation first."""
    rows = {WHOLE: {}, SAMPLE: {}}  # type: dict[str, dict[str, CorrelationRow]]
    for r in correlations:
        if (r.benchmark, r.data_set) == (name, data_set) and r.scope in rows:
            rows[r.scope][r.proxy] = r
    return sorted((rows[SAMPLE] | rows[WHOLE]).values(), key=lambda r: -r.spearman.value)


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
        "ms a network",
        "no score",
    )
    tables = []
    for data_set in dict.fromkeys(r.data_set for r in rows):
        lines = [
            (
                *(r.proxy, str(r.networks), interval_text(r.spearman), interval_text(r.kendall)),
                "" if r.seed_spread is None else f"{r.seed_spread:.3f}",
                *(f"{r.ndcg:.3f}", f"{r.top:.2f}", f"{r.argmax:.2f}", f"{r.best:.2f}"),
                *(three_digits(r.milliseconds), r.failures),
            )
            for r in sorted((r for r in rows if r.data_set == data_set), key=lambda r: r.spearman.value, reverse=True)
        ]
        tables += [f"### {name}, {data_set}, {title}", markdown(header, lines)]
    return tables


def _search_tables(name: str, searches: Sequence[SearchRow]) -> list[str]:
    header = ("proxy", "networks", "winner", "worst of all seeds", "regret")
    tables = []
    for data_set in dict.fromkeys(s.data_set for s in searches):
        rows = sorted((s for s in searches if s.data_set == data_set), key=lambda s: s.regret)
        lines = [(s.proxy, str(s.networks), _winner(s), f"{s.worst:.2f}", f"{s.regret:.2f}") for s in rows]
        title = f"### {name}, {data_set}, winners of {rows[0].seeds} searches"
        tables += [title, markdown(header, lines)]
    return tables


def _winner(row: SearchRow) -> str:
    return f"{row.mean:.2f} ± {row.std:.2f}"


def interval_text(figure: Interval) -> str:
    """A figure, with its interval where it has one."""
    shown = f"{figure.value:.3f}"
    return shown if figure.low is None else f"{shown} [{figure.low:.2f}, {figure.high:.2f}]"


def three_digits(value: float) -> str:
    """A number as people write it, to three significant digits: 1,270 and not 1.27e+03."""
    return f"{float(f'{value:.3g}'):,.12g}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot_summary(path: Path, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow]) -> None:
    """A picture of both halves of the report: correlation over random networks, and the winner of a search."""
    benchmarks = names(correlations)
    figure, axes = plt.subplots(
        len(benchmarks), 2, figsize=(11, 5.5 * len(benchmarks)), squeeze=False, layout="constrained"
    )
    for (left, right), name in zip(axes, benchmarks, strict=True):
        data_set = main_data_set(name, correlations)
        rows = best_known(name, data_set, correlations)[::-1]
        errors = np.array([_below_and_above(r.spearman) for r in rows])
        values = [r.spearman.value for r in rows]
        left.errorbar(values, range(len(rows)), xerr=np.abs(errors).T, fmt="o", color="tab:blue", capsize=3)
        left.set(
            yticks=range(len(rows)),
            yticklabels=[r.proxy for r in rows],
            xlabel="Spearman, samples with 95 % interval",
            title=name,
        )
        found = [s for s in searches if (s.benchmark, s.data_set) == (name, data_set)]
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


def _below_and_above(figure: Interval) -> tuple[float, float]:
    if figure.low is None or figure.high is None:
        return 0.0, 0.0
    return figure.value - figure.low, figure.high - figure.value


def plot_scatter(path: Path, scores: Scores, chosen: Sequence[Candidate], sample: Sequence[str]) -> None:
    """Rank by each candidate against trained accuracy, one panel a candidate, the best correlation first.

    Errors are on a logarithmic scale: the best networks differ by tenths of a point, the worst by tens.
    """
    data_set, table = next(iter(scores.benchmark.accuracies.items()))
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
    figure.supylabel(f"{data_set} accuracy, % (scale by the logarithm of the error)")
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
