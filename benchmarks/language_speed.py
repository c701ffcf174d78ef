"""Microseconds to parse a CIFAR network and count all its costs, alone and along a chain of mutations.

python -m benchmarks.language_speed
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import PlainNet
from gsnet.interface.running import run
from PlainNet import Network
from SearchSpace import load_search_space
from SearchSpace.mutation import mutate

NETWORKS = {
    "init": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)",
    "zennet 1M": "SuperConvK3BNRELU(3,88,1,1)SuperResK1K7K1(88,120,1,16,1)SuperResK1K7K1(120,192,2,16,3)"
    "SuperResK1K5K1(192,224,1,24,4)SuperResK1K5K1(224,96,2,24,2)SuperResK1K3K1(96,168,2,40,3)"
    "SuperResK1K3K1(168,112,1,48,3)SuperConvK1BNRELU(112,512,1,1)",
}
CHAIN = 5_000


def microseconds(action: Callable[[], object], repeats: int) -> float:
    """Time of one call, the mean over repeats."""
    begun = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - begun) / repeats * 1e6


def chain(start: Network) -> list[str]:
    """Texts along a chain of mutations, restarted when networks grow beyond what a CIFAR search keeps."""
    space, generator, network = load_search_space("SearchSpace/search_space_XXBL.py"), random.Random(0), start
    texts = []
    for _ in range(CHAIN):
        child = mutate(network, space.sample_block, generator, 2)
        texts.append(str(child))
        network = child if child.layers <= 20 and child.cost(32, 10).parameters < 2e6 else start
    return texts


def parse_and_count(text: str) -> None:
    """What is timed where the same string comes again."""
    PlainNet.parse(text).cost(32, 10)


def main() -> None:
    """Print the table."""
    for name, text in NETWORKS.items():
        again = microseconds(partial(parse_and_count, text), 2_000)
        print(f"{name:<12} again and again   {again:8.1f} us")
        texts = chain(PlainNet.parse(text))
        # Another resolution: the costs of these maps were never counted before.
        fresh = microseconds(partial(parse_and_count_next, iter(texts)), CHAIN)
        print(f"{name:<12} mutation chain    {fresh:8.1f} us")


def parse_and_count_next(texts: Iterator[str]) -> None:
    """Parse the next text and count its costs."""
    PlainNet.parse(next(texts)).cost(36, 10)


if __name__ == "__main__":
    sys.exit(run(main))
