"""CUDA graphs: a pass is recorded once, and then repeated by the GPU without Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from gsnet.runtimes.contract import Session, Settings
from gsnet.runtimes.eager import TorchRuntime, TorchSession

# Passes before the recording, in which libraries choose their algorithms and take their memory.
_WARM_UP = 3


class CudaGraphSession(TorchSession):
    """A module with one recorded pass for each number of images."""

    def __init__(self, module: nn.Module, settings: Settings) -> None:
        super().__init__(module, settings)
        self._recorded: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]] = {}

    def run(self, images: np.ndarray) -> np.ndarray:
        graph, outputs = self._filled(images)
        graph.replay()
        return outputs.float().cpu().numpy()

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        return self._filled(images)[0].replay

    # What a recorded pass reads was made in this mode, outside of which torch writes to no such tensor.
    @torch.inference_mode()
    def _filled(self, images: np.ndarray) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        """The recorded pass with these images in its place, and where its outputs will be."""
        graph, where, outputs = self._record(images)
        where.copy_(self.placed(images))
        return graph, outputs

    def _record(self, images: np.ndarray) -> tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]:
        if images.shape not in self._recorded:
            where = self.placed(images)
            # What is recorded is what runs on a stream of the current device.
            with torch.cuda.device(where.device):
                graph, outputs = self._recording(where)
            self._recorded[images.shape] = graph, where, outputs
        return self._recorded[images.shape]

    def _recording(self, where: torch.Tensor) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._module(where)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # By itself torch records on a stream of the first device that anything was recorded on.
        with torch.cuda.graph(graph, stream=side):
            outputs = self._module(where)
        return graph, outputs


class TorchCudaGraph(TorchRuntime):
    """Eager torch's kernels without the time that Python takes to start them."""

    name = "torch.cudagraph"
    devices = ("cuda",)
    # A recording takes as long as some passes.
    tables_without_files = True

    def session(self, module: nn.Module, settings: Settings) -> Session:
        return CudaGraphSession(module, settings)
