"""Benchmarks under one interface: names of networks, their trained accuracies, scores and neighbours."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path

from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.cell_closed_form import cell_scores
from SearchSpace.random_numbers import candidate_seed
from ZeroShotProxy import Needs, ProxyFailure, ScoringSettings, Weights, get_proxy, score
from ZeroShotProxy.compute_gradient_growth import IMAGES_OF_A_PASS

DISCONNECTED = "no path from the image to the logits"
SETTINGS = ScoringSettings(resolution=32, batch_size=16, num_classes=10)
# Cheapest first. TE-NAS itself is an aggregate of its two terms.
MODULE_PROXIES = (
    *("MeCo-Rectified", "MeCo", "AZ-NAS-Expressivity", "AZ-NAS-Progressivity", "NASWOT", "SWAP", "Perturbation", "Zen"),
    *("Jacov", "Syncflow-log", "AZ-NAS-Trainability", "GradNorm", "TE-NAS-LR", "WRCor", "ZiCo", "Dextr", "VKDNW"),
    "TE-NAS-NTK",
)
CLOSED_FORM_PROXIES = ("ZenClosedForm", "PerturbationClosedForm")
# A limit, no aim: not among the proxies of a benchmark.
GROWTH = "GradientGrowthClosedForm"
# Images of a backward pass for the growth of cells.
GROWTH_BATCH = IMAGES_OF_A_PASS


class Benchmark(ABC):
    """A finite space of networks whose trained accuracies are known.

    accuracies: by data set, then by key; the first data set is the one that choices are made on. `score` draws its random
    numbers from (seed, position of the key), whatever else is scored. parts: subsets of the networks that published figures are
    of, by name.
    """

    name: str
    proxies: tuple[str, ...]
    # Whether networks have neighbours, so that an evolution can be confined to the benchmark.
    has_neighbours = True

    def __init__(self, accuracies: dict[str, dict[str, float]]) -> None:
        self.accuracies = accuracies
        self.keys = list(next(iter(accuracies.values())))
        self.parts: dict[str, list[str]] = {}

    @property
    def cache_name(self) -> str:
        """A name that two benchmarks share only where they give a network the same scores."""
        return self.name

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each key stands in the table."""
        return {key: position for position, key in enumerate(self.keys)}

    def sample(self, count: int, seed: int) -> list[str]:
        """Keys drawn uniformly without replacement; a smaller sample is the beginning of a larger one."""
        keys = list(self.keys)
        random.Random(seed).shuffle(keys)
        return keys[:count]

    def score(self, key: str, proxy: str, seed: int) -> float:
        """A network's score by a proxy, larger is better. Raises ProxyFailure."""
        return self._score(key, proxy, candidate_seed(seed, self.positions[key]))

    @abstractmethod
    def _score(self, key: str, proxy: str, seed: int) -> float: ...

    @abstractmethod
    def mutate(self, key: str, generator: random.Random) -> str:
        """A neighbour of a network."""

    @abstractmethod
    def random_key(self, generator: random.Random) -> str:
        """A network drawn uniformly."""


class NasBench201(Benchmark):
    """15,625 cells, three data sets. Costs are counted from the cell, closed forms are those of `benchmarks.cell_closed_form`;
    every other proxy gets a torch module.
    """

    name = "NAS-Bench-201"
    proxies = ("Params", "Flops", *MODULE_PROXIES, *CLOSED_FORM_PROXIES, "Random")

    def __init__(self, path: Path) -> None:
        rows = nas_bench_201.read_table(path)
        super().__init__({d: {r.cell: r.accuracies[d] for r in rows} for d in nas_bench_201.DATA_SETS})
        live = [key for key in self.keys if nas_bench_201.all_operations_count(nas_bench_201.parse_cell(key))]
        self.parts = {nas_bench_201.LIVE: live}

    def _score(self, key: str, proxy: str, seed: int) -> float:
        operations = nas_bench_201.parse_cell(key)
        if proxy == "Params":
            return float(nas_bench_201.parameters(operations))
        if proxy == "Flops":
            return float(nas_bench_201.flops(operations))
        if proxy == "Random":
            return random.Random(seed).random()
        if not nas_bench_201.is_connected(operations):
            raise ProxyFailure(DISCONNECTED)
        if proxy == "ZenClosedForm":
            return float(cell_scores([operations]).zen[0])
        if proxy == "PerturbationClosedForm":
            return float(cell_scores([operations]).perturbation[0])
        if proxy == GROWTH:
            return float(cell_scores([operations], Weights.KAIMING, GROWTH_BATCH).growth[0])
        return score(nas_bench_201.CellNetwork(operations), proxy, SETTINGS, seed)

    def mutate(self, key: str, generator: random.Random) -> str:
        return nas_bench_201.cell_text(nas_bench_201.mutate(nas_bench_201.parse_cell(key), generator))

    def random_key(self, generator: random.Random) -> str:
        return nas_bench_201.cell_text(nas_bench_201.random_cell(generator))


class NasBenchMacro(Benchmark):
    """6,561 structure strings, CIFAR-10."""

    name = "NAS-Bench-Macro"
    proxies = ("Params", "Flops", *MODULE_PROXIES, *CLOSED_FORM_PROXIES, "Random")

    def __init__(self, path: Path) -> None:
        rows = nas_bench_macro.read_table(path)
        super().__init__({"CIFAR-10": {r.digits: r.mean_accuracy for r in rows}})

    def _score(self, key: str, proxy: str, seed: int) -> float:
        return score(nas_bench_macro.network(key), proxy, SETTINGS, seed)

    def mutate(self, key: str, generator: random.Random) -> str:
        return nas_bench_macro.mutate(key, generator)

    def random_key(self, generator: random.Random) -> str:
        return nas_bench_macro.random_digits(generator)


def is_instant(proxy: str) -> bool:
    """Whether a proxy needs no module, so that all networks of a benchmark are scored within seconds."""
    return get_proxy(proxy).needs is Needs.VALUE


def score_or_reason(benchmark: Benchmark, key: str, proxy: str, seed: int) -> tuple[float, str]:
    """A score and no reason, or minus infinity and the reason why there is none."""
    try:
        return benchmark.score(key, proxy, seed), ""
    except ProxyFailure as failure:
        return -math.inf, str(failure).splitlines()[0][:120]
