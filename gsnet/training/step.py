"""One step: targets, forward, backward, clipping, the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gsnet.data.random_numbers import mixed_seed
from gsnet.interface.options import InputError
from gsnet.training.averaged import AveragedWeights
from gsnet.training.coupling import coupling
from gsnet.training.fine_tuning import rate_scales
from gsnet.training.losses import cutmix, mixup, smoothed_targets
from gsnet.training.optimisers import optimiser
from gsnet.training.precision import ApexPrecision, TorchPrecision, mixed_type
from gsnet.training.settings import TrainingSettings
from gsnet.training.tasks import Classification, Place
from gsnet.validation.processes import copy_buffers_from_first, place
from PlainNet.gradient_checkpointing import statistics_kept


class Stepper:
    """A task with its optimiser, precision and averaged weights.

    task: a module as in `gsnet.training.tasks`, on the device already. Of several processes each holds the same weights, which
    the constructor takes from process 0. precision: torch's by default.
    """

    def __init__(
        self,
        task: Classification,
        settings: TrainingSettings,
        device: str,
        precision: TorchPrecision | ApexPrecision | None = None,
    ) -> None:
        self.settings, self.device = settings, device
        self.layout = torch.channels_last if settings.channels_last else torch.preserve_format
        self.precision = precision or TorchPrecision(device, mixed_type(settings, device))
        scales = rate_scales(
            task.network, settings.classes, settings.optimiser.head_scale, settings.optimiser.layer_decay
        )
        own: Optimizer = optimiser(task, settings.optimiser, settings.schedule.lr, scales)
        self.task, own = self.precision.initialise(task, own)
        self.coupling = coupling(device, settings.fp16_allreduce, settings.accumulate)
        module, self.optimiser = self.coupling.couple(self.task, own)
        self.ema = None if settings.ema is None else self._average(settings.ema)
        self.coupled = module
        self.module = torch.compile(module) if settings.compile else module

    def _average(self, decay: float) -> AveragedWeights:
        """The copy of the network whose weights are averaged over the steps."""
        return AveragedWeights(self.task.network, decay)

    @property
    def validated(self) -> nn.Module:
        """The network whose accuracy counts: the averaged one where there is one."""
        return self.task.network if self.ema is None else self.ema.module

    def step(self, images: Tensor, labels: Tensor, epoch: int, number: int, lr: float) -> Tensor:
        """Learn from one batch; returns its loss, summed over images, and the hits: (2,) in float64 on the device.

        Hits are counted where images are not mixed, and else 0.
        """
        self._seed(mixed_seed(self.settings.seed, epoch, number, place()[0]))
        images = images.to(self.device, memory_format=self.layout, non_blocking=True)
        chunks = self._chunks(images, labels)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        self.optimiser.zero_grad()
        found = torch.zeros(2, dtype=torch.float64, device=self.device)
        first = 0
        for i, chunk in enumerate(chunks):
            place_in_run = (epoch, number, first)
            found += self._backward(*chunk, place_in_run, total=len(images), last=i == len(chunks) - 1)
            first += len(chunk[0])
        self._update()
        return found

    def _seed(self, seed: int) -> None:
        """Fix the device's random numbers. On a CPU without torch.manual_seed, which writes down the stack of every call."""
        if self.device == "cpu":
            torch.random.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _chunks(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Any, Any]]:
        """Images, targets and labels of each part that a step is computed in."""
        labels = labels.to(self.device, non_blocking=True)
        images, targets = self._mixed(images, labels)
        parts = self.settings.accumulate
        return list(zip(images.chunk(parts), targets.chunk(parts), labels.chunk(parts), strict=True))

    def _hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What is counted beside the loss, summed over images."""
        return torch.zeros((), device=self.device) if self.settings.mixes else (logits.argmax(1) == labels).sum()

    def _mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        s = self.settings
        targets = smoothed_targets(labels, s.classes, s.smoothing)
        if s.mixup and s.cutmix:
            return mixup(images, targets, s.mixup) if torch.rand(()) < 0.5 else cutmix(images, targets, s.cutmix)
        if s.mixup:
            return mixup(images, targets, s.mixup)
        return cutmix(images, targets, s.cutmix) if s.cutmix else (images, targets)

    def _backward(self, images: Tensor, targets: Any, labels: Any, place: Place, total: int, last: bool) -> Tensor:
        with nullcontext() if last else self.coupling.accumulating(self.coupled):
            with _one_value_told(), self.precision.forward():
                loss, logits = self.module(images, targets, *self.task.guidance(images, place))
            # Forward passes in there are repeated ones, whichever library repeats them.
            with statistics_kept(self.task.network) if self.settings.grad_checkpointing else nullcontext():
                self.precision.backward(loss * (len(images) / total), self.optimiser, last)
        return torch.stack([loss.detach().double() * len(images), self._hits(logits, labels).double()])

    def _update(self) -> None:
        s = self.settings
        self.coupling.average(self.optimiser)
        weights = [p for group in self.optimiser.param_groups for p in group["params"]]
        if s.grad_clip is not None or s.grad_norm is not None:
            self.precision.unscale(self.optimiser)
        if s.grad_clip is not None:
            nn.utils.clip_grad_value_(weights, s.grad_clip)
        if s.grad_norm is not None:
            nn.utils.clip_grad_norm_(weights, s.grad_norm)
        with self.coupling.stepping(self.optimiser):
            self.precision.step(self.optimiser)
        if self.ema is not None:
            self.ema.update_parameters(self.task.network)

    def copy_buffers_from_first(self) -> None:
        """All processes validate with the running statistics that process 0 saves."""
        copy_buffers_from_first(self.task)
        if self.ema is not None:
            copy_buffers_from_first(self.ema)

    def state(self) -> dict:
        """Everything that a continued training needs of this object."""
        return {
            "state_dict": self.task.trained.state_dict(),
            "optimizer": self.optimiser.state_dict(),
            "scaler": self.precision.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Take the state of a checkpoint, but the optimiser's constants as the settings have them.

        Raises RuntimeError or ValueError where it is another network's.
        """
        self.task.trained.load_state_dict(state["state_dict"])
        own = [
            {name: value for name, value in group.items() if name != "params"} for group in self.optimiser.param_groups
        ]
        self.optimiser.load_state_dict(state["optimizer"])
        for group, constants in zip(self.optimiser.param_groups, own, strict=True):
            group.update(constants)
        self.precision.load_state_dict(state["scaler"])
        if self.ema is not None and state["ema"] is not None:
            self.ema.load_state_dict(state["ema"])
        self.coupling.copy_from_first(self.task, self.optimiser)


@contextmanager
def _one_value_told() -> Iterator[None]:
    """Raise InputError where batch normalisation, of one image and a map of one pixel, has nothing to normalise over."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel"):
            raise
        raise InputError(
            "A part of a step is one image here, of which batch normalisation sees a single value: raise --batch_size, or the "
            "size of the images"
        ) from error
