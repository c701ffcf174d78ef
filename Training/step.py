"""One step: targets, forward, backward, clipping, the optimiser."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from DataLoader.loaders import mixed_seed
from Training.evaluation import autocast
from Training.losses import cutmix, mixup, smoothed_targets
from Training.optimisers import optimiser
from Training.settings import TrainingSettings
from Training.tasks import Classification, Place
from Validation.processes import place


class Stepper:
    """A task with its optimiser, scaler and averaged weights.

    task: a module as in `Training.tasks`, on the device already. Of several processes each holds the same weights.
    """

    def __init__(self, task: Classification, settings: TrainingSettings, device: str) -> None:
        self.task, self.settings, self.device = task, settings, device
        self.layout = torch.channels_last if settings.channels_last else torch.preserve_format
        self.optimiser: Optimizer = optimiser(task, settings.optimiser, settings.schedule.lr)
        half = settings.amp and device.startswith("cuda")
        self.scaler = torch.amp.GradScaler("cuda" if half else "cpu", enabled=half)
        self.ema = None
        if settings.ema is not None:
            average = get_ema_multi_avg_fn(settings.ema)
            self.ema = AveragedModel(task.network, multi_avg_fn=average, use_buffers=True)
        module: nn.Module = task
        if place()[1] > 1:
            module = DistributedDataParallel(module, [device] if device.startswith("cuda") else None)
        self.module = torch.compile(module) if settings.compile else module

    @property
    def validated(self) -> nn.Module:
        """The network whose accuracy counts: the averaged one where there is one."""
        return self.task.network if self.ema is None else self.ema.module

    def step(self, images: Tensor, labels: Tensor, epoch: int, number: int, lr: float) -> Tensor:
        """Learn from one batch; returns its loss, summed over images, and the hits: (2,) in float64 on the device.

        Hits are counted where images are not mixed, and else 0.
        """
        torch.manual_seed(mixed_seed(self.settings.seed, epoch, number, place()[0]))
        images = images.to(self.device, memory_format=self.layout, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        images, targets = self._mixed(images, labels)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad()
        found = torch.zeros(2, dtype=torch.float64, device=self.device)
        parts = self.settings.accumulate
        chunks = list(zip(images.chunk(parts), targets.chunk(parts), labels.chunk(parts), strict=True))
        first = 0
        for i, chunk in enumerate(chunks):
            place_in_run = (epoch, number, first)
            found += self._backward(*chunk, place_in_run, total=len(images), last=i == len(chunks) - 1)
            first += len(chunk[0])
        self._update()
        return found

    def _mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        s = self.settings
        targets = smoothed_targets(labels, s.classes, s.smoothing)
        if s.mixup and s.cutmix:
            return (mixup if torch.rand(()) < 0.5 else cutmix)(images, targets)
        if s.mixup:
            return mixup(images, targets)
        return cutmix(images, targets) if s.cutmix else (images, targets)

    def _backward(
        self, images: Tensor, targets: Tensor, labels: Tensor, place: Place, total: int, last: bool
    ) -> Tensor:
        parallel = isinstance(self.module, DistributedDataParallel) and not last
        with self.module.no_sync() if parallel else nullcontext():  # type: ignore[union-attr, operator]
            with autocast(self.device, self.settings.amp):
                loss, logits = self.module(images, targets, *self.task.guidance(images, place))
            self.scaler.scale(loss * (len(images) / total)).backward()
        hits = torch.zeros((), device=self.device) if self.settings.mixes else (logits.argmax(1) == labels).sum()
        return torch.stack([loss.detach().double() * len(images), hits.double()])

    def _update(self) -> None:
        s = self.settings
        weights = [p for group in self.optimiser.param_groups for p in group["params"]]
        if s.grad_clip is not None or s.grad_norm is not None:
            self.scaler.unscale_(self.optimiser)
        if s.grad_clip is not None:
            nn.utils.clip_grad_value_(weights, s.grad_clip)
        if s.grad_norm is not None:
            nn.utils.clip_grad_norm_(weights, s.grad_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update_parameters(self.task.network)

    def state(self) -> dict:
        """Everything that a continued training needs of this object."""
        return {
            "state_dict": self.task.trained.state_dict(),
            "optimizer": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Take the state of a checkpoint. Raises RuntimeError or ValueError where it is another network's."""
        self.task.trained.load_state_dict(state["state_dict"])
        self.optimiser.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None and state["ema"] is not None:
            self.ema.load_state_dict(state["ema"])
