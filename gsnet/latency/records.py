"""What a latency table is of and what it records besides layers: values, without the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gsnet.latency.device import TORCH

# What whole networks are timed for: to infer layers from, or to be fitted.
TABLE, CALIBRATION = "table", "calibration"


class Origin(NamedTuple):
    """What a table's latencies are of. device: with its threads, see `device_identity`; version: of the runtime.

    Of imported tables the runtime is not known: "".
    """

    device: str
    runtime: str = TORCH
    version: str = ""

    def __str__(self) -> str:
        return " ".join([self.device, *([f"by {self.runtime}"] if self.runtime else []), self.version]).rstrip()


class Conditions(NamedTuple):
    """What a network's latency depends on besides the network and the device. precision: "fp32", "fp16", "bf16", "int8"."""

    precision: str
    batch: int
    resolution: int

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.resolution} pixels, {self.precision}"


@dataclass(frozen=True)
class Calibration:
    """Coefficients of a network's terms (see `gsnet.latency.predictor.TERMS`), fitted to whole networks.

    spread: standard deviation of the logarithm of predicted over measured, leave-one-out; networks: how many were timed.
    """

    coefficients: tuple[float, ...]
    spread: float
    networks: int


class TimedNetwork(NamedTuple):
    """A whole network's measured seconds for one batch. role: what it was timed for, such as "calibration"."""

    structure: str
    num_classes: int
    use_se: bool
    role: str
    seconds: float
