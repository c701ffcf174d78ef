"""What makes the copies of a network in several processes one: torch's DistributedDataParallel, Horovod, or nothing."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import cast

from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from gsnet.training.precision import Task
from gsnet.validation.horovod import running
from gsnet.validation.processes import place

_LOG = logging.getLogger(__name__)


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


def with_synchronised_norms(task: Task, device: str) -> Task:
    """Batch normalisation over the images of all GPUs; on a CPU, where neither engine has it, the task as it is."""
    if place()[1] == 1 or not device.startswith("cuda"):
        _LOG.warning("sync_bn has no effect here: it needs several GPUs")
        return task
    horovod = running()
    if horovod is None:
        return cast(Task, nn.SyncBatchNorm.convert_sync_batchnorm(task))
    return cast(Task, _with_horovod_norms(task, horovod))


def _with_horovod_norms(module: nn.Module, horovod: ModuleType) -> nn.Module:
    """The module with every BatchNorm2d replaced by Horovod's, which holds the same tensors."""
    if isinstance(module, nn.BatchNorm2d):
        norm = horovod.SyncBatchNorm(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
        )
        norm.weight, norm.bias = module.weight, module.bias
        for name, buffer in module.named_buffers(recurse=False):
            norm.register_buffer(name, buffer)
        return norm.train(module.training)
    for name, child in module.named_children():
        module.add_module(name, _with_horovod_norms(child, horovod))
    return module
