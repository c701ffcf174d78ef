"""Pictures of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from gsnet.evolution.digest import figures_of
from gsnet.evolution.ensemble import aggregate_of
from gsnet.evolution.history import Row
from gsnet.evolution.scatter import Scatter
from gsnet.evolution.settings import GROWTH, IN_BYTES, PEAK_MEMORY, WEIGHTS, SearchSettings
from gsnet.interface.files import written_whole

_WORDS = {GROWTH: "gradient growth", PEAK_MEMORY: "maps that live at once", WEIGHTS: "weights"}
_KIBIBYTE = 1024.0
_GREY, _BLUE, _RED = "0.65", "#1f5fa8", "#c1272d"
# Half of the points in this part of an axis, from the left, are too close together to be told apart.
_PRESSED = 0.25
# A logarithmic axis of less than this factor looks much like a linear one.
_WIDE = 5


def plot_search(path: Path, scored: Scatter, front: Sequence[Row], settings: SearchSettings) -> None:
    """Score against iteration with the best so far, and score against parameters with the Pareto front.

    scored: every scored candidate; some 20,000 of them are drawn.
    """
    figure, (left, right) = _figure(2, (11, 4.2))
    iterations, scores, parameters = scored.shown.T
    millions = parameters / 1e6
    left.scatter(iterations, scores, s=3, color=_GREY, label="candidate")
    left.step(
        [*scored.rises, scored.last_iteration],
        [*scored.best_scores, scored.best],
        where="post",
        color=_BLUE,
        label="best so far",
    )
    left.set_xlabel("iteration")
    left.set_ylabel(_score_label(settings))
    right.scatter(millions, scores, s=3, color=_GREY, label="candidate")
    right.step(
        *_front_in([(row.parameters or 0) / 1e6 for row in front], [row.score or 0.0 for row in front]),
        where="post",
        color=_RED,
        marker="o",
        markersize=3,
        label="Pareto front",
    )
    if settings.budget_model_size:
        right.axvline(settings.budget_model_size / 1e6, color="0.3", linestyle=":", label="budget")
    right.set_xlabel("parameters (millions)")
    _spread_out(right, millions.tolist())
    right.set_ylabel(_score_label(settings))
    _legend_below(figure, left, right)
    figure.suptitle(f"{scored.count:,} candidates scored, best {settings.zero_shot_score} score {scored.best:.4g}")
    left.xaxis.set_major_formatter("{x:,.0f}")
    _save(figure, path)


def plot_pareto(path: Path, front: Sequence[Row], settings: SearchSettings) -> None:
    """The Pareto front, seen against each cost."""
    costs: tuple[tuple[str, float, str], ...] = (
        ("parameters", 1e6, "parameters (millions)"),
        ("flops", 1e6, "FLOPs (millions of multiply-accumulates)"),
        ("memory_access", 1e6, "memory access (millions of elements)"),
        ("layers", 1, "layers"),
    )
    if settings.watches_latency:
        costs = (*costs, ("latency", 1e-3, "latency (ms an image)"))
    panels = [(name, label, [getattr(row, name) / unit for row in front]) for name, unit, label in costs]
    for name in settings.figures:
        unit, label = (_KIBIBYTE, f" (KiB, {settings.memory_precision})") if name in IN_BYTES else (1.0, "")
        values = [(figures_of(row, (name,))[0] or 0.0) / unit for row in front]
        panels.append((name, _WORDS.get(name, name) + label, values))
    scores = [row.score or 0.0 for row in front]
    figure, axes = _figure(len(panels), (3.5 * len(panels), 3.8))
    for axis, (name, label, values) in zip(axes, panels, strict=True):
        axis.scatter(values, scores, s=8, color=_GREY)
        axis.step(*_front_in(values, scores), where="post", color=_RED, marker="o", markersize=3)
        axis.set_xlabel(label)
        # Layers are counted: a linear axis shows each number.
        if name == "layers":
            whole_numbers(axis)
        else:
            _spread_out(axis, values)
    axes[0].set_ylabel(_score_label(settings))
    figure.suptitle(f"Pareto archive over score and all costs: {len(front):,} networks (red: front in one cost alone)")
    _save(figure, path)


def _score_label(settings: SearchSettings) -> str:
    """The axis of scores; those of an ensemble are not what the log said on the way, but of one population."""
    # In a line of its own: an axis is as long as the one line.
    ranked = "" if aggregate_of(settings) is None else "\n(ranks among the last population)"
    return f"{settings.zero_shot_score} score{ranked}"


def _front_in(costs: Sequence[float], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """Costs and scores of the networks whose score no cheaper one reaches, cheapest first."""
    steps: list[tuple[float, float]] = []
    for cost, score in sorted(zip(costs, scores, strict=True), key=lambda point: (point[0], -point[1])):
        if not steps or score > steps[-1][1]:
            steps.append((cost, score))
    return [cost for cost, _ in steps], [score for _, score in steps]


def is_pressed(costs: Sequence[float]) -> bool:
    """Whether costs of points are so uneven that most are pressed against the left end of a linear axis."""
    low, high = min(costs), max(costs)
    return 0 < low * _WIDE <= high and median(costs) - low < _PRESSED * (high - low)


def whole_numbers(axis: Any) -> None:
    """Ticks of what is counted: none between two numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _spread_out(axis: Any, costs: Sequence[float]) -> None:
    """A logarithmic axis of costs where most points would be pressed into a corner of a linear one."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if not is_pressed(costs):
        return
    decades = math.log10(max(costs) / min(costs))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)))
    axis.xaxis.set_major_formatter("{x:,.5g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _figure(columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    # The object interface needs no display and leaves matplotlib's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _legend_below(figure: Any, *axes: Any) -> None:
    """One legend of several panels, below them: inside it would lie over points."""
    named = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    legend = figure.legend(named.values(), named, loc="outside lower center", ncols=len(named), frameon=False)
    for handle in legend.legend_handles:
        # Points of candidates are too small to be seen alone.
        if hasattr(handle, "set_sizes"):
            handle.set_sizes([20])


def _save(figure: Any, path: Path) -> None:
    with written_whole(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)
