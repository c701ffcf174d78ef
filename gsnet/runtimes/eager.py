"""torch itself, on modules and on TorchScript files."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from gsnet.runtimes.contract import (
    BF16,
    FP16,
    FP32,
    NO_TEXTS,
    OWN,
    Operation,
    Runtime,
    RuntimesError,
    Session,
    Settings,
    Texts,
)
from gsnet.runtimes.torch_operations import operators_of

_TYPES = {FP16: torch.float16, BF16: torch.bfloat16}


class TorchSession(Session):
    """A module, or what torch made of one, on images of the settings' device, type and layout."""

    def __init__(self, module: Callable[[torch.Tensor], torch.Tensor], settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self._module = module
        self._settings = settings
        self.precision = FP32 if settings.precision == OWN else settings.precision
        self.device = settings.device

    @torch.inference_mode()
    def run(self, images: np.ndarray) -> np.ndarray:
        return self._module(self.placed(images)).float().cpu().numpy()

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        placed = self.placed(images)
        return torch.inference_mode()(lambda: self._module(placed))

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of the operators that the module calls."""
        if self.device != "cpu":
            raise RuntimesError(f"it times its operators on the processor here, not on {self.device}")
        # What is compiled at the first pass calls operators of its own.
        self.run(images)
        return operators_of(self._module, self.placed(images), passes)

    def placed(self, images: np.ndarray) -> torch.Tensor:
        """Images where the module takes them."""
        layout = torch.channels_last if self._settings.channels_last else torch.contiguous_format
        dtype = _TYPES.get(self.precision, torch.float32)
        return torch.from_numpy(images).to(self.device, dtype, memory_format=layout)


def placed_network(network: nn.Module, settings: Settings) -> nn.Module:
    """A copy of a network in evaluation mode, in the settings' device, type and layout."""
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    moved = copy.deepcopy(network).eval().to(settings.device, _TYPES.get(settings.precision, torch.float32))
    return moved.to(memory_format=layout)  # type: ignore[call-overload]


@contextmanager
def _unadvised() -> Iterator[None]:
    """torch says at each call that it would have us use another format than TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


class TorchRuntime(Runtime):
    """What torch does with modules, of which copies are made; it has no files."""

    precisions = (FP32, BF16, FP16)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda", "mps")
    channels_last = True
    compared = False
    fuses = False

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        raise RuntimesError(f"{self.name} has no files: it runs networks alone")

    def open(self, file: Path, settings: Settings) -> Session:
        raise RuntimesError(f"{self.name} has no files: it runs networks alone")

    def make(self, network: nn.Module, size: tuple[int, int], settings: Settings = Settings()) -> Session:  # noqa: B008
        self.check(settings)
        return self.session(placed_network(network, settings), settings)

    def make_to_time(self, network: nn.Module, size: tuple[int, int], batch: int, settings: Settings) -> Session:
        return self.make(network, size, settings)

    def version(self) -> str:
        return torch.__version__

    def session(self, module: nn.Module, settings: Settings) -> Session:
        """What runs a module that lies where the settings say."""
        return TorchSession(module, settings)


class Torch(TorchRuntime):
    """Eager torch; its files are TorchScript."""

    name = "torch"
    suffixes = (".pt",)

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        """Trace with one image: pnnx and others take the number of images of the trace for the only one."""
        images = torch.zeros(1, 3, *size)
        if half:
            network, images = copy.deepcopy(network).half(), images.half()
        with torch.inference_mode(), _unadvised():
            # Its check traces again, and torch keeps all that it has traced until the process ends, tens of MB a network.
            # Outputs are compared by who exports.
            traced = torch.jit.trace(network, images, check_trace=False)
            torch.jit.save(traced, str(file), _extra_files={name: text.encode() for name, text in texts.items()})

    def open(self, file: Path, settings: Settings) -> Session:
        with _unadvised():
            module = torch.jit.load(str(file), map_location=settings.device)
        # Half precision is a part of a trace.
        kinds = {parameter.dtype for parameter in module.parameters()}
        own = next((name for name, dtype in _TYPES.items() if dtype in kinds), settings.precision)
        return self.session(module.eval(), replace(settings, precision=own))
