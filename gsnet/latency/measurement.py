"""Latency measured on the device at hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from gsnet.latency.device import BF16, FP16, TORCH, is_tuned, precision_of
from gsnet.latency.errors import telling
from gsnet.runtimes import Settings, runtime
from gsnet.runtimes.memory import keep_freed_memory
from gsnet.runtimes.timing import REPEATS, LatencyFigures, clock_of, time_calls, timer_of
from Masternet import MasterNet
from PlainNet import Network, Style

_DTYPES = {BF16: torch.bfloat16, FP16: torch.float16}


def measure_latency(
    network: Network,
    *,
    batch_size: int,
    resolution: int,
    num_classes: int,
    style: Style,
    device: str = "cpu",
    half_precision: bool = False,
    repeats: int = REPEATS,
    precision: float = 0.0,
    backend: str = TORCH,
) -> LatencyFigures:
    """Time forward passes of a network in evaluation mode, after a warm-up; see `time_calls`.

    half_precision: float16 on a GPU, bfloat16 on a CPU; see `precision_of`. Residual links are part of the timed network.
    backend: a runtime, with one thread of a processor.
    Raises RuntimesError for what it has not, and LatencyError for a network that cannot run.
    """
    with telling(backend, network):
        model = MasterNet(
            num_classes=num_classes,
            plainnet_struct=network,
            no_BN=style.no_BN,
            use_se=style.use_se,
            se_activation=style.se_activation,
        ).eval()
        images = torch.randn(batch_size, network.in_channels, resolution, resolution)
        if backend == TORCH:
            dtype = dtype_of(device, half_precision)
            return time_forward(model.to(device, dtype), images.to(device, dtype), repeats, precision)
        kind, tuned = precision_of(device, half_precision, backend), is_tuned(backend, device)
        settings = Settings(precision=kind, device=device, channels_last=tuned)
        session = runtime(backend).make_to_time(model, (resolution, resolution), batch_size, settings)
        return session.time(images.numpy(), repeats, precision)


def dtype_of(device: str, half_precision: bool) -> torch.dtype:
    """The type of weights and images: float32, or what half precision means on a device."""
    return _DTYPES.get(precision_of(device, half_precision), torch.float32)


@torch.inference_mode()
def time_forward(
    model: nn.Module,
    images: torch.Tensor,
    repeats: int = REPEATS,
    precision: float = 0.0,
    clock: Callable[[], float] | None = None,
) -> LatencyFigures:
    """Quartiles of the time of `model(images)`; images (N, 3, H, W) on the model's device. clock: see `time_calls`."""
    return time_calls(lambda: model(images), str(images.device), repeats, precision, clock)


def undisturbed_clock(device: str) -> Callable[[], float]:
    """A clock for tables: on a processor with one thread it stands still while another program has the processor.

    Where nothing else runs it agrees with the wall's. With several threads, and on a GPU, it is the wall's.
    """
    return time.thread_time if device == "cpu" and torch.get_num_threads() == 1 else clock_of(device)


def process_clock(device: str, threads: int) -> Callable[[], float]:
    """The same for runtimes, which may compute in a thread of their own: the time of all threads of this process."""
    return time.process_time if device == "cpu" and threads == 1 else clock_of(device)


def time_for(action: Callable[[], object], clock: Callable[[], float], seconds: float, device: str = "cpu") -> float:
    """Seconds of an action, after a warm-up: lower quartile of at least 3 repeats in about `seconds`.

    The quartile, since what disturbs a run only ever makes it longer. They are of the clock; on an NVIDIA GPU of its events, by
    which a winner is measured, too.
    """
    keep_freed_memory()
    timer = timer_of(device, None if device.startswith("cuda") else clock)
    timer(action)
    times = [timer(action) for _ in range(3)]
    while sum(times) < seconds:
        times.append(timer(action))
    return sorted(times)[len(times) // 4]
