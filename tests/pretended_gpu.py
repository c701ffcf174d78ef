"""A GPU for tests on machines without one: its tensors have a device and no numbers; where it would be waited for is noted."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

_ROOT = Path(__file__).parent.parent
_COPIES = ("_to_copy", "copy_")


class Waits(TorchDispatchMode):
    """Inside this context `places` gets the lines of the project at which the program would wait for the GPU.

    That is where tensors are copied from the GPU, and to it unless non_blocking: torch puts such a copy behind all work that
    the GPU has got, and waits for it. Reading a number raises torch's DataDependentOutputException, as there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in _COPIES and isinstance(out, torch.Tensor):
            source = args[1 if name == "copy_" else 0]
            blocking = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            ways = (source.device.type, out.device.type)
            # A single number travels with the launch.
            if ways == ("cuda", "cpu") or (ways == ("cpu", "cuda") and blocking and source.dim() > 0):
                self.places.append(f"{name}: {_line()}")
        return out


def _line() -> str:
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(str(_ROOT))]
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(_ROOT / "tests")]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).relative_to(_ROOT)}:{frame.lineno}"


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside this context tensors may be on "cuda". They have no numbers, and those on the processor neither."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def can_be_pretended() -> bool:
    """torch 2.9 asks a real GPU as soon as somebody picks from a tensor of a pretended one."""
    with pretended_gpu():
        numbers = torch.zeros(2, dtype=torch.int64, device="cuda")
        try:
            numbers[numbers]
        except RuntimeError:
            return False
    return True


@contextmanager
def waits() -> Iterator[list[str]]:
    """Inside this context, within `pretended_gpu`, where it would be waited for."""
    with Waits() as seen:
        yield seen.places
