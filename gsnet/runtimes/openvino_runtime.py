"""OpenVINO on the processor."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gsnet.runtimes import onnx_file
from gsnet.runtimes.contract import (
    BF16,
    FP16,
    FP32,
    NO_TEXTS,
    OWN,
    ConvolutionShape,
    Operation,
    Runtime,
    RuntimesError,
    Session,
    Settings,
    Texts,
)
from gsnet.runtimes.rewriting import MULTIPLES

_TYPES = {FP32: "f32", BF16: "bf16", FP16: "f16"}
_NOT_RUN = "NOT_RUN"
_GROUPED = "GroupConvolution"
_CONVOLUTIONS = ("Convolution", _GROUPED)
# What another process does with a file, as its first argument.
_TRIAL = "import sys, openvino; openvino.Core().compile_model(sys.argv[1], 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})"


@cache
def _core() -> Any:
    """The one core of this process, which stays.

    On processors with AMX each core lays a stack for signals under the thread, and puts back at its end what was there before:
    of two cores, the later one would put back the earlier one's, which is gone by then, and the next signal that Python handles
    (Ctrl-C, the end of another process) would end this process without a word.
    """
    import openvino

    core = openvino.Core()
    # A mapped file would have to stay.
    core.set_property({"ENABLE_MMAP": False})
    return core


class OpenVinoSession(Session):
    """A file in OpenVINO, compiled for short latency, anew for each number of images.

    Compiled for any number it works out all shapes at every pass, which takes a third of a small network's time.

    With precision "own" OpenVINO takes bfloat16 on processors that have instructions for it, although the file says float32.
    """

    def __init__(self, file: Path, settings: Settings) -> None:
        self._core = _core()
        self._model = self._core.read_model(file)
        self._settings = settings
        self.texts = {name: str(self._model.get_rt_info([name]).value) for name in self._model.get_rt_info()}
        # It is compiled for any number of images.
        shape = self._model.input(0).partial_shape
        self.shape = (None, *(None if size.is_dynamic else size.get_length() for size in list(shape)[1:]))
        # By the number of images.
        self._requests: dict[int, Any] = {}
        if self._model.input(0).partial_shape[0].is_dynamic:
            _fix(self._model, 1)
        compiled = self._compile()
        self._requests[self._model.input(0).partial_shape[0].get_length()] = compiled.create_infer_request()
        kind = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = {short: name for name, short in _TYPES.items()}.get(kind, kind)

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.array(self._request(len(images)).infer({0: images})[0], dtype=np.float32)

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        import openvino

        request = self._request(len(images))
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(images)))
        return request.infer

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of the nodes that ran, by its own counters; a kind is the operator and, after a colon, the code that ran."""
        _fix(self._model, len(images))
        request = self._compile(counted=True).create_infer_request()
        times: dict[str, list[float]] = {}
        kinds: dict[str, str] = {}
        for _ in range(passes):
            request.infer({0: images})
            for node in request.profiling_info:
                if node.status.name != _NOT_RUN:
                    times.setdefault(node.node_name, []).append(node.real_time.total_seconds())
                    kinds[node.node_name] = f"{node.node_type}:{node.exec_type}"
        shapes = {node.get_friendly_name(): _convolution(node) for node in self._model.get_ops()}
        return [Operation.of(name, kinds[name], found, shapes.get(name)) for name, found in times.items()]

    def _request(self, images: int) -> Any:
        if images not in self._requests:
            _fix(self._model, images)
            self._requests[images] = self._compile().create_infer_request()
        return self._requests[images]

    def _compile(self, *, counted: bool = False) -> Any:
        wanted: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": self._settings.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "PERF_COUNT": counted,
        }
        if self._settings.precision != OWN:
            wanted["INFERENCE_PRECISION_HINT"] = _TYPES[self._settings.precision]
        return self._core.compile_model(self._model, "CPU", wanted)


def _convolution(node: Any) -> ConvolutionShape | None:
    kind = node.get_type_name()
    if kind not in _CONVOLUTIONS:
        return None
    shapes = [one.get_partial_shape() for one in (node.input(0), node.input(1), node.output(0))]
    if any(shape.is_dynamic for shape in shapes):
        return None
    images, weights, maps = (tuple(shape.to_shape()) for shape in shapes)
    groups = weights[0] if kind == _GROUPED else 1
    # Square maps and windows alone.
    if len(images) != 4 or images[2] != images[3] or weights[-1] != weights[-2]:
        return None
    return ConvolutionShape(images[1], images[2], maps[1], maps[2], weights[-1], groups)


def _fix(model: Any, images: int) -> None:
    """Make a model one for a number of images, whatever it was before."""
    shape = model.input(0).partial_shape
    if shape[0].is_dynamic or shape[0].get_length() != images:
        shape[0] = images
        model.reshape(shape)


def save_onnx(graph: Path, file: Path, texts: Texts = NO_TEXTS, *, half: bool = False, images: int = 1) -> list[Path]:
    """Write an ONNX graph, also one in int8, as OpenVINO's two files, which are returned. half: weights in float16.

    images: how many they are for, until the model that is read is given another shape (`model.reshape([3, 3, 32, 32])`), which
    a graph of the tracer, of a fixed number, may not bear.
    """
    import openvino

    model = _core().read_model(graph)
    # Left free it costs: see OpenVinoSession.
    _fix(model, images)
    for name, text in texts.items():
        model.set_rt_info(text, name)
    openvino.save_model(model, file, compress_to_fp16=half)
    return [file, file.with_suffix(".bin")]


def check_compiles(file: Path) -> None:
    """Raise RuntimesError where OpenVINO ends the process that compiles a file, as it does with some networks in int8.

    Another process tries it. What raises an error there does so here too, and is told then.
    """
    status = subprocess.run([sys.executable, "-c", _TRIAL, str(file)], capture_output=True, check=False).returncode
    if status < 0:
        name = signal.Signals(-status).name
        raise RuntimesError(
            f"OpenVINO ends the process that compiles this network ({name}): write it as onnx, for ONNX Runtime, or in float32"
        )


class OpenVino(Runtime):
    """OpenVINO's files (.xml with its .bin), or ONNX."""

    name = "openvino"
    needs = {"openvino": "openvino"}  # noqa: RUF012
    writes_with = onnx_file.WRITES_WITH
    suffixes = (".xml", ".bin")
    precisions = (FP32, BF16, FP16)
    tells_operations = True
    multiple = MULTIPLES[name]

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        """By way of ONNX, so that both runtimes are given the same graph. half: weights alone are float16."""
        with tempfile.TemporaryDirectory() as folder:
            between = Path(folder) / "network.onnx"
            onnx_file.write_onnx(network, between, size, output)
            save_onnx(between, file, texts, half=half)

    def write_to_time(self, network: nn.Module, file: Path, size: tuple[int, int], batch: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            between = Path(folder) / "network.onnx"
            onnx_file.write_fixed_onnx(network, between, size, batch)
            save_onnx(between, file, images=batch)

    def open(self, file: Path, settings: Settings) -> Session:
        return OpenVinoSession(file, settings)
