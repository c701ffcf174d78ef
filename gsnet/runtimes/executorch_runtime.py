"""ExecuTorch on the processor, with what XNNPACK knows given to XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gsnet.interface.words import first_line
from gsnet.runtimes.contract import FP32, NO_TEXTS, Runtime, RuntimesError, Session, Settings, Texts


class ExecuTorchSession(Session):
    """A file in ExecuTorch; it takes one image at a time."""

    def __init__(self, file: Path, settings: Settings) -> None:
        from executorch import runtime
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

        _unsafe_reset_threadpool(settings.threads)
        # Kept, since it holds what the method reads from.
        self._program = runtime.Runtime.get().load_program(file.read_bytes())
        self._method = self._program.load_method("forward")

    def run(self, images: np.ndarray) -> np.ndarray:
        # In older versions outputs lie in memory of the program's own, which the next image is given too.
        return np.concatenate([self._run_one(image).copy() for image in torch.from_numpy(images).split(1)])

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        placed = torch.from_numpy(images).split(1)
        return lambda: [self._method.execute((image,)) for image in placed]

    def _run_one(self, image: torch.Tensor) -> np.ndarray:
        return self._method.execute((image,))[0].numpy()


def lowered(network: nn.Module, size: tuple[int, int]) -> Any:
    """ExecuTorch's EdgeProgramManager of a network in evaluation mode, with what XNNPACK knows given to XNNPACK.

    Raises what ExecuTorch does.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(network, (torch.zeros(1, 3, *size),))
    return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])


class ExecuTorch(Runtime):
    """ExecuTorch's programs (.pte)."""

    name = "executorch"
    needs = {"executorch": "executorch"}  # noqa: RUF012
    suffixes = (".pte",)
    precisions = (FP32,)

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        self.refuse_half(half)
        from executorch.exir.error import ExportError, InternalError
        from torch._export.verifier import SpecViolationError

        try:
            program = lowered(network, size).to_executorch()
        except (SpecViolationError, ExportError, InternalError) as error:
            raise RuntimesError(f"{self.name} cannot be given the network: {first_line(error)}") from error
        file.write_bytes(program.buffer)

    def open(self, file: Path, settings: Settings) -> Session:
        return ExecuTorchSession(file, settings)
