"""Parameters and multiply-accumulates of a detector, by the rules that published figures follow.

Multiply-accumulates are those of convolutions for one image, counted by torch's own counter on a network without memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gsnet.detection.detector import Detector
from gsnet.detection.preprocessing import check_sides
from gsnet.detection.settings import DetectorSettings

_NORMS = (nn.BatchNorm2d, nn.GroupNorm)


@dataclass(frozen=True)
class PartCount:
    """Parameters in all, those left without the weights of normalisation, and multiply-accumulates."""

    parameters: int
    without_norms: int
    macs: int

    def to_dict(self) -> dict[str, int]:
        """Keys as analyze_model.py has them."""
        return {"params": self.parameters, "params_no_BN": self.without_norms, "flops": self.macs}


@dataclass(frozen=True)
class DetectorCounts:
    """Counts of backbone, neck, head and in all; of the guidance module, which is not among them; and the output's shape."""

    parts: dict[str, PartCount]
    total: PartCount
    auxiliary: PartCount | None
    output_shape: tuple[int, ...]


def counted(settings: DetectorSettings, height: int, width: int) -> DetectorCounts:
    """The counts of a detector for an image of height x width pixels. Raises StructureError, InputError."""
    check_sides(width, height)
    with torch.device("meta"):
        detector = Detector(settings).eval()
        image = torch.empty(1, 3, height, width)
        macs, maps = macs_of(detector.backbone, image)
        parts = {"backbone": _count(detector.backbone, macs)}
        macs, features = macs_of(detector.neck, maps)
        parts["neck"] = _count(detector.neck, macs)
        macs, output = macs_of(detector.head, features)
        parts["head"] = _count(detector.head, macs)
        auxiliary = None
        if settings.auxiliary:
            module = detector.auxiliary().eval()
            auxiliary = _count(module, macs_of(module, maps, features, False)[0])
    total = _count(detector, sum(part.macs for part in parts.values()))
    return DetectorCounts(parts, total, auxiliary, tuple(output.shape))


def macs_of(module: nn.Module, *arguments: Any) -> tuple[int, Any]:
    """Multiply-accumulates of a pass for these arguments, and what it returns."""
    with FlopCounterMode(display=False) as counter:
        output = module(*arguments)
    # The counter takes a multiplication and an addition as two.
    return counter.get_total_flops() // 2, output


def _count(module: nn.Module, macs: int) -> PartCount:
    every = sum(p.numel() for p in module.parameters())
    norms = sum(p.numel() for layer in module.modules() if isinstance(layer, _NORMS) for p in layer.parameters())
    return PartCount(every, every - norms, macs)


def as_json(settings: DetectorSettings, counts: DetectorCounts, arch: str, size: int) -> str:
    """The counts as one JSON object."""
    parts = {name: part.to_dict() for name, part in counts.parts.items()}
    content: dict[str, Any] = {
        "arch": arch,
        "structure": settings.structure,
        "unit": settings.unit,
        "input_image_size": size,
        "num_classes": len(settings.classes),
        "strides": settings.strides,
        "neck_channels": settings.neck_channels,
        "head_channels": settings.head_channels,
        **counts.total.to_dict(),
        "twice_flops": 2 * counts.total.macs,
        "output_shape": counts.output_shape,
        "parts": parts,
    }
    if counts.auxiliary is not None:
        content["training_only"] = counts.auxiliary.to_dict()
    return json.dumps(content)


def as_table(settings: DetectorSettings, counts: DetectorCounts, size: int) -> str:
    """The counts as text."""
    line = "{:<14}{:>14}{:>14}{:>18}"
    rows = [line.format("part", "parameters", "without BN", "FLOPs")]
    named = counts.parts | {"total": counts.total}
    if counts.auxiliary is not None:
        named["training only"] = counts.auxiliary
    for name, part in named.items():
        rows.append(line.format(name, f"{part.parameters:,}", f"{part.without_norms:,}", f"{part.macs:,}"))
    rows.append(f"output {counts.output_shape}: image, priors, class logits and bins")
    rows.append(f"at {size} x {size} pixels (however normalised), {len(settings.classes)} classes")
    return "\n".join(rows)


def report(settings: DetectorSettings, arch: str, size: int, json_wanted: bool) -> str:
    """What analyze_model.py prints of a detector with an input of size x size pixels."""
    counts = counted(settings, size, size)
    return as_json(settings, counts, arch, size) if json_wanted else as_table(settings, counts, size)
