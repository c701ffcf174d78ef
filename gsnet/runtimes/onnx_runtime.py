"""ONNX Runtime on the processor."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gsnet.runtimes import onnx_file
from gsnet.runtimes.contract import FP32, ConvolutionShape, Operation, Session, Settings
from gsnet.runtimes.rewriting import MULTIPLES

# Alone, and with the activation behind it.
_CONVOLUTIONS = ("Conv", "FusedConv")


class OnnxRuntimeSession(Session):
    """A file in ONNX Runtime, computed in the types that the file says."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._session = self._open()
        images = self._session.get_inputs()[0]
        self._input = images.name
        # What is free has a name, and no number.
        self.shape = tuple(size if isinstance(size, int) else None for size in images.shape)
        self.texts = self._session.get_modelmeta().custom_metadata_map
        self.precision = self.texts.get(onnx_file.PRECISION, FP32)

    def run(self, images: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: images})[0]

    def run_all(self, images: np.ndarray, values: Mapping[str, np.ndarray] = MappingProxyType({})) -> list[np.ndarray]:
        return self._session.run(None, {self._input: images, **values})

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        given = {self._input: images}
        return lambda: self._session.run(None, given)

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of the kernels by ONNX Runtime's own profile, in a session apart: profiling slows a session down."""
        with tempfile.TemporaryDirectory() as folder:
            session = self._open(str(Path(folder) / "profile"))
            for _ in range(passes):
                session.run(None, {self._input: images})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        times: dict[str, list[float]] = {}
        told: dict[str, Mapping[str, Any]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                name = event["name"].removesuffix("_kernel_time")
                times.setdefault(name, []).append(event["dur"] / 1e6)
                told[name] = event["args"]
        return [
            Operation.of(name, told[name]["op_name"], found, _convolution(told[name])) for name, found in times.items()
        ]

    def _open(self, profile: str | None = None) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._settings.threads
        options.inter_op_num_threads = 1
        # It warns of initialisers that an optimisation left over.
        options.log_severity_level = 3
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        return onnxruntime.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])


def _convolution(told: Mapping[str, Any]) -> ConvolutionShape | None:
    """Of the arguments of an event of the profile, whose shapes are those of the graph, also where maps lie in blocks."""
    if told["op_name"] not in _CONVOLUTIONS:
        return None
    shapes = [next(iter(one.values())) for one in (*told["input_type_shape"][:2], *told["output_type_shape"][:1])]
    if [len(shape) for shape in shapes] != [4, 4, 4]:
        return None
    (_, channels, height, _), (out, of_a_group, kernel, _), (_, _, out_height, _) = shapes
    return ConvolutionShape(channels, height, out, out_height, kernel, channels // of_a_group)


class OnnxRuntime(onnx_file.OnnxFiles):
    """ONNX Runtime, on the processor."""

    name = "onnxruntime"
    needs = {"onnxruntime": "onnxruntime"}  # noqa: RUF012
    precisions = (FP32,)
    tells_operations = True
    multiple = MULTIPLES[name]

    def failures(self) -> tuple[type[Exception], ...]:
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NotImplemented

        return (Fail, InvalidGraph, InvalidProtobuf, NotImplemented)

    def open(self, file: Path, settings: Settings) -> Session:
        return OnnxRuntimeSession(file.read_bytes(), settings)
