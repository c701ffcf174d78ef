"""Several processes that share one training or validation, started by torchrun or horovodrun."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn

from gsnet.validation.horovod import running


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join torchrun's processes, where it started this one; yields the device of this process ("cuda" is shared out)."""
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    store, rank, processes = next(distributed.rendezvous("env://"))
    # torchrun keeps one store over its restarts, in which the addresses of processes that died would be found again.
    store = distributed.PrefixStore(f"restart {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    # Gloo stays for values that are on the CPU, which then need not wait for the GPU.
    engines = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    with _output_to_errors():
        distributed.init_process_group(engines, store=store, rank=rank, world_size=processes)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """What compiled code writes to standard output goes to standard error: Gloo of torch 2.9 names its connections there."""
    sys.stdout.flush()
    output, errors = 1, 2
    kept = os.dup(output)
    os.dup2(errors, output)
    try:
        yield
    finally:
        os.dup2(kept, output)
        os.close(kept)


def is_first() -> bool:
    """Whether this process reports: of those that torchrun started, the first."""
    return int(os.environ.get("RANK", "0")) == 0


def place() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) outside of a group."""
    horovod = running()
    if horovod is not None:
        return horovod.rank(), horovod.size()
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, in place; the tensor itself outside of a group."""
    return values if place()[1] == 1 else _started_sum(values)()


def copy_from_first(values: Tensor) -> None:
    """Every process's tensor becomes that of process 0."""
    horovod = running()
    if horovod is not None:
        horovod.broadcast_(values, root_rank=0)
    elif distributed.is_initialized():
        distributed.broadcast(values, src=0)


def copy_buffers_from_first(module: nn.Module) -> None:
    """Running statistics, which each process has from its own images, become those of process 0."""
    if place()[1] > 1:
        for buffer in module.buffers():
            copy_from_first(buffer)


def told_by_first(message: bytes) -> bytes:
    """The message of process 0, in every process."""
    if place()[1] == 1:
        return message
    length = torch.tensor([len(message)])
    copy_from_first(length)
    content = torch.empty(int(length), dtype=torch.uint8)
    if place()[0] == 0 and message:
        content.copy_(torch.frombuffer(bytearray(message), dtype=torch.uint8))
    if len(content):
        copy_from_first(content)
    return content.numpy().tobytes()


def gathered(message: bytes) -> list[bytes]:
    """The messages of all processes in their order, in every process."""
    rank, processes = place()
    if processes == 1:
        return [message]
    lengths = torch.zeros(processes, dtype=torch.int64)
    lengths[rank] = len(message)
    summed(lengths)
    # Every process fills its own row, so that the sum is all of them.
    content = torch.zeros(processes, int(lengths.max()), dtype=torch.uint8)
    if message:
        content[rank, : len(message)] = torch.frombuffer(bytearray(message), dtype=torch.uint8)
    summed(content)
    return [row[:length].numpy().tobytes() for row, length in zip(content, lengths.tolist(), strict=True)]


class Vote:
    """Whether any process has said yes, in all of them at the same call: one later, so that no process waits."""

    def __init__(self) -> None:
        self._pending: Callable[[], Tensor] | None = None

    def cast(self, yes: bool) -> bool:
        """Say yes or no, and learn the outcome of the call before; alone, that of this call."""
        if place()[1] == 1:
            return yes
        outcome = self.settle()
        self._pending = _started_sum(torch.tensor([float(yes)]))
        return outcome

    def settle(self) -> bool:
        """Wait for the last call's outcome."""
        pending, self._pending = self._pending, None
        return pending is not None and float(pending()) > 0


def _started_sum(values: Tensor) -> Callable[[], Tensor]:
    """Begin to sum over all processes, in place; the function returned waits for the sum."""
    horovod = running()
    if horovod is not None:
        handle = horovod.allreduce_async_(values, op=horovod.Sum)
        return lambda: horovod.synchronize(handle)
    work = distributed.all_reduce(values, async_op=True)

    def wait() -> Tensor:
        work.wait()
        return values

    return wait
