"""Networks of a benchmark with every score of them that is at hand: what `benchmarks.choose_ensemble` chooses from."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import nas_bench_201, nas_bench_macro, score_tables
from benchmarks.report_benchmarks import (
    CLOSED_FORM_PROXIES,
    GROWTH,
    MODULE_PROXIES,
    Benchmark,
    NasBench201,
    NasBenchMacro,
)
from ZeroShotProxy import ProxyFailure

# Columns of the benchmark's file, and what they are called here; scores of batches of real images.
REFERENCES = {"ref_naswot_c10": "NASWOT (reference)", "ref_logsynflow_c10": "log-SynFlow (reference)"}
NASWOT, LOG_SYNFLOW = REFERENCES.values()


@dataclass(frozen=True)
class Networks:
    """The networks of a benchmark. accuracies: by data set; scores: by proxy, larger is better; growth: infinite if unknown."""

    name: str
    accuracies: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    growth: np.ndarray

    def part(self, chosen: np.ndarray) -> Networks:
        """Those at some places."""
        accuracies = {name: values[chosen] for name, values in self.accuracies.items()}
        return Networks(self.name, accuracies, {n: v[chosen] for n, v in self.scores.items()}, self.growth[chosen])


def read_cells(path: Path, folder: Path) -> Networks:
    """All cells with every score that is at hand."""
    benchmark = NasBench201(path)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    references = {
        name: np.array([float(row[column]) if row[column] else -math.inf for row in rows])
        for column, name in REFERENCES.items()
    }
    cells = [nas_bench_201.parse_cell(key) for key in benchmark.keys]
    costs = {
        "Params": np.array([float(nas_bench_201.parameters(cell)) for cell in cells]),
        "Flops": np.array([float(nas_bench_201.flops(cell)) for cell in cells]),
    }
    return _networks(benchmark, costs | references, folder)


def read_macro(path: Path, folder: Path) -> Networks:
    """All Macro networks with every score that is at hand; closed forms are worked out."""
    benchmark = NasBenchMacro(path)
    costs = [nas_bench_macro.network(key).cost(32, 10) for key in benchmark.keys]
    known = {
        "Params": np.array([float(c.parameters) for c in costs]),
        "Flops": np.array([float(c.flops) for c in costs]),
    }
    return _networks(benchmark, known, folder)


def _networks(benchmark: Benchmark, known: dict[str, np.ndarray], folder: Path) -> Networks:
    scores = dict(known)
    for proxy in (*CLOSED_FORM_PROXIES, GROWTH, *MODULE_PROXIES):
        table = score_tables.read_table(folder, benchmark.name, proxy, benchmark.keys)
        if table is not None and table.complete:
            scores[proxy] = np.array([table.scores[key] for key in benchmark.keys])
        elif proxy in (*CLOSED_FORM_PROXIES, GROWTH):
            scores[proxy] = np.array([_score(benchmark, key, proxy) for key in benchmark.keys])
    growth = scores.pop(GROWTH)
    accuracies = {name: np.array([table[k] for k in benchmark.keys]) for name, table in benchmark.accuracies.items()}
    return Networks(benchmark.name, accuracies, scores, np.where(np.isneginf(growth), np.inf, growth))


def _score(benchmark: Benchmark, key: str, proxy: str) -> float:
    try:
        return benchmark.score(key, proxy, 0)
    except ProxyFailure:
        return -math.inf
