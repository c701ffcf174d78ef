"""What every runtime offers: sessions made from networks or files, that run on numpy arrays."""

from __future__ import annotations

import abc
import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from gsnet.interface.options import InputError
from gsnet.runtimes.timing import REPEATS, LatencyFigures, time_calls
from PlainNet import UserFileError, user_files

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

_PLACES = MappingProxyType({"cpu": "on the processor", "cuda": "on a GPU", "mps": "on Apple's GPU"})
FP32, FP16, BF16, OWN = "fp32", "fp16", "bf16", "own"
# Texts by name that a file holds beside the network.
Texts = Mapping[str, str]
NO_TEXTS: Texts = MappingProxyType({})


class RuntimesError(InputError):
    """What a runtime cannot do: a library that is missing, a precision it has not, an operator it does not know."""


class MissingLibraryError(RuntimesError):
    """Libraries of a runtime that are not installed. packages: what pip calls them."""

    def __init__(self, program: str, packages: Sequence[str]) -> None:
        super().__init__(f"{program} needs a library that is not installed: pip install {' '.join(packages)}")
        self.packages = tuple(packages)


@dataclass(frozen=True)
class Settings:
    """How a session runs.

    threads: of the processor. precision: "fp32", "fp16", "bf16", or "own" for what the runtime takes by itself. device: as
    torch names it. channels_last: maps with channels innermost, of torch alone (the others choose their own layout).
    """

    threads: int = 1
    precision: str = FP32
    device: str = "cpu"
    channels_last: bool = False


@dataclass(frozen=True)
class ConvolutionShape:
    """What a convolution of a runtime's own graph reads, writes and looks at; maps and windows are square."""

    in_channels: int
    in_height: int
    out_channels: int
    out_height: int
    kernel_size: int
    groups: int


@dataclass(frozen=True)
class Operation:
    """One operation of one pass: its name in the runtime's own graph, its kind, and seconds (the median over passes).

    least_seconds: of the pass in which it was quickest, that is, least disturbed by other programs; None where that is not
    known. convolution: of which shape, where it is one and the runtime says so.
    """

    name: str
    kind: str
    seconds: float
    least_seconds: float | None = None
    convolution: ConvolutionShape | None = None

    @classmethod
    def of(cls, name: str, kind: str, times: Sequence[float], convolution: ConvolutionShape | None = None) -> Operation:
        """One whose seconds in every pass are known."""
        return cls(name, kind, median(times), min(times), convolution)


class Session(abc.ABC):
    """A network in a runtime. `precision` is what it computes in: "fp32", "fp16", "bf16", "int8" or the runtime's word.

    texts: what its file holds beside the network, by name. shape: of the images that a file takes, each number None where it is
    free; None as a whole where the file does not say it.
    """

    precision: str = FP32
    device: str = "cpu"
    texts: Texts = NO_TEXTS
    shape: tuple[int | None, ...] | None = None

    @abc.abstractmethod
    def run(self, images: np.ndarray) -> np.ndarray:
        """The first output, float32 (N, …), for float32 images (N, 3, H, W)."""

    def run_all(self, images: np.ndarray, values: Mapping[str, np.ndarray] = MappingProxyType({})) -> list[np.ndarray]:
        """Every output, for files that have several. values: by name, of inputs beside the images that have a usual value.

        Raises RuntimesError where the runtime takes no such inputs.
        """
        if values:
            raise RuntimesError(f"{type(self).__name__} takes images alone, not {', '.join(values)}")
        return [self.run(images)]

    def ready(self, images: np.ndarray) -> Callable[[], object]:
        """What is timed: a call that runs the network on these images, which lie where the runtime wants them."""
        return lambda: self.run(images)

    def time(
        self,
        images: np.ndarray,
        repeats: int = REPEATS,
        precision: float = 0.0,
        clock: Callable[[], float] | None = None,
    ) -> LatencyFigures:
        """Times of passes over these images; see `time_calls`."""
        return time_calls(self.ready(images), self.device, repeats, precision, clock)

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of the operations of a pass, in the order in which they ran. Raises RuntimesError where there are none."""
        raise RuntimesError("times of single operations are not told")


class Runtime(abc.ABC):
    """A program that runs networks. A runtime of one's own is a file with a subclass, given to `gsnet.runtimes.register`.

    name: as users type it. needs, writes_with: modules that running, and writing files, import, with what pip calls them.
    suffixes: of the files that it writes and loads, the first being the one that is named. compared: whether its outputs are
    compared with torch's before it is timed. multiple: of which the widths of a rewritten network are (`rewritten`); None where
    rewriting does not make it faster. tells_operations: whether sessions give times of single operations, and of which
    convolutions they are. fuses: whether normalisation, activations and residual sums become part of a convolution.
    tables_without_files: whether the networks of a latency table are made anew each time, where there are no suffixes.
    """

    name: ClassVar[str]
    needs: ClassVar[Mapping[str, str]] = {}
    writes_with: ClassVar[Mapping[str, str]] = {}
    suffixes: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[tuple[str, ...]] = (FP32,)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    channels_last: ClassVar[bool] = False
    compared: ClassVar[bool] = True
    multiple: ClassVar[int | None] = None
    tells_operations: ClassVar[bool] = False
    fuses: ClassVar[bool] = True
    tables_without_files: ClassVar[bool] = False

    @abc.abstractmethod
    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        """Write a network in evaluation mode for images (N, 3, *size). output: the output's name, where files name it.

        half: weights in float16. texts: what the file holds beside, where its format has a place for it. Raises RuntimesError.
        """

    def write_to_time(self, network: nn.Module, file: Path, size: tuple[int, int], batch: int) -> None:
        """`write` of a file that is timed and thrown away, for `batch` images: quicker where the runtime knows a way.

        It is to run the same operators as what `write` writes. Raises RuntimesError.
        """
        self.write(network, file, size, "logits", half=False)

    def make_to_time(self, network: nn.Module, size: tuple[int, int], batch: int, settings: Settings) -> Session:
        """`make` of what is timed alone, for `batch` images; see `write_to_time`. Raises RuntimesError."""
        self.check(settings)
        self.require(writing=True)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"network{self.suffixes[0]}"
            self.write_to_time(self.rewritten(network, size), file, size, batch)
            return self.load(file, settings)

    def version(self) -> str:
        """The version of what runs networks; "" where it does not say."""
        return next((str(getattr(importlib.import_module(module), "__version__", "")) for module in self.needs), "")

    @abc.abstractmethod
    def open(self, file: Path, settings: Settings) -> Session:
        """A session of a file, for settings that the runtime has. Raises RuntimesError, or one of `failures`."""

    def failures(self) -> tuple[type[Exception], ...]:
        """What `open` raises for a file that the library cannot run."""
        return (RuntimeError, ValueError)

    def load(self, file: Path, settings: Settings) -> Session:
        """A session of a file. Raises RuntimesError."""
        self.check(settings)
        self.require(writing=False)
        expected: tuple[type[Exception], ...] = (*self.failures(), UserFileError)
        try:
            with user_files.told():
                session = self.open(file, settings)
        except expected as error:
            raise RuntimesError(f"{self.name} cannot run {file}: {' '.join(str(error).split())}") from error
        if not isinstance(session, Session):
            raise RuntimesError(
                f"{self.name} must open a gsnet.runtimes.Session, not {session!r:.80}: see to what open() returns"
            )
        if not user_files.takes(session.run, 1):
            raise RuntimesError(f"{type(session).__name__} must define run(self, images)")
        return session

    def make(self, network: nn.Module, size: tuple[int, int], settings: Settings = Settings()) -> Session:
        """A session of a network in evaluation mode, by a file that is gone afterwards. Raises RuntimesError."""
        self.check(settings)
        self.require(writing=True)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"network{self.suffixes[0]}"
            self.write(network, file, size, "logits", half=settings.precision == FP16)
            return self.load(file, settings)

    def rewritten(self, network: nn.Module, size: tuple[int, int]) -> nn.Module:
        """The network as it is fast here, with the same outputs (`gsnet.runtimes.fusing`); itself where nothing is gained."""
        if self.multiple is None:
            return network
        from gsnet.runtimes.fusing import fused

        return fused(network, size, self.multiple)

    def missing(self, *, writing: bool) -> tuple[str, ...]:
        """What pip calls the libraries that are not installed, of those that running (and writing) needs."""
        wanted = {**self.needs, **(self.writes_with if writing else {})}
        missing = (package for module, package in wanted.items() if importlib.util.find_spec(module) is None)
        return tuple(dict.fromkeys(missing))

    def require(self, *, writing: bool) -> None:
        """Raise MissingLibraryError unless everything is installed."""
        if missing := self.missing(writing=writing):
            raise MissingLibraryError(self.name, missing)

    def refuse_half(self, half: bool) -> None:
        """Raise RuntimesError where 16 bits are asked of a file that is written in float32 alone."""
        if half:
            raise RuntimesError(f"{self.name} is written in float32 here: leave --fp16 out")

    def check(self, settings: Settings) -> None:
        """Raise RuntimesError for settings that the runtime has not."""
        if settings.precision not in (*self.precisions, OWN):
            raise RuntimesError(f"{self.name} runs {' or '.join(self.precisions)} here, not {settings.precision}")
        if settings.device.partition(":")[0] not in self.devices:
            where = " or ".join(_PLACES[device] for device in self.devices)
            raise RuntimesError(f"{self.name} runs {where} here, not on {settings.device}")
        if settings.channels_last and not self.channels_last:
            raise RuntimesError(f"{self.name} chooses the layout of maps itself: leave --channels_last out")
