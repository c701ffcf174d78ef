"""Curves of a training for TensorBoard, and the network's graph."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

_LOG = logging.getLogger(__name__)
FOLDER = "runs/logs"
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


class Curves:
    """Writes into the folder `runs/logs` of the results. epoch: where the training goes on; what was written of it and of
    later ones before an interruption is not shown."""

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / FOLDER), purge_step=epoch + 1 if epoch else None)

    def add(self, row: dict[str, Any]) -> None:
        """One epoch, as a row of log.csv."""
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
                self._writer.add_graph(shown, image)
        except (RuntimeError, ValueError, TypeError) as error:
            _LOG.warning("No graph for TensorBoard: %s", str(error).strip().split("\n")[0])

    def close(self) -> None:
        """Flush to disk."""
        self._writer.close()
