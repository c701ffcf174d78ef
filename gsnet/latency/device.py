"""Which device a latency belongs to, and where its table lies."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

FP32, FP16, BF16, INT8 = "fp32", "fp16", "bf16", "int8"
TORCH = "torch"
# Runtimes that are for GPUs as they are used best: half precision and channels last there, unless they are told otherwise.
_TUNED = frozenset({"torch.compile", "torch.cudagraph"})


def device_identity(device: str = "cpu", threads: int = 1) -> str:
    """The device's name as tables record it: a processor with its number of threads, or a GPU's model.

    Of other devices torch tells no model: they are named as torch does, with the processor that they belong to.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    if device != "cpu":
        return f"{processor_name()}, {device}"
    return f"{processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def processor_name() -> str:
    """The model of this computer's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def is_tuned(runtime: str, device: str) -> bool:
    """Whether a runtime computes in half precision and with channels last on a device without being asked to."""
    return runtime in _TUNED and device.startswith("cuda")


def precision_of(device: str, half: bool, runtime: str = TORCH) -> str:
    """What --fp16 means: float16 on a GPU, bfloat16 on a processor. Without it float32, unless it is usual (`is_tuned`)."""
    if not (half or is_tuned(runtime, device)):
        return FP32
    return FP16 if device.startswith("cuda") else BF16


def default_table(identity: str, runtime: str = TORCH) -> Path:
    """The file of a device's table of a runtime: in the folder GSNET_LATENCY, else below the user's cache directory."""
    folder = os.environ.get("GSNET_LATENCY")
    if not folder:
        folder = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gsnet/latency")
    name = identity if runtime == TORCH else f"{identity} {runtime}"
    return Path(folder).expanduser() / f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_').lower()}.db"
