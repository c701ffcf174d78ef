"""Curves of a training for TensorBoard with the network's graph, and wherever else --log sends them."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from gsnet.interface.options import InputError
from gsnet.tracking import TrackedRun, Tracking
from gsnet.training.settings import Terminated

_LOG = logging.getLogger(__name__)
FOLDER = "runs/logs"
# What every training writes, asked for or not: log.csv, and the folder above.
_ANYWAY = ("csv", "tensorboard")
_NAMES = {
    "lr": "learning rate",
    "train_loss": "loss/training",
    "val_loss": "loss/validation",
    "train_acc1": "accuracy/training top-1",
    "val_acc1": "accuracy/validation top-1",
    "val_acc5": "accuracy/validation top-5",
    "positives": "assignment/positive priors an image",
    "val_AP": "precision/AP",
    "val_AP50": "precision/AP50",
    "val_AP75": "precision/AP75",
    "images_per_second": "speed/images a second",
}


@contextmanager
def opened(
    run: TrackedRun, log: tuple[str, ...], history: list[dict[str, Any]], status: dict[str, Any]
) -> Iterator[Curves]:
    """Curves that are written to while this lasts, of a training that goes on with what `history` holds.

    log: names of trackers. status: of the training, which is their summary if it comes to its end. Raises InputError.
    """
    kinds = [kind for kind in log if kind not in _ANYWAY]
    with Tracking(run, kinds, (Terminated,)) as tracking, closing(Curves(run.folder, run.done, tracking)) as curves:
        for row in history:
            # A tracker that was not asked for until now, or that a kill has kept from the last rows.
            curves.track(row)
        yield curves
        # As the steps are counted: from 1.
        tracking.finish({name: value + 1 if name.endswith("_at_epoch") else value for name, value in status.items()})


def side_of(images: Dataset) -> int:
    """The side of validation images, in pixels, by the first that can be read. Raises InputError where none can."""
    for place in range(len(images)):  # type: ignore[arg-type]
        if (sample := images[place]) is not None:
            return sample[0].shape[-1]
    raise InputError("None of the validation images can be read")


class Curves:
    """Writes into the folder `runs/logs` of the results, and to trackers. epoch: where the training goes on; what was written
    of it and of later ones, before an interruption or by another training in the folder, is not shown."""

    def __init__(self, folder: Path, epoch: int, tracking: Tracking) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / FOLDER), purge_step=epoch + 1)
        self._tracking = tracking

    def track(self, row: dict[str, Any]) -> None:
        """One epoch for the trackers, by the names of log.csv's columns."""
        figures = {name: value for name, value in row.items() if name != "epoch" and value is not None}
        self._tracking.add(row["epoch"] + 1, figures)

    def add(self, row: dict[str, Any]) -> None:
        """One epoch, as a row of log.csv."""
        self.track(row)
        for column, name in _NAMES.items():
            if row.get(column) is not None:
                self._writer.add_scalar(name, row[column], row["epoch"] + 1)
        self._writer.flush()

    def add_graph(self, network: nn.Module, side: int) -> None:
        """The network's graph for one image of that side; without it where the network cannot be traced."""
        image = torch.zeros(1, 3, side, side)
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # A copy: tracing calls forward, and the network's device and mode are not ours to change.
                shown = copy.deepcopy(network).cpu().eval()
                if hasattr(shown, "set_grad_checkpointing"):
                    # It has no backward pass, and what repeats forward cannot be traced.
                    shown.set_grad_checkpointing(False)  # type: ignore[operator]
                # Traced here: the writer would have what was traced checked, which takes as long once more.
                self._writer.add_graph(torch.jit.trace(shown, image, check_trace=False), image)
        except (RuntimeError, ValueError, TypeError) as error:
            _LOG.warning("No graph for TensorBoard: %s", str(error).strip().split("\n")[0])

    def close(self) -> None:
        """Flush to disk."""
        self._writer.close()
