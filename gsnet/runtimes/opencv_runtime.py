"""OpenCV's own module for networks (cv2.dnn), which programs that read a camera by OpenCV have with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from gsnet.runtimes import onnx_file
from gsnet.runtimes.contract import FP32, NO_TEXTS, Operation, Runtime, RuntimesError, Session, Settings, Texts


class OpenCvSession(Session):
    """An ONNX file in OpenCV. The number of threads is OpenCV's, and with it that of everything else in the process."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        import cv2

        cv2.setNumThreads(settings.threads)
        self._network = cv2.dnn.readNetFromONNX(np.frombuffer(model, dtype=np.uint8))
        self._outputs = self._network.getUnconnectedOutLayersNames()
        self.precision = FP32

    def run(self, images: np.ndarray) -> np.ndarray:
        return self._forward(images)[0]

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        return lambda: self._forward(images)

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of its layers, which it takes at every pass. Those that it joined with the one before take nothing."""
        import cv2

        taken = []
        for _ in range(passes):
            self._forward(images)
            _, ticks = self._network.getPerfProfile()
            taken.append(np.ravel(ticks) / cv2.getTickFrequency())
        names = self._network.getLayerNames()
        kinds = [self._network.getLayer(name).type for name in names]
        return [
            Operation.of(name, kind, times)
            for name, kind, times in zip(names, kinds, np.transpose(taken).tolist(), strict=True)
            if max(times) > 0
        ]

    def _forward(self, images: np.ndarray) -> list[np.ndarray]:
        self._network.setInput(images)
        return list(self._network.forward(self._outputs))


class OpenCv(Runtime):
    """OpenCV, with ONNX files."""

    name = "opencv"
    needs = {"cv2": "opencv-python-headless"}  # noqa: RUF012
    writes_with = onnx_file.WRITES_WITH
    suffixes = (".onnx",)
    precisions = (FP32,)
    multiple = 8

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        if half:
            raise RuntimesError(f"{self.name} computes in float32 here: leave --fp16 out")
        onnx_file.write_onnx(network, file, size, output)
        if texts:
            onnx_file.add_texts(file, texts)

    def write_to_time(self, network: nn.Module, file: Path, size: tuple[int, int], batch: int) -> None:
        onnx_file.write_fixed_onnx(network, file, size, batch)

    def failures(self) -> tuple[type[Exception], ...]:
        import cv2

        return (cv2.error,)

    def open(self, file: Path, settings: Settings) -> Session:
        return OpenCvSession(file.read_bytes(), settings)
