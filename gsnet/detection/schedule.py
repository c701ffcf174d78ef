"""Learning rate and averaged weights over a training of the detector."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsnet.interface.options import InputError

_WARMUP_START = 1e-4
_RAMP_STEPS = 2000


@dataclass(frozen=True)
class DetectionSchedule:
    """Linear warm-up over steps, then a cosine that falls once an epoch, from lr to target_lr (NanoDet-Plus).

    While it lasts, the warm-up decides alone: its factor rises from 1e-4 to 1 and multiplies lr. Raises InputError where
    these contradict each other.
    """

    lr: float
    target_lr: float
    epochs: int
    steps_per_epoch: int
    warmup_steps: int = 500

    def __post_init__(self) -> None:
        if self.warmup_steps >= max(1, self.epochs * self.steps_per_epoch):
            raise InputError(
                f"--warmup_steps {self.warmup_steps} must be fewer than the {self.epochs * self.steps_per_epoch} steps "
                "of the training"
            )

    def rate(self, epoch: int, step: int, batch: int = 0) -> float:
        """The learning rate of a step of an epoch, both from 0; the images of a step do not matter."""
        done = epoch * self.steps_per_epoch + step
        if self.warmup_steps and done <= self.warmup_steps:
            return self.lr * (1 - (1 - done / self.warmup_steps) * (1 - _WARMUP_START))
        share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.target_lr + (self.lr - self.target_lr) * share


def new_weight_fraction(decay: float, step: int) -> float:
    """How much of an average a step's weights make up; step from 0. It falls from nearly 1 to 1 - decay."""
    return decay * math.exp(-(1 + step) / _RAMP_STEPS) + (1 - decay)


class RampedAverage(nn.Module):
    """A copy of a network whose weights and buffers are averages over the steps, those of the beginning soon forgotten.

    average = (1 - f) average + f value, where f is `new_weight_fraction`; whole numbers are copied.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.module = copy.deepcopy(network)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._steps_done = 0

    @torch.no_grad()
    def update_parameters(self, network: nn.Module) -> None:
        """Take in the weights of one more step."""
        fraction = new_weight_fraction(self.decay, self._steps_done)
        averages, values = self.module.state_dict(), network.state_dict()
        pairs = [(averages[key], value) for key, value in values.items()]
        smooth = [(a, v) for a, v in pairs if v.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in smooth], [v for _, v in smooth], fraction)
        for average, value in pairs:
            if not value.is_floating_point():
                average.copy_(value)
        self._steps_done += 1
        self.steps.fill_(self._steps_done)

    def load_state_dict(self, *arguments, **options):  # type: ignore[no-untyped-def]
        found = super().load_state_dict(*arguments, **options)
        self._steps_done = int(self.steps)
        return found
