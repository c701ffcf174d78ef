"""The number formats that a network is run in."""

from __future__ import annotations

import enum

import torch


class Precision(enum.Enum):
    """SINGLE: float32 throughout. HALF: weights and images in 16 bits. MIXED: weights in float32, layers as torch chooses."""

    SINGLE = "float32"
    HALF = "half"
    MIXED = "mixed"


def half_type(device: str) -> torch.dtype:
    """The 16-bit format of a device: float16 on a GPU, bfloat16 on a CPU, which has no fast half."""
    return torch.float16 if device.startswith("cuda") else torch.bfloat16


def autocast(device: str, enabled: bool) -> torch.autocast:
    """Mixed precision in the device's 16-bit format."""
    return torch.autocast("cuda" if device.startswith("cuda") else "cpu", half_type(device), enabled=enabled)
