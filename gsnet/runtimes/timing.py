"""Times of repeated calls, until their median is known well enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles

from gsnet.runtimes.memory import keep_freed_memory

WARM_UP = 3
REPEATS = 10
# Fewer repeats have no interval of their median.
_FEWEST = 8
# Of a normal distribution, for the 95 % interval.
_QUANTILE = 1.96


@dataclass(frozen=True)
class LatencyFigures:
    """Seconds for one batch: quartiles over repeats.

    interval: half the width of the median's 95 % interval (order statistics; Conover 1999, section 3.2), relative to the
    median; NaN below 8 repeats.
    """

    lower_quartile: float
    median: float
    upper_quartile: float
    repeats: int = REPEATS
    interval: float = math.nan


def time_calls(
    action: Callable[[], object],
    device: str = "cpu",
    repeats: int = REPEATS,
    precision: float = 0.0,
    clock: Callable[[], float] | None = None,
) -> LatencyFigures:
    """Time an action after a warm-up, until the interval of the median is within `precision`, at most `repeats` times.

    On an NVIDIA GPU times are those of CUDA events around the action, on another device of torch's those of the wall clock
    until it has done its work. On a processor freed memory is kept (`gsnet.runtimes.memory`). clock: reads seconds, in place
    of those.
    """
    keep_freed_memory()
    seconds = timer_of(device, clock)
    for _ in range(WARM_UP):
        action()
    times: list[float] = []
    while len(times) < max(2, repeats):
        times.append(seconds(action))
        if len(times) >= _FEWEST and _interval(times) <= precision:
            break
    lower, median, upper = quantiles(times, n=4, method="inclusive")
    return LatencyFigures(lower, median, upper, len(times), _interval(times))


def _interval(times: list[float]) -> float:
    count = len(times)
    if count < _FEWEST:
        return math.nan
    ordered = sorted(times)
    reach = _QUANTILE * math.sqrt(count) / 2
    # Both ranks are rounded up, and the first one has the rank 1.
    low, high = (ordered[math.ceil(count / 2 + side) - 1] for side in (-reach, reach))
    return (high - low) / 2 / median(ordered)


def clock_of(device: str) -> Callable[[], float]:
    """The wall clock, read when a device of torch's has done what it was given."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return time.perf_counter
    import torch

    # torch.cuda, torch.mps, torch.xpu; of MPS there is one device, which is not named.
    synchronize = getattr(torch, kind).synchronize
    which = () if kind == "mps" else (device,)

    def clock() -> float:
        synchronize(*which)
        return time.perf_counter()

    return clock


def timer_of(device: str, given: Callable[[], float] | None) -> Callable[[Callable[[], object]], float]:
    """What times an action: by a clock that is given, else by CUDA events on an NVIDIA GPU, or by the wall's elsewhere."""
    if given is None and device.startswith("cuda"):
        return partial(_cuda_seconds, device)
    clock = given or clock_of(device)

    def seconds(action: Callable[[], object]) -> float:
        start = clock()
        action()
        return clock() - start

    return seconds


def _cuda_seconds(device: str, action: Callable[[], object]) -> float:
    import torch

    # Events are recorded on a stream of the current device, which need not be this one.
    with torch.cuda.device(device):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        action()
        end.record()
        torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
