"""Speed of the closed-form Zen-Score on one core: against Monte-Carlo Zen, and along a mutation chain.

python -m benchmarks.zen_closed_form_speed [--networks 60] [--chain 3000]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import PlainNet
from benchmarks.zen_closed_form_networks import CASES, candidates, sample_networks
from PlainNet import Network, super_blocks
from ZeroShotProxy.compute_zen_closed_form import ClosedForm

CIFAR_CASES = ("XXBL_32", "ghostshuffle_32", "IDW_fixfc_32")
REPEATS = 5
BATCH_SIZE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", type=int, default=60, help="networks of each case scored both ways; 0 leaves it out"
    )
    parser.add_argument("--chain", type=int, default=3000, help="mutations of each chain")
    options = parser.parse_args()
    start = time.perf_counter()
    ClosedForm().score(PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)"))
    print(f"first score after the import: {time.perf_counter() - start:.2f} s")
    for name in CIFAR_CASES:
        chain = list(candidates(CASES[name], 5, options.chain))
        report_chain(name, chain)
        if options.networks:
            report_ratio(name, sample_networks(CASES[name], options.networks, 1))
    return 0


def report_chain(name: str, chain: list[Network]) -> None:
    """Networks a second along a chain: at first sight of every block, and when all blocks are known."""
    first, known = float("inf"), float("inf")
    for _ in range(REPEATS):
        cast(Any, super_blocks._layer_mean_field).cache_clear()
        closed_form = ClosedForm()
        first = min(first, seconds(closed_form.score, chain))
        known = min(known, seconds(closed_form.score, chain))
    print(f"{name}: {1 / first:,.0f} networks/s along a mutation chain, {1 / known:,.0f} with all blocks known")


def report_ratio(name: str, networks: list[Network]) -> None:
    """Time of Monte-Carlo Zen over that of the closed form on the same networks."""
    import torch

    from ZeroShotProxy import ScoringSettings, score

    torch.set_num_threads(1)
    closed_form = ClosedForm()
    closed = min(seconds(closed_form.score, networks) for _ in range(REPEATS))
    settings = ScoringSettings(32, BATCH_SIZE)
    sampled = seconds(lambda network: score(network, "Zen", settings), networks)
    print(
        f"{name}: Monte-Carlo {1e3 * sampled:.0f} ms, closed form {1e6 * closed:.0f} us, {sampled / closed:,.0f} times"
    )


def seconds(action: Callable[[Network], float], networks: list[Network]) -> float:
    """Mean time a network."""
    start = time.perf_counter()
    for network in networks:
        action(network)
    return (time.perf_counter() - start) / len(networks)


if __name__ == "__main__":
    sys.exit(main())
