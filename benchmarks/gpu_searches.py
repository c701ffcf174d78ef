"""Iterations a second of two Monte-Carlo searches, ours and a plain loop in the published way taking turns, in one run.

    python -m benchmarks.gpu_searches --gpu 0

CIFAR: Zen-Score under a million parameters, the start and budgets of scripts/Zen_NAS_cifar_params1M.sh. Measured: that of
scripts/Zen_NAS_ImageNet_latency0.1ms.sh, at 224 pixels, with each candidate's latency measured in half precision, 64 images at
once. The plain loop chooses, mutates and checks budgets as ours does; then it builds the network layer by layer on the
processor, moves it, times one pass after three others, and takes `benchmarks.gpu_published_ways.plain_zen`. In the end the
CIFAR search once more with two scoring processes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial

import torch

from gsnet.interface.running import run
from benchmarks.gpu_machine import wait_for
from benchmarks.search_throughput import plain_loop, search_loop
from benchmarks.searches import settings_of
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.options import OptionParser, device_name, positive_int
from gsnet.validation.precision import half_type
from Masternet import MasterNet
from PlainNet import Network

CIFAR, MEASURED = "CIFAR", "measured at 224 pixels"
LATENCY_START = (
    "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)SuperResK3K3(128,256,2,128,1)"
    "SuperResK3K3(256,512,2,256,1)SuperConvK1BNRELU(512,512,1,1)"
)
_WARM_UP = 3


def searches(
    device: str, iterations: int, side: int = 224, batch: int = 64, images: int = 64
) -> dict[str, SearchSettings]:
    """Both searches. side, batch: of the second one. images: of a score."""
    usual = settings_of("XXBL", "Zen", iterations)
    cifar = replace(usual, device=device, budget_flops=None, budget_mac=None, batch_size=images)
    measured = replace(
        cifar,
        plainnet_struct=LATENCY_START,
        num_classes=1000,
        input_image_size=side,
        max_layers=10,
        budget_model_size=None,
        # Of a search that is timed none is refused: both ways score all that they measure.
        budget_latency=1.0,
        latency_source="measure",
        latency_batch_size=batch,
        fp16=True,
    )
    return {CIFAR: cifar, MEASURED: measured}


@torch.no_grad()
def _timed(settings: SearchSettings, network: Network) -> float:
    """Seconds of one pass, the device being waited for: unlike the published loop, but a fair one."""
    side = settings.latency_resolution or settings.input_image_size
    kind = half_type(settings.device)
    module = MasterNet(num_classes=settings.num_classes, plainnet_struct=network).to(settings.device, kind).eval()
    images = torch.randn(settings.latency_batch_size, 3, side, side, dtype=kind, device=settings.device)
    for _ in range(_WARM_UP):
        module(images)
    wait_for(settings.device)
    begun = time.perf_counter()
    module(images)
    wait_for(settings.device)
    return time.perf_counter() - begun


def rates(settings: SearchSettings, rounds: int = 1) -> tuple[float, float]:
    """Iterations a second in the published way and here, the best of some rounds by turns; ours without its first round."""
    timed = partial(_timed, settings) if settings.measures_latency else None
    found = [(plain_loop(settings, timed), our_rate(settings)) for _ in range(rounds)]
    return max(plain for plain, _ in found), max(ours for _, ours in found)


def our_rate(settings: SearchSettings, workers: int = 1) -> float:
    """Iterations a second here, without the first round, in which processes start, where there are others."""
    skip = settings.round_size if settings.evolution_max_iter > settings.round_size else 0
    return search_loop(settings, workers, skip)


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the processor)")
    parser.add_argument("--iterations", type=positive_int, default=400, metavar="N", help="of each search and way")
    parser.add_argument(
        "--rounds", type=positive_int, default=2, metavar="N", help="of each way, of which the best counts"
    )
    parser.add_argument("--side", type=positive_int, default=224, metavar="PIXELS", help="of the search that measures")
    parser.add_argument("--batch_size", type=positive_int, default=64, metavar="N", help="at which it measures")
    parser.add_argument(
        "--workers", type=positive_int, default=2, metavar="N", help="scoring processes of the last row"
    )
    return parser


def main() -> int:
    options = parser().parse_args()
    device = device_name(options.gpu)
    print(f"{'search':<24} {'published /s':>12} {'ours /s':>9} {'times':>6}", flush=True)
    wanted = searches(device, options.iterations, options.side, options.batch_size)
    for name, settings in wanted.items():
        plain, ours = rates(settings, options.rounds)
        print(f"{name:<24} {plain:>12.2f} {ours:>9.2f} {ours / plain:>6.2f}", flush=True)
    several = max(our_rate(wanted[CIFAR], options.workers) for _ in range(options.rounds))
    print(f"{CIFAR}, {options.workers} processes {several:>22.2f} iterations a second", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
