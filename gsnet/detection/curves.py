"""The course of a training as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gsnet.interface.files import written_whole
from gsnet.training.record import marker, over_epochs


def draw_curves(folder: Path, history: list[dict[str, Any]]) -> None:
    """Loss, and AP and AP50 of the epochs that were validated, as curves.png in a results folder."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, precisions = figure.subplots(1, 2)
    epochs = [row["epoch"] + 1 for row in history]
    losses.plot(epochs, [row["train_loss"] for row in history], marker=marker(epochs))
    losses.set(ylabel="training loss")
    measured = [row for row in history if row["val_AP"] is not None]
    for name, label in (("val_AP", "AP"), ("val_AP50", "AP50")):
        precisions.plot([r["epoch"] + 1 for r in measured], [r[name] for r in measured], marker=".", label=label)
    # A first epoch that finds nothing would else be drawn on an axis of parts of thousandths.
    highest = max((row["val_AP50"] for row in measured), default=0)
    precisions.set(ylabel="per cent, validation", ylim=(0, max(1.0, 1.05 * highest)))
    precisions.legend()
    for axes in (losses, precisions):
        over_epochs(axes)
    with written_whole(folder / "curves.png", "wb") as stream:
        figure.savefig(stream, format="png", dpi=110)
