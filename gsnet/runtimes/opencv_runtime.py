"""OpenCV's own module for networks (cv2.dnn), which programs that read a camera by OpenCV have with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from gsnet.runtimes import onnx_file
from gsnet.runtimes.contract import FP32, NO_TEXTS, Operation, RuntimesError, Session, Settings, Texts
from gsnet.runtimes.rewriting import MULTIPLES


class OpenCvSession(Session):
    """An ONNX file of one output in OpenCV, whose number of threads is that of all that OpenCV does in the process."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        import cv2

        cv2.setNumThreads(settings.threads)
        self._network = cv2.dnn.readNetFromONNX(np.frombuffer(model, dtype=np.uint8))

    def run(self, images: np.ndarray) -> np.ndarray:
        self._network.setInput(images)
        return self._network.forward()

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of its layers, which it takes at every pass. Those that it joined with the one before take nothing."""
        import cv2

        taken = []
        for _ in range(passes):
            self.run(images)
            _, ticks = self._network.getPerfProfile()
            taken.append(np.ravel(ticks) / cv2.getTickFrequency())
        names = self._network.getLayerNames()
        kinds = [self._network.getLayer(name).type for name in names]
        return [
            Operation.of(name, kind, times)
            for name, kind, times in zip(names, kinds, np.transpose(taken).tolist(), strict=True)
            if max(times) > 0
        ]


class OpenCv(onnx_file.OnnxFiles):
    """OpenCV, which loads no file with weights in float16."""

    name = "opencv"
    needs = {"cv2": "opencv-python-headless"}  # noqa: RUF012
    precisions = (FP32,)
    # Those of ONNX Runtime, 16, make it no faster than what is not rewritten.
    multiple = MULTIPLES[name]

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        if half:
            raise RuntimesError(f"{self.name} loads weights in float32 alone: leave --fp16 out")
        super().write(network, file, size, output, half=half, texts=texts)

    def failures(self) -> tuple[type[Exception], ...]:
        import cv2

        return (cv2.error,)

    def open(self, file: Path, settings: Settings) -> Session:
        return OpenCvSession(file.read_bytes(), settings)
