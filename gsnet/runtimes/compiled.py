"""torch.compile."""

from __future__ import annotations

import torch
from torch import nn

from gsnet.runtimes.contract import Session, Settings
from gsnet.runtimes.eager import TorchRuntime, TorchSession


class TorchCompile(TorchRuntime):
    """Code that torch generates and compiles for each number of images, which takes about a minute."""

    name = "torch.compile"

    def session(self, module: nn.Module, settings: Settings) -> Session:
        return TorchSession(torch.compile(module), settings)
