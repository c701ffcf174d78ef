"""The number formats that a network is run in."""

from __future__ import annotations

import enum
import logging

import torch
from torch import nn

from gsnet.interface.apex import find_apex

_LOG = logging.getLogger(__name__)
# What torch calls the instructions of x86 processors that are older than AVX-512.
_WITHOUT_BFLOAT16 = ("AVX2", "NO AVX")


class Precision(enum.Enum):
    """SINGLE: float32 throughout. HALF: weights and images in 16 bits. MIXED: weights in float32, layers as torch chooses."""

    SINGLE = "float32"
    HALF = "half"
    MIXED = "mixed"


def half_type(device: str) -> torch.dtype:
    """The 16-bit format of a device: float16 on a GPU, bfloat16 on a CPU, which has no fast half."""
    return torch.float16 if device.startswith("cuda") else torch.bfloat16


def sum_type(device: str) -> torch.dtype:
    """What sums of many images are kept in on a device: float64, which Apple's GPUs have not, and float32 there."""
    return torch.float32 if device.startswith("mps") else torch.float64


def warn_of_slow_half(device: str, dtype: torch.dtype) -> None:
    """Say that a 16-bit format takes longer than another one on a device that has no arithmetic in it."""
    if device.startswith("cuda"):
        if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
            _LOG.warning("This GPU has no arithmetic in bfloat16: float16 is faster here")
    elif dtype is torch.float16:
        # Where torch is built without oneDNN, as for Apple's processors, nothing tells.
        if torch.backends.mkldnn.is_available() and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
            _LOG.warning("This processor has no arithmetic in float16: it takes longer than float32 and bfloat16 here")
    elif torch.backends.cpu.get_cpu_capability() in _WITHOUT_BFLOAT16:
        _LOG.warning("This processor has no arithmetic in bfloat16: half precision takes longer than float32 here")


def autocast(device: str, dtype: torch.dtype | None) -> torch.autocast:
    """Mixed precision in a 16-bit format; None is float32."""
    return torch.autocast("cuda" if device.startswith("cuda") else "cpu", dtype, enabled=dtype is not None)


def mixed(network: nn.Module, device: str) -> tuple[nn.Module, Precision]:
    """A network for mixed precision as `--apex` asks for it, and the precision to validate it in.

    An Apex that still has `apex.amp` patches the network (level O1) for a GPU, after which it takes float32; without it, and
    on a CPU, it is torch's own.
    """
    apex = find_apex()
    _LOG.info("%s", apex.message)
    if apex.amp is None or not device.startswith("cuda"):
        return network, Precision.MIXED
    return apex.amp.initialize(network.to(device), opt_level="O1"), Precision.SINGLE
