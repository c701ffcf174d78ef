"""What a training leaves for people: log.csv, curves.png and the .done file."""

from __future__ import annotations

import csv
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsnet.interface.files import write_text, written_whole
from gsnet.interface.result_files import TRAINING_LOG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("epoch", "lr", "train_loss", "train_acc1", "val_loss", "val_acc1", "val_acc5", "images_per_second")


def write_log(folder: Path, history: list[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> None:
    """One row an epoch, the whole file anew, so that it always agrees with the checkpoint."""
    with written_whole(folder / TRAINING_LOG) as file:
        rows = csv.DictWriter(file, columns, lineterminator="\n")
        rows.writeheader()
        rows.writerows(history)


def write_done(file: Path, status: dict[str, Any]) -> None:
    """The fields of a finished training."""
    write_text(file, pprint.pformat(status) + "\n")


def draw_curves(folder: Path, history: list[dict[str, Any]]) -> None:
    """Loss and accuracy over epochs, as curves.png."""
    with written_whole(folder / "curves.png", "wb") as stream:
        curves_figure(history).savefig(stream, format="png", dpi=110)


def curves_figure(history: list[dict[str, Any]]) -> Figure:
    """Loss and accuracy over epochs; top-5 where there are more than five classes to be among."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = [row["epoch"] + 1 for row in history]
    for axes, names in ((losses, ("train_loss", "val_loss")), (accuracies, ("train_acc1", "val_acc1", "val_acc5"))):
        for name in names:
            values = [row[name] for row in history]
            if None not in values and not (name == "val_acc5" and min(values) == 100):
                axes.plot(epochs, values, label=name, marker=marker(epochs))
        over_epochs(axes)
        axes.legend()
    losses.set(ylabel="cross-entropy")
    accuracies.set(ylabel="per cent")
    return figure


def marker(epochs: Sequence[int]) -> str | None:
    """Of a curve: a dot where a line would have no length."""
    return "." if len(epochs) == 1 else None


def over_epochs(axes: Axes) -> None:
    """The horizontal axis of a curve, of which there is a grid at whole epochs alone, be there only one."""
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
