"""Processes started by horovodrun. Horovod's own state says whether it runs, as torch.distributed's does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

from gsnet.interface.options import InputError


def running() -> ModuleType | None:
    """Horovod's torch module while a group of it stands, else None."""
    module = sys.modules.get("horovod.torch")
    return module if module is not None and module.is_initialized() else None


@contextmanager
def horovod_group(device: str) -> Iterator[str]:
    """Join horovodrun's processes; yields the device of this one ("cuda" is shared out).

    A single process without horovodrun is a group of one. Raises InputError where Horovod is not installed.
    """
    try:
        import horovod.torch as horovod
    except ImportError as error:
        raise InputError(
            f"--dist_mode horovod needs Horovod ({error}): build it with bash scripts/install_horovod.sh"
        ) from error
    horovod.init()
    if device.startswith("cuda"):
        device = f"cuda:{horovod.local_rank()}"
        torch.cuda.set_device(device)
    try:
        yield device
    finally:
        horovod.shutdown()
