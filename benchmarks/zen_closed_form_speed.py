"""Speed of the closed-form Zen-Score on one core: against Monte-Carlo Zen, and along a mutation chain.

python -m benchmarks.zen_closed_form_speed [--networks 60] [--chain 20000]

The time along a chain is the processor's, the best of several passes, each with a closed form that remembers nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import PlainNet
from gsnet.interface.running import run
from benchmarks.zen_closed_form_networks import CASES, candidates, sample_networks
from gsnet.evolution.runner import without_collector
from PlainNet import Network
from ZeroShotProxy.compute_zen_closed_form import ClosedForm

CIFAR_CASES = ("XXBL_32", "ghostshuffle_32", "IDW_fixfc_32")
REPEATS = 5
BATCH_SIZE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks", type=int, default=60, help="networks of each case scored both ways; 0 leaves it out"
    )
    parser.add_argument("--chain", type=int, default=20_000, help="mutations of each chain")
    options = parser.parse_args()
    start = time.perf_counter()
    ClosedForm().score(PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)"))
    print(f"first score after the import: {time.perf_counter() - start:.2f} s")
    for name in CIFAR_CASES:
        chain = list(candidates(CASES[name], 5, options.chain))
        report_chain(name, chain)
        if options.networks:
            report_ratio(name, chain, sample_networks(CASES[name], options.networks, 1))
    return 0


def report_chain(name: str, chain: list[Network]) -> None:
    """Networks a second along a chain, of networks none of which was seen before."""
    fastest = min(seconds(ClosedForm().score, chain) for _ in range(REPEATS))
    print(f"{name}: {1 / fastest:,.0f} networks/s along a mutation chain of {len(chain):,} within the budgets")


def report_ratio(name: str, chain: list[Network], networks: list[Network]) -> None:
    """Time of Monte-Carlo Zen over that of the closed form on the same networks, which follow a chain of others."""
    import torch

    from ZeroShotProxy import ScoringSettings, score

    torch.set_num_threads(1)
    closed = min(seconds_after(chain, networks) for _ in range(REPEATS))
    settings = ScoringSettings(32, BATCH_SIZE)
    sampled = seconds(lambda network: score(network, "Zen", settings), networks)
    print(
        f"{name}: Monte-Carlo {1e3 * sampled:.0f} ms, closed form {1e6 * closed:.0f} us, {sampled / closed:,.0f} times"
    )


def seconds_after(chain: list[Network], networks: list[Network]) -> float:
    """Mean time of the closed form on networks that it meets after a chain, without what is worked out once."""
    closed_form = ClosedForm()
    seconds(closed_form.score, chain)
    return seconds(closed_form.score, networks)


def seconds(action: Callable[[Network], float], networks: list[Network]) -> float:
    """Mean processor time a network."""
    with without_collector():
        start = time.thread_time()
        for network in networks:
            action(network)
        return (time.thread_time() - start) / len(networks)


if __name__ == "__main__":
    sys.exit(run(main))
