"""The networks on which the closed-form Zen-Score is measured: those that a search under the shipped budgets visits.

A small evolutionary search (population 48, uniform choice of a parent, the worst member leaves) climbs a stand-in for
Zen-Score, sum over convolutions of log(fan-in) / 2, from a space's initial network. Its accepted candidates are sampled at
even distances, so that both shallow and deep networks and those near the budget are among them.
"""

from __future__ import annotations

import functools
import math
import operator
import random
from collections.abc import Iterator
from dataclasses import dataclass

import PlainNet
from PlainNet import Block, Network, Style
from PlainNet.convolutions import ConvDW, ConvKX, GhostConv
from SearchSpace import load_search_space
from SearchSpace.mutation import mutate

WITHOUT_LINKS = Style(no_reslink=True)
POPULATION = 48
ITERATIONS = 6_000
_XXBL = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
_XXBL_LATENCY = (
    "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)SuperResK3K3(128,256,2,128,1)"
    "SuperResK3K3(256,512,2,256,1)SuperConvK1BNRELU(512,512,1,1)"
)
_IDW = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)SuperResIDWE6K3(48,96,2,48,1)"
    "SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
)
_GHOST = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
_GHOST_LARGE = (
    "SuperConvK3BNRELU(3,32,2,1)SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,128,2,64,1)"
    "SuperGhostShuffleK3(128,256,2,128,1)SuperGhostShuffleK3(256,512,2,256,1)SuperConvK1BNRELU(512,128,1,1)"
)


@dataclass(frozen=True)
class Case:
    """A search that visits networks: space, start, budgets at a resolution, and how Monte-Carlo Zen is run on them."""

    space: str
    initial: str
    resolution: int
    batch_size: int
    max_layers: int
    max_parameters: float = math.inf
    max_flops: float = math.inf
    budget_resolution: int = 0

    def admits(self, network: Network) -> bool:
        """Whether the network is within the budgets."""
        cost = network.cost(self.budget_resolution or self.resolution, 10)
        return (
            network.layers <= self.max_layers
            and cost.parameters <= self.max_parameters
            and cost.flops <= self.max_flops
        )


CASES = {
    "XXBL_32": Case("XXBL", _XXBL, 32, 16, 18, max_parameters=1e6),
    "IDW_fixfc_32": Case("IDW_fixfc", _IDW, 32, 64, 14, max_flops=400e6, budget_resolution=224),
    "ghostshuffle_32": Case("ghostshuffle", _GHOST, 32, 16, 20, max_parameters=2e6, max_flops=480e6),
    "XXBL_224": Case("XXBL", _XXBL_LATENCY, 224, 4, 13, max_flops=1200e6),
    "IDW_fixfc_224": Case("IDW_fixfc", _IDW, 224, 8, 14, max_flops=400e6),
    "ghostshuffle_224": Case("ghostshuffle", _GHOST_LARGE, 224, 8, 18, max_flops=600e6),
}


def candidates(case: Case, seed: int, iterations: int = ITERATIONS) -> Iterator[Network]:
    """The candidates within budget that a search meets, in order."""
    generator = random.Random(seed)
    space = load_search_space(f"SearchSpace/search_space_{case.space}.py")
    population = [(0.0, PlainNet.parse(case.initial))]
    seen: set[str] = set()
    for _ in range(iterations):
        parent = generator.choice(population)[1]
        network = mutate(parent, space.sample_block, generator, replacements=2)
        if network.text in seen or not case.admits(network):
            continue
        seen.add(network.text)
        population.append((stand_in(network), network))
        if len(population) > POPULATION:
            population.remove(min(population, key=lambda member: member[0]))
        yield network


def sample_networks(case: Case, count: int, seed: int) -> list[Network]:
    """`count` of the candidates, at even distances."""
    found = list(candidates(case, seed))
    return [found[round(index * (len(found) - 1) / max(1, count - 1))] for index in range(count)]


def stand_in(network: Network) -> float:
    """Sum of log(fan-in) / 2 over the convolutions, residual links left out: a cheap quantity that grows like Zen."""
    # One after the other, which Python's sum does no more since 3.12: two of nearly the same sum would be ordered otherwise.
    logarithms = (math.log(fan_in) / 2 for block in network.blocks for fan_in in _fan_ins(block))
    return functools.reduce(operator.add, logarithms, 0.0)


def _fan_ins(block: Block) -> Iterator[int]:
    if isinstance(block, ConvKX):
        yield block.in_channels * block.kernel_size**2
    elif isinstance(block, ConvDW):
        yield block.kernel_size**2
    elif isinstance(block, GhostConv):
        yield block.in_channels
    parts = block.expand(WITHOUT_LINKS) if hasattr(block, "expand") else getattr(block, "body", ())
    for part in parts:
        yield from _fan_ins(part)
