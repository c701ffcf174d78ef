"""Whether Zen-Scores of networks stay in their order in the formats that a GPU multiplies fastest in, computed on a processor.

    python -m benchmarks.gpu_precision

What convolutions read is rounded as tensor cores round it, to 10 bits of mantissa for TF32 and to 7 for bfloat16, whose outputs
are rounded, too; products and sums stay in float32, as there. Spearman's correlation over networks of CIFAR size with
float32's scores of the same seed, beside that of float32's scores of two seeds; and by how much scores are off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from gsnet.interface.running import run
from benchmarks.collected_networks import cifar_networks
from benchmarks.report_statistics import spearman
from PlainNet import Network
from ZeroShotProxy import ScoringSettings, get_proxy
from ZeroShotProxy.scoring import ScoringContext, build

Rounding = Callable[[Tensor], Tensor]
_TF32_DROPPED = 13


def as_tf32(values: Tensor) -> Tensor:
    """float32 values rounded to the nearest with 10 bits of mantissa."""
    half = 1 << (_TF32_DROPPED - 1)
    return ((values.view(torch.int32) + half) & -(1 << _TF32_DROPPED)).view(torch.float32)


def as_bfloat16(values: Tensor) -> Tensor:
    """float32 values rounded to the nearest bfloat16."""
    return values.bfloat16().float()


# What is done to what convolutions read, and to what they write.
FORMATS: dict[str, tuple[Rounding, Rounding | None]] = {"TF32": (as_tf32, None), "bfloat16": (as_bfloat16, as_bfloat16)}


@torch.no_grad()
def zen_in(network: Network, seed: int, rounding: tuple[Rounding, Rounding | None] | None) -> float:
    """Zen-Score with rounded convolutions; None for float32."""
    zen, settings = get_proxy("Zen"), ScoringSettings()
    context = ScoringContext(settings, settings.style_for(zen), seed, few_launches=True)
    module = build(network, zen, context)
    if rounding is not None:
        _round(module, *rounding)
    return zen.compute(module, context)


def _round(module: nn.Module, reads: Rounding, writes: Rounding | None) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = reads(layer.weight.data)
            layer.register_forward_pre_hook(lambda _, inputs: (reads(inputs[0]),))
            if writes is not None:
                layer.register_forward_hook(lambda _, inputs, output: writes(output))


def row(name: str, exact: Sequence[float], found: Sequence[float]) -> str:
    """A line of the table."""
    off = fmean(abs(one - other) for one, other in zip(exact, found, strict=True))
    return f"{name:<24} {spearman(np.array(exact), np.array(found)):>8.4f} {off:>10.3f}"


def main() -> int:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    networks = list(cifar_networks().values())
    exact = [zen_in(network, 0, None) for network in networks]
    print(f"{len(networks)} networks, Zen-Scores from {min(exact):.1f} to {max(exact):.1f}")
    print(f"{'beside float32':<24} {'Spearman':>8} {'mean off':>10}", flush=True)
    print(row("float32, another seed", exact, [zen_in(network, 1, None) for network in networks]), flush=True)
    for name, rounding in FORMATS.items():
        print(row(name, exact, [zen_in(network, 0, rounding) for network in networks]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
