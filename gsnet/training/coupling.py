"""What makes the copies of a network in several processes one: torch's DistributedDataParallel, Horovod, or nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from gsnet.validation.horovod import running
from gsnet.validation.processes import place


class Coupling:
    """A single process: gradients are what they are."""

    def couple(self, task: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
        """The module whose forward and backward count, and the optimiser that knows of the other processes."""
        return task, optimiser

    def accumulating(self, module: nn.Module) -> AbstractContextManager:
        """Around every backward of a step but the last."""
        return nullcontext()

    def average(self, optimiser: Optimizer) -> None:
        """Gradients become the mean over all processes, where backward has not done so."""

    def stepping(self, optimiser: Optimizer) -> AbstractContextManager:
        """Around the step of the optimiser."""
        return nullcontext()

    def copy_from_first(self, task: nn.Module, optimiser: Optimizer) -> None:
        """Weights and the optimiser's state become those of process 0."""


class DataParallel(Coupling):
    """DistributedDataParallel, whose constructor copies the weights of process 0 and whose backward averages gradients.

    half: gradients travel in float16.
    """

    def __init__(self, device: str, half: bool) -> None:
        self.device, self.half = device, half

    def couple(self, task: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
        devices = [self.device] if self.device.startswith("cuda") else None
        module = DistributedDataParallel(task, devices, gradient_as_bucket_view=True)
        if self.half:
            module.register_comm_hook(None, fp16_compress_hook)
        return module, optimiser

    def accumulating(self, module: nn.Module) -> AbstractContextManager:
        return module.no_sync()  # type: ignore[operator]


class Horovod(Coupling):
    """Horovod's DistributedOptimizer.

    half: gradients travel in float16. parts: backward passes of a step, whose gradients are summed before they travel.
    """

    def __init__(self, horovod: ModuleType, half: bool, parts: int) -> None:
        self.horovod, self.half, self.parts = horovod, half, parts

    def couple(self, task: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
        kinds = self.horovod.Compression
        named = [(name, weight) for name, weight in task.named_parameters() if weight.requires_grad]
        compression = kinds.fp16 if self.half else kinds.none
        coupled = self.horovod.DistributedOptimizer(optimiser, named, compression, self.parts)
        self.copy_from_first(task, coupled)
        return task, coupled

    def average(self, optimiser: Optimizer) -> None:
        optimiser.synchronize()  # type: ignore[attr-defined]

    def stepping(self, optimiser: Optimizer) -> AbstractContextManager:
        return optimiser.skip_synchronize()  # type: ignore[attr-defined]

    def copy_from_first(self, task: nn.Module, optimiser: Optimizer) -> None:
        self.horovod.broadcast_parameters(task.state_dict(), root_rank=0)
        # Horovod fills an empty state by a step, whose weight decay would change the weights.
        if optimiser.state:
            self.horovod.broadcast_optimizer_state(optimiser, root_rank=0)


def coupling(device: str, half: bool, parts: int) -> Coupling:
    """The coupling of the processes that run now. half: gradients travel in float16; parts: backward passes of a step."""
    horovod = running()
    if horovod is not None:
        return Horovod(horovod, half, parts)
    return DataParallel(device, half) if place()[1] > 1 else Coupling()
