"""The figures of a judgement as SVG: they stay sharp, and a page can hold them."""

from __future__ import annotations

import io

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gsnet.detection.judging import ERRORS, RECALLS, SCORES, Judgement

# With more classes a legend hides what it explains, and numbers of a matrix do not fit their cells.
_MOST_IN_A_LEGEND, _MOST_WITH_NUMBERS = 12, 16


def curves(found: Judgement) -> str:
    """Precision against recall, and F1 against the score, a line a class and a thick one for their mean."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _lines(left, RECALLS, found.precision, found.curve_classes)
    _lines(right, SCORES, found.f1, found.curve_classes)
    left.set(xlabel="recall", ylabel="precision", title="precision and recall, IoU 0.5", xlim=(0, 1), ylim=(0, 1.02))
    right.set(xlabel="least score", ylabel="F1", title="F1 by score", xlim=(0, 1), ylim=(0, 1.02))
    right.axvline(found.threshold, color="0.4", linestyle="--", linewidth=1)
    if len(found.curve_classes) <= _MOST_IN_A_LEGEND:
        figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return _svg(figure)


def _lines(axis: Axes, across: np.ndarray, values: np.ndarray, names: tuple[str, ...]) -> None:
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    for number, (name, line) in enumerate(zip(names, values, strict=True)):
        axis.plot(across, line, linewidth=1, color=colours[number % len(colours)], label=name)
    axis.plot(across, values.mean(axis=0), color="black", linewidth=2.5, label="mean")
    axis.grid(alpha=0.3)


def confusion(found: Judgement) -> str:
    """The matrix by shares of each row, with numbers where there is room."""
    matrix, names = found.confusion, [*found.classes, "nothing"]
    side = min(12.0, 2.5 + 0.55 * len(names))
    figure, axis = plt.subplots(figsize=(side + 1, side), layout="constrained")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= _MOST_WITH_NUMBERS:
        for (row, column), number in np.ndenumerate(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(number) if number else "", ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set(xlabel="found", ylabel="truth", title=f"scores from {found.threshold:.3g}, IoU 0.5")
    return _svg(figure)


def errors(found: Judgement) -> str:
    """Numbers of errors by kind, and what AP50 would gain without them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3), layout="constrained", sharey=True)
    kinds = [ERRORS[kind] for kind in found.errors]
    numbers, gains = zip(*found.errors.values(), strict=True)
    left.bar_label(left.barh(kinds, numbers, color="tab:orange"), padding=3)
    right.bar_label(right.barh(kinds, gains, color="tab:red"), fmt="%.1f", padding=3)
    left.set(title=f"errors, scores from {found.threshold:.3g}")
    right.set(title="AP50 without them, points more")
    left.invert_yaxis()
    for axis, values in ((left, numbers), (right, gains)):
        axis.set_xlim(0, 1.15 * max(*values, 1))
    return _svg(figure)


def counts(found: Judgement) -> str:
    """Objects found against objects there, a dot an image."""
    figure, axis = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    axis.scatter(found.counts[:, 0], found.counts[:, 1], s=14, alpha=0.6)
    most = max(1, int(found.counts.max(initial=1)))
    axis.plot([0, most], [0, most], color="0.4", linewidth=1)
    axis.set(
        xlabel="objects there", ylabel="objects found", title=f"mean error {found.count_error:.2f} objects an image"
    )
    axis.grid(alpha=0.3)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    content = io.StringIO()
    # Without a date the same figures are the same file.
    figure.savefig(content, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = content.getvalue()
    return text[text.index("<svg") :]
