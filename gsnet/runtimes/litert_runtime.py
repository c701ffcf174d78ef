"""LiteRT, formerly TensorFlow Lite, on the processor with XNNPACK."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gsnet.runtimes.contract import FP32, NO_TEXTS, Runtime, Session, Settings, Texts


class LiteRTSession(Session):
    """A file of one input and one output in LiteRT; it takes one image at a time."""

    def __init__(self, file: Path, settings: Settings) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=file.read_bytes(), num_threads=settings.threads)
        self._interpreter.allocate_tensors()
        images = self._interpreter.get_input_details()[0]
        self._input = images["index"]
        self.shape = (None, *(int(size) for size in images["shape"][1:]))
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._run_one(images[place : place + 1]) for place in range(len(images))])

    def _run_one(self, image: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


class LiteRT(Runtime):
    """LiteRT's files (.tflite)."""

    name = "litert"
    needs = {"ai_edge_litert": "ai-edge-litert"}  # noqa: RUF012
    writes_with = {"litert_torch": "litert-torch"}  # noqa: RUF012
    suffixes = (".tflite",)
    precisions = (FP32,)

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        self.refuse_half(half)
        import litert_torch

        # It tells its progress in pages on standard output, which may be a file of ours.
        with contextlib.redirect_stdout(io.StringIO()):
            litert_torch.convert(network, (torch.zeros(1, 3, *size),)).export(str(file))

    def open(self, file: Path, settings: Settings) -> Session:
        return LiteRTSession(file, settings)
