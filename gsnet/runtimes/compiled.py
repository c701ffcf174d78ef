"""torch.compile."""

from __future__ import annotations

import torch
from torch import nn

from gsnet.runtimes.contract import Session, Settings
from gsnet.runtimes.eager import TorchRuntime, TorchSession


class TorchCompile(TorchRuntime):
    """Code that torch generates and compiles for each number of images, which takes about a minute.

    On an NVIDIA GPU its kernels are recorded as a CUDA graph, too (mode "reduce-overhead").
    """

    name = "torch.compile"

    def session(self, module: nn.Module, settings: Settings) -> Session:
        mode = "reduce-overhead" if settings.device.startswith("cuda") else None
        return TorchSession(torch.compile(module, mode=mode), settings)
