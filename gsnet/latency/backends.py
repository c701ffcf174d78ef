"""What runs a network: eager torch, torch.compile, or ONNX Runtime on a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from gsnet.latency.errors import LatencyError

Runner = Callable[[Tensor], object]


def torch_runner(module: nn.Module, compiled: bool = False) -> Runner:
    """Calls the module, compiled first where asked for."""
    return torch.compile(module) if compiled else module


def onnx_runner(file: Path, threads: int) -> Runner:
    """Runs an ONNX file whose input is called "images" on the processor. Raises LatencyError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise LatencyError("--backend onnxruntime needs a library: pip install onnx onnxruntime onnxscript") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images.numpy()})
