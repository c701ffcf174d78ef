"""Kernels of a GPU that give the same bits each time, so that a training that was killed ends as one that was not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Inside this context cuDNN adds up a convolution's gradients in one order, where the device is an NVIDIA GPU.

    By itself it takes quicker algorithms whose sums come in the order in which threads are done (atomic additions).
    Source: PyTorch's notes on reproducibility, "CUDA convolution determinism".
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic
    cudnn.deterministic = before or device.startswith("cuda")
    try:
        yield
    finally:
        cudnn.deterministic = before
