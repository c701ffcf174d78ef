"""Where a training stands: what its checkpoints keep of it, and how it goes on from one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.options import InputError
from gsnet.training import checkpoints
from gsnet.training.best import BestSoFar
from gsnet.training.describing import validated
from gsnet.training.resuming import check_classes, check_images, check_options, steps_done
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.validation.processes import place, told_by_first
from gsnet.validation.tally import Accuracy

_LOG = logging.getLogger(__name__)


class TrainingState:
    """A training in a results folder, or in none where nothing is written, between two steps.

    stepper holds the network, training and validation the batches of this process. options: plain values that the
    checkpoint keeps, so that a continued training can say what differs. description: what checkpoints say of the network;
    data_dir: where its data lie here. epoch counts from 0, steps_done is of this epoch.
    """

    # Column of the log that says which epoch is the best.
    measure = "val_acc1"
    # Field of the status with the best epoch.
    best_at = "best_acc1_at_epoch"
    # The folder of the checkpoint that it goes on from, where this process has read it.
    origin: Path | None = None
    # Whether the checkpoint of the best epoch so far is lost, so that the next one counts as the best.
    lacks_best = False

    def __init__(
        self,
        stepper: Stepper,
        settings: TrainingSettings,
        training: DataLoader,
        validation: DataLoader,
        folder: Path | None,
        options: dict[str, Any] | None = None,
        description: NetworkDescription | None = None,
    ) -> None:
        self.description = description
        self.data_dir: Path | None = None
        self.stepper, self.settings, self._folder = stepper, settings, folder
        self.training, self.validation = training, validation
        self.options = options or {}
        self.epoch = self.steps_done = 0
        self.sums = torch.zeros(2, dtype=torch.float64, device=stepper.device)
        self.history: list[dict[str, Any]] = []
        times = {"training_elasped_time": 0.0, "validation_elasped_time": 0.0}
        best = {"best_acc1": 0.0, "best_acc5": 0.0, "best_acc1_at_epoch": 0, "best_acc5_at_epoch": 0}
        self.status: dict[str, Any] = best | times

    @property
    def folder(self) -> Path:
        """The results folder. Raises RuntimeError for what has none, and so writes nothing: an evaluation, a trial."""
        if self._folder is None:
            raise RuntimeError("nothing is written without a results folder")
        return self._folder

    @property
    def latest(self) -> Path | None:
        """Where the latest checkpoint is, or will be; None without a results folder."""
        return self._folder and self._folder / checkpoints.LATEST

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises InputError where it belongs to another training."""
        check_options(state.get("options", {}), self.options)
        check_classes(self._class_names_of(state), self._class_names())
        sampler: Any = self.training.sampler
        check_images(state.get("images"), sampler.images)
        try:
            self.stepper.restore(state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError("The checkpoint is another network's: resume with the options it was made with") from error
        self.epoch = state["epoch"] + 1
        self.steps_done, share = steps_done(state, self.step_images, sampler.batches)
        # They are of all processes together, and will be summed over those of this run, however many these are.
        sums = torch.tensor(state["sums"], dtype=torch.float64, device=self.stepper.device)
        self.sums = sums * share / place()[1]
        self.history, self.status = state["history"], state["training_status_info"]
        _LOG.info("%s", self._where())

    def bring_best(self) -> None:
        """Have the best checkpoints of the epochs behind in this folder, too, where they lie in another one.

        Where they are nowhere, the best of the epochs to come will be the best, which is said.
        """
        if all(row[self.measure] is None for row in self.history):
            return
        kept = checkpoints.best_epochs(self.history, self.measure, self.settings.keep_best)
        past = BestSoFar(
            *(self.history, self.status[self.best_at], self.stepper.task.best_names),
            kept if len(kept) > 1 else (),
        )
        # The first process alone has read the checkpoint, on a machine whose folders others may not see.
        found = self.origin is not None and past.bring(self.origin, self.folder)
        self.lacks_best = not told_by_first(b"found" if found else b"")
        if self.lacks_best and self.origin is not None:
            _LOG.warning(
                "%s has no %s of epoch %d, the best so far: the best of the epochs from here on is kept in its place",
                *(self.origin, checkpoints.BEST, past.epoch + 1),
            )

    def _class_names(self) -> Sequence[str]:
        """The classes in the order of the labels, none where they have no names."""
        return self.description.class_names if self.description else ()

    def _class_names_of(self, state: Mapping[str, Any]) -> Sequence[str]:
        """The same of a checkpoint."""
        return (state.get(KEY) or {}).get("class_names") or ()

    def _where(self) -> str:
        """Where a resumed training goes on, counted as the lines on its progress do: from 1."""
        epochs = self.settings.epochs
        if self.epoch >= epochs:
            return "Resuming: the one epoch is done" if epochs == 1 else f"Resuming: all {epochs} epochs are done"
        steps = f"{self.steps_done} step{'s are' if self.steps_done > 1 else ' is'} done"
        part = f", of which {steps}" if self.steps_done else ""
        return f"Resuming at epoch {self.epoch + 1}/{epochs}{part}"

    @property
    def step_images(self) -> int:
        """Images of a step, all processes together."""
        return (self.training.batch_size or 1) * place()[1]

    def _save_best(self, accuracy: Accuracy) -> None:
        for name in self.stepper.task.best_names:
            checkpoints.save(self.folder / name, self._validated_state(accuracy))

    def _keep_best(self, accuracy: Accuracy) -> None:
        count = self.settings.keep_best
        checkpoints.keep_best(
            *(self.folder, self.history, self.measure, count),
            lambda file: checkpoints.save(file, self._validated_state(accuracy)),
        )

    def _validated_state(self, accuracy: Accuracy) -> dict[str, Any]:
        return self._progress(accuracy) | {"state_dict": self.stepper.validated.state_dict()}

    def _save(self, accuracy: Accuracy | None = None) -> None:
        checkpoints.save_latest(self.folder, self._progress(accuracy) | self.stepper.state())

    def _progress(self, accuracy: Accuracy | None) -> dict[str, Any]:
        return {
            "epoch": self.epoch - 1,
            "step": self.steps_done,
            "step_images": self.step_images,
            "images": self.training.sampler.images,  # type: ignore[attr-defined]
            "sums": self.sums.tolist(),
            "top1_acc": accuracy.top1 if accuracy else None,
            "top5_acc": accuracy.top5 if accuracy else None,
            "history": self.history,
            "training_status_info": self.status,
            "options": self.options,
            **self._described(accuracy),
        }

    def _described(self, accuracy: Accuracy | None) -> dict[str, Any]:
        """What says of a checkpoint's weights what they are for."""
        if self.description is None:
            return {}
        told = validated(self.description, accuracy, self.epoch - 1, self.validation.batch_size or 1)
        return {KEY: told.to_dict(), "data_dir": None if self.data_dir is None else str(self.data_dir)}
