"""Runtimes by their names."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from types import MappingProxyType

from gsnet.runtimes.contract import Runtime, RuntimesError
from gsnet.runtimes.rewriting import AS_IT_IS, MULTIPLES, WAY
from PlainNet.user_files import takes

# Name -> module of this package and its class, imported when it is asked for.
_OURS = MappingProxyType(
    {
        "torch": ("eager", "Torch"),
        "torch.compile": ("compiled", "TorchCompile"),
        "torch.cudagraph": ("cuda_graph", "TorchCudaGraph"),
        "onnxruntime": ("onnx_runtime", "OnnxRuntime"),
        "openvino": ("openvino_runtime", "OpenVino"),
        "ncnn": ("ncnn_runtime", "Ncnn"),
        "opencv": ("opencv_runtime", "OpenCv"),
        "executorch": ("executorch_runtime", "ExecuTorch"),
        "litert": ("litert_runtime", "LiteRT"),
        "tensorrt": ("tensorrt_runtime", "TensorRT"),
    }
)
_registered: dict[str, Runtime] = {}
ALL = "all"


def register(made: Runtime) -> Runtime:
    """Make a runtime of one's own known by its name.

    Raises ValueError for a name of the package, and for what says too little of itself to be used.
    """
    if not isinstance(made, Runtime):
        meant = f": {made.__name__}() is meant" if isinstance(made, type) else ""
        raise ValueError(f"A runtime must be an object of a subclass of gsnet.runtimes.Runtime, not {made!r}{meant}")
    if not getattr(made, "name", None):
        raise ValueError(f'{type(made).__name__} has no name, by which users ask for it: name = "mine"')
    if not takes(made.write, 4, "half", "texts"):
        raise ValueError(f"{type(made).__name__} must define write(self, network, file, size, output, *, half, texts)")
    if not takes(made.open, 2):
        raise ValueError(f"{type(made).__name__} must define open(self, file, settings)")
    by_files = type(made).make is Runtime.make
    if not isinstance(made.suffixes, tuple) or (by_files and not made.suffixes):
        raise ValueError(
            f'{type(made).__name__} must have suffixes, a tuple with that of its files: suffixes = (".onnx",), '
            f"not {made.suffixes!r}"
        )
    if made.name in _OURS:
        raise ValueError(f"{made.name} is a runtime of the package: give yours another name")
    _registered[made.name] = made
    return made


def runtime(name: str) -> Runtime:
    """The runtime of a name. Raises RuntimesError, which names the nearest."""
    _check_known(name)
    if name in _registered:
        return _registered[name]
    module, made = _OURS[name]
    return getattr(importlib.import_module(f"gsnet.runtimes.{module}"), made)()


def runtime_names() -> tuple[str, ...]:
    """Every name, installed or not, the package's first."""
    return (*_OURS, *_registered)


def registered_for(suffix: str) -> tuple[str, ...]:
    """The names of runtimes of one's own whose files have this suffix."""
    return tuple(name for name, made in _registered.items() if made.suffixes[:1] == (suffix,))


def way_of_rewriting(name: str) -> int:
    """In which way networks are rewritten for a runtime, whose library is not imported; AS_IT_IS where they are not."""
    rewritten = _registered[name].multiple is not None if name in _registered else name in MULTIPLES
    return WAY if rewritten else AS_IT_IS


def runtimes_named(names: Sequence[str]) -> tuple[str, ...]:
    """The names in a list, which "all" alone makes those that are installed. Raises RuntimesError for one that is unknown."""
    if tuple(names) == (ALL,):
        return installed()
    for name in names:
        _check_known(name)
    return tuple(names)


def _check_known(name: str) -> None:
    """Without importing anything: a mistake is told before the seconds that torch takes."""
    if name not in runtime_names():
        near = difflib.get_close_matches(name, runtime_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(runtime_names())}"
        raise RuntimesError(f"There is no runtime {name!r}: {hint}")


def installed() -> tuple[str, ...]:
    """The names of those whose libraries are there, for running a network on the processor or, where torch finds one, a GPU."""
    import torch

    devices = {"cpu", *(["cuda"] if torch.cuda.is_available() else [])}
    found = [runtime(name) for name in runtime_names()]
    return tuple(one.name for one in found if not one.missing(writing=True) and devices & set(one.devices))
