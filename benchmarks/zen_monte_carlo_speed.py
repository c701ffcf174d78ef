"""Monte-Carlo Zen-Score against the plain way, on the same networks of CIFAR size, one thread.

    python -m benchmarks.zen_monte_carlo_speed

The plain way builds the network with PyTorch's default initialisation, draws Gaussian weights over it and runs two forward
passes. The figures are processor seconds of one score, the smaller of --rounds; both ways take turns. The mean scores of
both are printed beside them and have to agree up to their noise.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from statistics import fmean

import torch

from gsnet.interface.running import run
from benchmarks.collected_networks import cifar_networks
from benchmarks.gpu_published_ways import plain_zen
from benchmarks.turns import least_seconds
from PlainNet import Network
from ZeroShotProxy import ScoringSettings, score


def fast_zen(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Zen-Score as a search computes it."""
    return score(network, "Zen", settings, seed)


def main() -> int:
    """Print one row a network and batch size, and the ratio of the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="scores of each way (default: 3)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{'network':<34} {'batch':>5} {'plain s':>8} {'fast s':>8} {'ratio':>6} {'plain Zen':>10} {'fast Zen':>10}")
    for batch_size in (16, 64):
        totals = [0.0, 0.0]
        for name, network in cifar_networks().items():
            ways = [partial(way, network, ScoringSettings(batch_size=batch_size)) for way in (plain_zen, fast_zen)]
            seconds, scores = least_seconds(ways, rounds)
            plain, fast = (fmean(found) for found in scores)
            totals = [total + spent for total, spent in zip(totals, seconds, strict=True)]
            print(
                f"{name:<34} {batch_size:>5} {seconds[0]:>8.3f} {seconds[1]:>8.3f} {seconds[0] / seconds[1]:>6.2f} "
                f"{plain:>10.2f} {fast:>10.2f}",
                flush=True,
            )
        print(
            f"{'total':<34} {batch_size:>5} {totals[0]:>8.3f} {totals[1]:>8.3f} {totals[0] / totals[1]:>6.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
