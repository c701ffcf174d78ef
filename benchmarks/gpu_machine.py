"""The device of `benchmarks.gpu_check`, and what its paths tell of it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
STRUCTURE = (
    "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)SuperGhostShuffleK3(32,64,2,32,1)"
    "SuperConvK1BNRELU(64,128,1,1)"
)


@dataclass(frozen=True)
class Seen:
    """What a path saw: figures in words, and where there is a bar the figure that has to reach it.

    compared: whether something was held against what it has to be, of which a path that finds another raises.
    """

    words: str
    figure: float | None = None
    bar: float | None = None
    compared: bool = False


class LeftOutError(Exception):
    """Why a path is not walked here."""


@dataclass(frozen=True)
class Machine:
    """A device, a folder of the check's own, and whether little is enough, to see that everything runs."""

    device: str
    folder: Path
    smoke: bool

    @property
    def options(self) -> list[str]:
        """How scripts are told of the device."""
        return ["--gpu", self.device.partition(":")[2] or "0"] if self.is_gpu else []

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU of CUDA."""
        return self.device.startswith("cuda")

    def needs_gpu(self) -> None:
        """Raise LeftOutError where it is none."""
        if not self.is_gpu:
            raise LeftOutError("not of a processor")

    @property
    def training_options(self) -> list[str]:
        """How training scripts are told of it."""
        return ["--dist_mode", "single" if self.is_gpu else "cpu", *self.options]

    def milliseconds(self, run: Callable[[], object], repeats: int) -> float:
        """Mean time of a call on the wall, after one that does not count."""
        run()
        wait_for(self.device)
        begin = time.perf_counter()
        for _ in range(repeats):
            run()
        wait_for(self.device)
        return 1e3 * (time.perf_counter() - begin) / repeats


def wait_for(device: str) -> None:
    """Until a GPU has done what it was given; a processor has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def printed(main: Callable[[Sequence[str]], int], *arguments: object) -> str:
    """What a script prints. Raises RuntimeError where it ends with another status than 0."""
    out = io.StringIO()
    status: str | int | None
    try:
        with contextlib.redirect_stdout(out):
            status = main([str(one) for one in arguments])
    except SystemExit as end:
        # Of an option that the script does not take.
        status = end.code
    if status:
        raise RuntimeError(f"status {status}: {out.getvalue()[-300:]}")
    return out.getvalue()
