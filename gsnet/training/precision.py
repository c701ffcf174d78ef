"""Mixed precision of a training: torch's own, or that of an installed NVIDIA Apex."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gsnet.training.settings import TrainingSettings
from gsnet.validation.precision import autocast, half_type

Task = TypeVar("Task", bound=nn.Module)

# A scale that is asked for by number stays until a gradient overflows.
_NEVER = 2**31 - 1


def mixed_type(settings: TrainingSettings, device: str) -> torch.dtype | None:
    """The 16-bit format of a training on a device: the one asked for, else the device's own; None without mixed precision."""
    if not settings.amp:
        return None
    return half_type(device) if settings.amp_dtype is None else getattr(torch, settings.amp_dtype)


class TorchPrecision:
    """torch.amp in a 16-bit format: float16 with a scaled loss, or bfloat16, whose range is float32's; None is float32.

    loss_scale: None for a scale that adapts.
    """

    def __init__(self, device: str, dtype: torch.dtype | None, loss_scale: float | None = None) -> None:
        self.device, self.dtype = device, dtype
        scale: dict[str, Any] = {} if loss_scale is None else {"init_scale": loss_scale, "growth_interval": _NEVER}
        self.scaler = torch.amp.GradScaler(device.split(":")[0], enabled=dtype is torch.float16, **scale)

    def initialise(self, task: Task, optimiser: Optimizer) -> tuple[Task, Optimizer]:
        """The task and its optimiser, prepared; comes before they are coupled to other processes."""
        return task, optimiser

    def forward(self) -> AbstractContextManager:
        """Around the forward pass."""
        return autocast(self.device, self.dtype)

    def backward(self, loss: Tensor, optimiser: Optimizer, last: bool) -> None:
        """Gradients of the loss; last: of the parts of a step."""
        self.scaler.scale(loss).backward()

    def unscale(self, optimiser: Optimizer) -> None:
        """Gradients as they would be without a scale, to be bounded."""
        self.scaler.unscale_(optimiser)

    def step(self, optimiser: Optimizer) -> None:
        """The optimiser's step, left out where a gradient overflowed."""
        self.scaler.step(optimiser)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The scale and its history, for a checkpoint."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a checkpoint's scale; of one without mixed precision it begins anew."""
        if state:
            self.scaler.load_state_dict(state)


class ApexPrecision:
    """apex.amp, which changes torch's functions for the whole process and needs a GPU.

    Source: the documentation of apex.amp, release 25.05. loss_scale: None for a scale that adapts.
    """

    # What validation computes in has been changed with all other functions.
    dtype: torch.dtype | None = None

    def __init__(self, amp: ModuleType, opt_level: str, loss_scale: float | None = None) -> None:
        self.amp, self.opt_level = amp, opt_level
        self.loss_scale = "dynamic" if loss_scale is None else loss_scale

    def initialise(self, task: Task, optimiser: Optimizer) -> tuple[Task, Optimizer]:
        """Task and optimiser as apex.amp changes them; before they are coupled with other processes."""
        return self.amp.initialize(task, optimiser, opt_level=self.opt_level, loss_scale=self.loss_scale, verbosity=0)

    def forward(self) -> AbstractContextManager:
        """Nothing to do around the forward pass: torch's functions are changed already."""
        return nullcontext()

    def backward(self, loss: Tensor, optimiser: Optimizer, last: bool) -> None:
        """Gradients of the scaled loss, without the scale after the last part of a step."""
        with self.amp.scale_loss(loss, optimiser, delay_unscale=not last) as scaled:
            scaled.backward()

    def unscale(self, optimiser: Optimizer) -> None:
        """Apex has done so at the end of the last backward."""

    def step(self, optimiser: Optimizer) -> None:
        """The optimiser's step, which apex leaves out where a gradient overflowed."""
        optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """The scale and its history, for a checkpoint."""
        return self.amp.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a checkpoint's scale; of one without mixed precision it begins anew."""
        if state:
            self.amp.load_state_dict(state)
