"""TensorRT on a GPU, with engines that it builds from ONNX for the GPU at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gsnet.runtimes import onnx_file
from gsnet.runtimes.contract import FP16, FP32, NO_TEXTS, Runtime, RuntimesError, Session, Settings, Texts

# Numbers of images that an engine takes: least, the one that it is tuned for, most.
_BATCHES = (1, 1, 64)


class TensorRTSession(Session):
    """An engine of one input and one output, on torch's current stream."""

    def __init__(self, engine: Any, settings: Settings) -> None:
        self._engine = engine
        self._context = engine.create_execution_context()
        self._input, self._output = (engine.get_tensor_name(place) for place in range(2))
        self.precision = settings.precision if settings.precision == FP16 else FP32
        self.device = settings.device

    def run(self, images: np.ndarray) -> np.ndarray:
        action, outputs = self._bound(images)
        action()
        return outputs.cpu().numpy()

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        return self._bound(images)[0]

    def _bound(self, images: np.ndarray) -> tuple[Callable[[], object], torch.Tensor]:
        placed = torch.from_numpy(images).to(self.device).contiguous()
        if not self._context.set_input_shape(self._input, tuple(placed.shape)):
            raise RuntimesError(f"tensorrt has an engine for {_BATCHES[0]} to {_BATCHES[-1]} images, not {len(images)}")
        outputs = torch.empty(tuple(self._context.get_tensor_shape(self._output)), device=self.device)
        self._context.set_tensor_address(self._input, placed.data_ptr())
        self._context.set_tensor_address(self._output, outputs.data_ptr())

        def action() -> object:
            # `placed` lives as long as the action.
            with torch.cuda.device(placed.device):
                return self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream)

        return action, outputs


class TensorRT(Runtime):
    """TensorRT's engines (.engine), which belong to one GPU and one version."""

    name = "tensorrt"
    needs = {"tensorrt": "tensorrt"}  # noqa: RUF012
    writes_with = onnx_file.WRITES_WITH
    suffixes = (".engine",)
    precisions = (FP32, FP16)
    devices = ("cuda",)

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        """half: TensorRT may compute in float16 where it is faster."""
        import tensorrt

        with tempfile.TemporaryDirectory() as folder:
            between = Path(folder) / "network.onnx"
            onnx_file.write_onnx(network, between, size, output)
            builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
            graph = builder.create_network(0)
            parser = tensorrt.OnnxParser(graph, tensorrt.Logger(tensorrt.Logger.ERROR))
            if not parser.parse_from_file(str(between)):
                raise RuntimesError(f"TensorRT cannot read the network: {parser.get_error(0).desc()}")
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        profile.set_shape("images", *((batch, 3, *size) for batch in _BATCHES))
        config.add_optimization_profile(profile)
        # By itself it rounds the factors of float32 to 10 bits.
        config.clear_flag(tensorrt.BuilderFlag.TF32)
        if half:
            config.set_flag(tensorrt.BuilderFlag.FP16)
        if (plan := builder.build_serialized_network(graph, config)) is None:
            raise RuntimesError("TensorRT could not build an engine of the network")
        file.write_bytes(bytes(plan))

    def open(self, file: Path, settings: Settings) -> Session:
        import tensorrt

        # An engine lies on the GPU that is the current one.
        with torch.cuda.device(settings.device):
            engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(file.read_bytes())
            if engine is None:
                raise RuntimesError(f"{file} is no engine of this GPU and this version of TensorRT")
            return TensorRTSession(engine, settings)
