"""Several processes that share one validation, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join torchrun's processes, where it started this one; yields the device of this process ("cuda" is shared out)."""
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def place() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) outside of a group."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes; the tensor itself outside of a group."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values
