"""The loop over epochs, which may be killed at any moment and goes on bit for bit."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NoReturn

from torch import Tensor

from gsnet.interface.words import duration
from gsnet.tracking import TrackedRun
from gsnet.training import checkpoints, curves, record
from gsnet.training.ending import Ending, check_loss, check_weights, has_no_progress, say_no_progress
from gsnet.training.evaluation import evaluate
from gsnet.training.state import TrainingState
from gsnet.validation.processes import place, summed
from gsnet.validation.tally import Accuracy

_LOG = logging.getLogger(__name__)
_BAR_STEPS = 20


class Trainer(TrainingState):
    """A training that runs."""

    columns = record.COLUMNS
    curves: curves.Curves | None = None

    @cached_property
    def _ending(self) -> Ending:
        return Ending(self.settings.time_limit)

    def run(self) -> dict[str, Any]:
        """Train to the last epoch, or to the end of patience, and return the status.

        Raises TrainingFailed, Terminated after SIGTERM, and OutOfTime.
        """
        with self._ending.watched(), self._curves():
            while self.epoch < self.settings.epochs and not self._has_no_progress():
                speed = self._train_epoch()
                self._end_epoch(speed)
        if self.epoch < self.settings.epochs:
            say_no_progress(self.epoch, self.settings.epochs, self.settings.patience or 0)
        _LOG.info(
            "Epoch %d was the best; its weights are %s", self.status[self.best_at] + 1, self.folder / checkpoints.BEST
        )
        return self.status

    def _has_no_progress(self) -> bool:
        """Whether patience is at its end, which follows from the history alone, so that a resumed training ends there too."""
        best_epoch, patience = self.status[self.best_at], self.settings.patience
        return has_no_progress(self.history, self.measure, best_epoch, patience, self.settings.epochs)

    @contextmanager
    def _curves(self) -> Iterator[None]:
        """TensorBoard's curves and what --log names while training, in the first process."""
        if place()[0] > 0:
            yield
            return
        structure = {"structure": self.description.structure} if self.description else {}
        run = TrackedRun(self.folder, "epoch", self.options | structure, self.epoch)
        with curves.opened(run, self.settings.log, self.history, self.status) as self.curves:
            if not self.epoch and not self.steps_done:
                self.curves.add_graph(self.stepper.task.network, curves.side_of(self.validation.dataset))
            yield

    def rate(self, epoch: int, step: int) -> float:
        """The learning rate of a step, for the images of all processes together."""
        return self.settings.schedule.rate(epoch, step, self.step_images)

    def evaluated(self, limit: int | None = None) -> Any:
        """What the validation data say of the network, all processes together; limit: batches, for a dry run."""
        stepper = self.stepper
        layout = self.settings.channels_last
        return evaluate(
            stepper.validated, self.validation, stepper.device, stepper.precision.dtype, limit, channels_last=layout
        )

    def _validated(self) -> Any:
        """What is said of the network at the end of an epoch."""
        return self.evaluated()

    def draw_curves(self) -> None:
        """The training over epochs as a picture in the results folder."""
        record.draw_curves(self.folder, self.history)

    def _train_epoch(self) -> float:
        """One epoch, or what is left of it; returns images per second of this process."""
        from tqdm import tqdm

        self.stepper.task.train()
        sampler = self.training.sampler
        sampler.set_epoch(self.epoch, self.steps_done)  # type: ignore[attr-defined]
        begin, images_seen = time.perf_counter(), 0
        hidden = place()[0] > 0 or not sys.stderr.isatty()
        with tqdm(total=len(self.training), disable=hidden, desc=f"epoch {self.epoch + 1}", leave=False) as bar:
            for images, labels in self.training:
                lr = self.rate(self.epoch, self.steps_done)
                self.sums += self.stepper.step(images, labels, self.epoch, self.steps_done, lr)
                self.steps_done += 1
                images_seen += len(images)
                bar.update()
                # Reading the sums makes a GPU wait: seldom, and then for the bar and the log at once.
                if self.steps_done % min(self.settings.print_freq, _BAR_STEPS) == 0 or (
                    self.steps_done % self.settings.print_freq == 0
                ):
                    self._print_step(bar, images_seen / (time.perf_counter() - begin), lr)
                if self._ending.due():
                    self._stop(time.perf_counter() - begin)
        self._ending.settle()
        seconds = time.perf_counter() - begin
        self.status["training_elasped_time"] += seconds
        return images_seen / seconds

    def _stop(self, seconds: float) -> NoReturn:
        """Save in the middle of an epoch, after the same step in every process, and leave together.

        seconds: spent on this part of the epoch.
        """
        self._ending.settle()
        self.status["training_elasped_time"] += seconds
        self.sums = summed(self.sums.clone())
        self._check_state(self.sums)
        if place()[0] == 0:
            self._save()
        self._ending.leave(self.epoch)

    def _print_step(self, bar, speed: float, lr: float) -> None:  # type: ignore[no-untyped-def]
        loss, hits = self._means(self.sums, self.training.batch_size or 1)
        self.check(loss)
        accuracy = self._step_words(hits)
        bar.set_postfix_str(f"loss {loss:.3f}{accuracy} {speed:.0f} images/s", refresh=False)
        if self.steps_done % self.settings.print_freq:
            return
        total = self.training.sampler.batches  # type: ignore[attr-defined]
        left = (total - self.steps_done) * (self.training.batch_size or 1) / speed
        _LOG.info(
            "epoch %d step %d/%d loss %.4f%s lr %.5f %.0f images/s, %.0f s left of the epoch",
            *(self.epoch + 1, self.steps_done, total, loss, accuracy, lr, speed, left),
        )

    def _step_words(self, hits: float) -> str:
        """What the log of a step says of the hits of an image, so far in this epoch."""
        return "" if self.settings.mixes else f" top-1 {100 * hits:.1f}%"

    def check(self, loss: float) -> None:
        """Raise TrainingFailed where a loss is no longer a number."""
        check_loss(loss, self.epoch, self.latest)

    def _check_state(self, total: Tensor) -> None:
        """The same of a state that is about to be saved."""
        self.check(float(total[0]))
        check_weights(self.stepper.task.trained, self.epoch, self.latest)

    def _end_epoch(self, speed: float) -> None:
        # Loss and hits of the epoch's images in all processes.
        total = summed(self.sums.clone())
        self._check_state(total)
        begin = time.perf_counter()
        self.stepper.copy_buffers_from_first()
        accuracy = self._validated()
        self.status["validation_elasped_time"] += time.perf_counter() - begin
        row = self._row(accuracy, speed, total)
        self.history.append(row)
        best = self._note_best(accuracy)
        self.epoch += 1
        self.steps_done = 0
        self.sums.zero_()
        if place()[0] == 0:
            # The best first: were the latest the first, a kill between the two would lose the best for good.
            if best:
                self._save_best(accuracy)
            if self.settings.keep_best > 1:
                self._keep_best(accuracy)
            ends = self.epoch == self.settings.epochs or self._has_no_progress()
            if self.epoch % self.settings.save_freq == 0 or ends:
                self._save(accuracy)
            record.write_log(self.folder, self.history, self.columns)
            if self.curves is not None:
                self.curves.add(row)
        self._print_epoch(row)

    def _means(self, total: Tensor, images: int) -> list[float]:
        """Loss and hits of an image, so far in this epoch; images: of a step that are in the total."""
        return [float(value) / (self.steps_done * images) for value in total]

    def _row(self, accuracy: Any, speed: float, total: Tensor) -> dict[str, Any]:
        loss, hits = self._means(total, self.step_images)
        row = {"epoch": self.epoch, "lr": self.rate(self.epoch, self.steps_done - 1), "train_loss": loss}
        return row | self._figures(hits, accuracy) | {"images_per_second": speed * place()[1]}

    def _figures(self, hits: float, accuracy: Accuracy) -> dict[str, Any]:
        """What an epoch's row has between loss and speed. hits: of an image."""
        return {
            "train_acc1": None if self.settings.mixes else 100 * hits,
            "val_loss": accuracy.loss,
            "val_acc1": accuracy.top1,
            "val_acc5": accuracy.top5,
        }

    def _note_best(self, accuracy: Accuracy) -> bool:
        first = self.lacks_best or not self.history[:-1]
        best = first or accuracy.top1 > self.status["best_acc1"]
        for name, value in (("best_acc1", accuracy.top1), ("best_acc5", accuracy.top5)):
            if first or value > self.status[name]:
                self.status |= {name: value, f"{name}_at_epoch": self.epoch}
        self.lacks_best = False
        return best

    def _times(self) -> tuple[str, str]:
        """The time spent so far, and that which is left, after an epoch."""
        spent = self.status["training_elasped_time"] + self.status["validation_elasped_time"]
        return duration(spent), duration(spent / self.epoch * (self.settings.epochs - self.epoch))

    def _print_epoch(self, row: dict[str, Any]) -> None:
        _LOG.info(
            "epoch %d/%d loss %.4f val loss %.4f top-1 %.2f%% top-5 %.2f%%, best %.2f%%, %.0f images/s, %s so far, %s left",
            *(self.epoch, self.settings.epochs, row["train_loss"], row["val_loss"], row["val_acc1"], row["val_acc5"]),
            *(self.status["best_acc1"], row["images_per_second"], *self._times()),
        )
