"""Latency measured on the device at hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles

import torch
from torch import nn

from Masternet import MasterNet
from PlainNet import Network, Style

WARM_UP = 3
REPEATS = 10


@dataclass(frozen=True)
class LatencyFigures:
    """Seconds for one batch: quartiles over repeats."""

    lower_quartile: float
    median: float
    upper_quartile: float


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
) -> LatencyFigures:
    """Time forward passes of a network in evaluation mode, after a warm-up.

    half_precision: float16 on a GPU, bfloat16 on a CPU. Residual links are part of the timed network.
    """
    model = MasterNet(
        num_classes=num_classes,
        plainnet_struct=network,
        no_BN=style.no_BN,
        use_se=style.use_se,
        se_activation=style.se_activation,
    )
    images = torch.randn(batch_size, 3, resolution, resolution)
    dtype = torch.float32 if not half_precision else torch.float16 if device.startswith("cuda") else torch.bfloat16
    return time_forward(model.to(device, dtype).eval(), images.to(device, dtype), repeats)


@torch.inference_mode()
def time_forward(model: nn.Module, images: torch.Tensor, repeats: int = REPEATS) -> LatencyFigures:
    """Quartiles of the time of `model(images)`; images (N, 3, H, W) on the model's device."""
    seconds = _timer(images.device)
    for _ in range(WARM_UP):
        model(images)
    times = [seconds(lambda: model(images)) for _ in range(max(2, repeats))]
    return LatencyFigures(*quantiles(times, n=4, method="inclusive"))


def _timer(device: torch.device) -> Callable[[Callable[[], object]], float]:
    return _cuda_seconds if device.type == "cuda" else _cpu_seconds


def _cpu_seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _cuda_seconds(action: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    action()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
