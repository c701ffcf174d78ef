"""torch.compile."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gsnet.runtimes.contract import BF16, FP16, FP32, NO_TEXTS, Runtime, RuntimesError, Session, Settings, Texts
from gsnet.runtimes.eager import TorchSession, placed_network


class TorchCompile(Runtime):
    """Code that torch generates and compiles for each number of images, which takes about a minute."""

    name = "torch.compile"
    precisions = (FP32, BF16, FP16)
    devices = ("cpu", "cuda", "mps")
    channels_last = True

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        raise RuntimesError(f"{self.name} has no files: it runs networks alone")

    def load(self, file: Path, settings: Settings) -> Session:
        raise RuntimesError(f"{self.name} has no files: it runs networks alone")

    def make(self, network: nn.Module, size: tuple[int, int], settings: Settings = Settings()) -> Session:  # noqa: B008
        self.check(settings)
        return TorchSession(torch.compile(placed_network(network, settings)), settings)
