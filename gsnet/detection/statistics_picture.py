"""What a detection data set holds, as a picture: classes, sides of objects, objects per image, widths against heights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gsnet.detection.data_statistics import MEDIUM, SMALL
from gsnet.detection.scene import SceneSet
from gsnet.interface.files import written_whole

_BLUE, _RED = "#4477aa", "#aa3377"
# More classes than these have no room, longer names neither.
_CLASSES, _LETTERS = 40, 28


def draw(data: SceneSet, file: Path) -> None:
    """Write the picture as a PNG file."""
    with written_whole(file, "wb") as stream:
        picture_of(data).savefig(stream, format="png", dpi=110)


def picture_of(data: SceneSet) -> Figure:
    """The picture; all that is written in it lies inside, however long names and numbers are."""
    boxes = np.concatenate([scene.boxes for scene in data.scenes])
    labels = np.concatenate([scene.labels for scene in data.scenes])
    rows = min(len(data.class_names), _CLASSES)
    figure = Figure(figsize=(12, max(8.0, 4 + 0.22 * rows)))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    heights = (max(1.0, 0.055 * rows), 1.0)
    classes, sides, images, shapes = figure.subplots(2, 2, height_ratios=heights).flat
    _draw_classes(classes, data, labels)
    positive = boxes[(boxes[:, 2:] > 0).all(axis=1)]
    _draw_sides(sides, np.sqrt(positive[:, 2] * positive[:, 3]))
    _draw_objects(images, np.array([len(scene.labels) for scene in data.scenes]))
    _draw_shapes(shapes, positive[:, 2:])
    return figure


def _draw_classes(axes: Axes, data: SceneSet, labels: np.ndarray) -> None:
    """Boxes of each class; of many classes the commonest."""
    counts = np.bincount(labels, minlength=len(data.class_names))
    shown = np.sort(np.argsort(-counts, kind="stable")[:_CLASSES])
    names = [_shortened(data.class_names[label]) for label in shown]
    bars = axes.barh(range(len(shown)), counts[shown], color=_BLUE)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_yticks(range(len(shown)), names, fontsize=10 if len(shown) <= 20 else 8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left_out = len(counts) - len(shown)
    more = f", of {len(counts)} classes the {len(shown)} with most" if left_out else ""
    axes.set(xlabel="boxes", title=f"{len(labels)} boxes{more}")


def _shortened(name: str) -> str:
    """Begin and end of a long name."""
    half = _LETTERS // 2
    return name if len(name) <= _LETTERS else f"{name[:half]}…{name[1 - half :]}"


def _draw_sides(axes: Axes, sides: np.ndarray) -> None:
    borders = [float(np.sqrt(area)) for area in (SMALL, MEDIUM)]
    low, high = min([borders[0], *sides.tolist()]), max([borders[1], *sides.tolist()])
    # What stands at the borders needs room to their left and right.
    axes.set(xscale="log", xlim=(max(low, 0.1) / 1.8, high * 1.8))
    if len(sides):
        # Over the whole axis: bars as narrow as boxes of one size differ would not be seen.
        axes.hist(sides, bins=np.geomspace(max(low, 0.1), 1.001 * high, 40).tolist(), color=_BLUE)
    for side in borders:
        axes.axvline(side, color=_RED, linestyle="--", linewidth=1)
    middle = float(np.sqrt(borders[0] * borders[1]))
    places = ((borders[0], "small ", "right"), (middle, "medium", "center"), (borders[1], " large", "left"))
    for side, name, end in places:
        axes.text(side, axes.get_ylim()[1], name, color=_RED, fontsize=8, ha=end, va="bottom")
    axes.set(xlabel="side of a square of the box's area, pixels", ylabel="boxes")
    _plain_numbers(axes, "x")


def _draw_objects(axes: Axes, counts: np.ndarray) -> None:
    """As many bars as there are numbers, or forty wide ones."""
    step = max(1, -(-(int(counts.max()) - int(counts.min()) + 1) // 40))
    edges = np.arange(counts.min(), counts.max() + step + 1, step) - 0.5
    axes.hist(counts, bins=edges.tolist(), color=_BLUE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="objects in an image", ylabel="images", title=f"{len(counts)} images")


def _draw_shapes(axes: Axes, sides: np.ndarray) -> None:
    if len(sides):
        axes.hexbin(sides[:, 0], sides[:, 1], xscale="log", yscale="log", gridsize=40, bins="log", mincnt=1)
        _plain_numbers(axes, "x")
        _plain_numbers(axes, "y")
    axes.set(xlabel="width, pixels", ylabel="height, pixels", title="shapes of the boxes")


def _plain_numbers(axes: Axes, name: str) -> None:
    """20 instead of 2 x 10 to the 1."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(10, (1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
