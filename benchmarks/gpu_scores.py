"""Milliseconds of a score here and in the published way, and how many times as fast ours is, in one run.

    python -m benchmarks.gpu_scores --gpu 0
    python -m benchmarks.gpu_scores              # on the processor, one thread

The network is the published one of a million parameters for CIFAR, with 64 images (--batch_size). Building is counted in both
ways. `agree` tells whether both have the same mean over seeds within their spread, where a score is comparable at all: the
condition number of a kernel is read from its smallest eigenvalue, of which a run or two say nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import torch

from gsnet.interface.running import run
from benchmarks.collected_networks import STRUCTURES, network_of
from benchmarks.gpu_machine import Machine
from benchmarks.gpu_published_ways import plain_condition, plain_gradient_norm, plain_naswot, plain_zen
from gsnet.interface.options import OptionParser, device_name, positive_int
from PlainNet import Network
from ZeroShotProxy import ScoringSettings, score

NETWORK = "zennet_cifar_model_size1M_res32"
Way = Callable[[Network, ScoringSettings, int], float]
# Of each score its published way, and whether means over few seeds can be compared.
PUBLISHED: dict[str, tuple[Way, bool]] = {
    "Zen": (plain_zen, True),
    "NASWOT": (plain_naswot, True),
    "GradNorm": (plain_gradient_norm, True),
    "TE-NAS-NTK": (plain_condition, False),
}
_SEEDS = 6


def milliseconds(machine: Machine, name: str, network: Network, settings: ScoringSettings, repeats: int) -> list[float]:
    """Of a score in the published way, and here."""
    ways = (PUBLISHED[name][0], lambda network, settings, seed: score(network, name, settings, seed))
    return [machine.milliseconds(partial(way, network, settings, 0), repeats) for way in ways]


def agree(name: str, network: Network, settings: ScoringSettings) -> bool:
    """Whether both ways have one mean, within four of its deviations."""
    ours = [score(network, name, settings, seed) for seed in range(_SEEDS)]
    plain = [PUBLISHED[name][0](network, settings, seed) for seed in range(_SEEDS)]
    spread = math.sqrt((stdev(ours) ** 2 + stdev(plain) ** 2) / _SEEDS)
    return abs(fmean(ours) - fmean(plain)) <= 4 * spread


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the processor)")
    parser.add_argument("--batch_size", type=positive_int, default=64, metavar="N", help="images of a score")
    parser.add_argument("--repeats", type=positive_int, default=20, metavar="N", help="scores of each way")
    parser.add_argument("--network", default=NETWORK, metavar="NAME", help=f"of {STRUCTURES.name}")
    return parser


def main() -> int:
    options = parser().parse_args()
    machine = Machine(device_name(options.gpu), Path(), smoke=False)
    if not machine.is_gpu:
        torch.set_num_threads(1)
    network = network_of(options.network)
    settings = ScoringSettings(batch_size=options.batch_size, device=machine.device)
    print(f"{'score':<12} {'published ms':>12} {'ours ms':>9} {'times':>6} {'agree':>6}", flush=True)
    for name, (_, comparable) in PUBLISHED.items():
        plain, ours = milliseconds(machine, name, network, settings, options.repeats)
        same = "-" if not comparable else "yes" if agree(name, network, replace(settings, batch_size=16)) else "NO"
        print(f"{name:<12} {plain:>12.1f} {ours:>9.1f} {plain / ours:>6.2f} {same:>6}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
