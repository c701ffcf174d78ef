"""The learning rate as a pure function of how many images have been seen, so that a resumed run has the same one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from gsnet.interface.options import InputError

MODES = ("cosine", "linear", "stagedecay")


class Rates(Protocol):
    """What a training needs of a schedule; `Schedule` is that of the classifiers."""

    @property
    def lr(self) -> float:
        """The rate that the schedule starts from."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over the data."""
        ...

    def rate(self, epoch: int, step: int, batch: int) -> float:
        """The rate of a step (both from 0) of `batch` images, those of all processes together."""
        ...


@dataclass(frozen=True)
class Schedule:
    """A learning rate over a whole training.

    lr at the start (after warm-up) and target_lr at the end; mode: a name of `MODES`; epochs and warmup in epochs of
    epoch_images images. stages: epochs that end a stage, for stagedecay, each of which multiplies the rate by decay.
    Raises InputError where these contradict each other.
    """

    mode: str
    lr: float
    target_lr: float
    epochs: int
    epoch_images: int
    warmup: int = 0
    stages: tuple[int, ...] = ()
    decay: float = 0.1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"There is no --lr_mode {self.mode!r}: use one of {', '.join(MODES)}")
        if self.mode == "stagedecay" and not self.stages:
            raise InputError("--lr_mode stagedecay needs --lr_stage_list, for example 30,60,80")
        if list(self.stages) != sorted(self.stages):
            raise InputError("--lr_stage_list takes epochs in ascending order")
        if self.mode == "stagedecay" and self.stages[0] >= self.epochs:
            raise InputError(
                f"--lr_stage_list: no stage ends within --epochs {self.epochs}, so that the rate would never fall"
            )
        if not 0 <= self.warmup < self.epochs:
            raise InputError(f"--warmup {self.warmup} must be shorter than the training, --epochs {self.epochs}")

    def rate(self, epoch: int, step: int, batch: int) -> float:
        """The rate of a step of an epoch, both from 0; batch: images of a step, all processes together."""
        return self.learning_rate(epoch * self.epoch_images + (step + 1) * batch)

    def learning_rate(self, seen: int) -> float:
        """The rate of a step; seen: images up to now, those of the step included."""
        warm = self.warmup * self.epoch_images
        if seen < warm:
            return self.lr * (seen + 1) / warm
        if self.mode == "stagedecay":
            epoch = seen // self.epoch_images
            return self.lr * self.decay ** sum(epoch > stage for stage in self.stages)
        # The last step would lie one image behind the end, where a linear rate would fall below its target.
        progress = min(1.0, (seen - warm + 1) / (self.epochs * self.epoch_images - warm))
        if self.mode == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.lr + (self.target_lr - self.lr) * progress
