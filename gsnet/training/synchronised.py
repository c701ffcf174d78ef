"""Batch normalisation over the images of all processes, by torch's layer or Horovod's."""

from __future__ import annotations

import logging
import sys
from functools import cache
from types import ModuleType
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gsnet.interface.options import InputError
from gsnet.training.precision import Task
from gsnet.validation.horovod import running
from gsnet.validation.processes import place

_LOG = logging.getLogger(__name__)
_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def with_synchronised_norms(task: Task, device: str) -> Task:
    """Batch normalisation over the images of all GPUs; on a CPU, where neither engine has it, the task as it is.

    Raises InputError where a network has a batch normalisation of its own that does more than normalise.
    """
    if place()[1] == 1 or not device.startswith("cuda"):
        _LOG.warning("sync_bn has no effect here: it needs several GPUs")
        return task
    horovod = running()
    return cast(Task, synchronised(task, nn.SyncBatchNorm if horovod is None else horovod.SyncBatchNorm))


def synchronised(module: nn.Module, kind: type[_BatchNorm]) -> nn.Module:
    """The module with layers of `kind`, torch's or Horovod's, in place of batch normalisation; they hold the same tensors.

    timm's layers that normalise and activate go on activating: torch's own converter drops their activation without a word.
    Raises InputError as `with_synchronised_norms`.
    """
    if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
        return _norm(module, kind)
    for name, child in module.named_children():
        module.add_module(name, synchronised(child, kind))
    return module


def _norm(module: _BatchNorm, kind: Any) -> nn.Module:
    activating = _activates(module)
    if not activating and type(module).forward not in {plain.forward for plain in _PLAIN}:
        raise InputError(
            f"{type(module).__name__} does more than batch normalisation, which no layer over several GPUs would do: "
            "train without --sync_bn"
        )
    made = _then_activation(kind) if activating else kind
    norm = made(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    norm.weight, norm.bias = module.weight, module.bias
    for name, buffer in module.named_buffers(recurse=False):
        norm.register_buffer(name, buffer)
    for name, child in module.named_children():
        norm.add_module(name, child)
    return norm.train(module.training)


def _activates(module: _BatchNorm) -> bool:
    """Whether it is timm's batch normalisation with an activation; without timm there is none."""
    layers: ModuleType | None = sys.modules.get("timm.layers")
    return layers is not None and type(module).forward is layers.BatchNormAct2d.forward


@cache
def _then_activation(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    class SynchronisedThenActivation(kind):  # type: ignore[misc, valid-type]
        """Normalises over all processes, then drops and activates as timm's layer does."""

        def forward(self, maps: Tensor) -> Tensor:
            return self.act(self.drop(super().forward(maps)))

    return SynchronisedThenActivation
