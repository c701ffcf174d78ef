"""Growth and spread of gradients by backward passes, of the networks on which the closed form is measured, kept in a file.

    python -m benchmarks.gradient_passes                              # what docs/gradient_passes.csv lacks; an hour on one core
    python -m benchmarks.gradient_passes --spaces IDW_fixfc --cases kept "left out" --networks 6

A stopped run goes on where it was. `python -m benchmarks.gradient_growth` compares the file with the closed form.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from torch import nn

from gsnet.interface.running import run
from benchmarks.saved_rows import Rows, read_rows, save_rows
from benchmarks.zen_closed_form_networks import CASES as NETWORKS
from benchmarks.zen_closed_form_networks import sample_networks
from PlainNet import Network, Style
from ZeroShotProxy import ScoringContext, ScoringSettings, Weights, get_proxy, score
from ZeroShotProxy.compute_gradient_growth import log_gradient_norms

FILE = Path(__file__).parent.parent / "docs/gradient_passes.csv"
KEY = ("space", "case", "structure")
# Of each draw of weights and images one number, one after the other.
QUANTITIES = ("growth", "spread")
FIELDS = (*KEY, "batch", *QUANTITIES)
# Images of a pass. Maps of IDW_fixfc end in one pixel: with few images, BN sees few values of a channel there.
BATCHES = {"XXBL": 32, "ghostshuffle": 32, "IDW_fixfc": 256}
SEEDS = 2


@dataclass(frozen=True)
class Case:
    """How networks are built. weights: those of layers; without effect before BN, but for squeeze-and-excitation."""

    style: Style = field(default_factory=Style)
    weights: Weights = Weights.GAUSSIAN


CASES = {
    "kept": Case(),
    "left out": Case(Style(no_reslink=True)),
    "kept, PyTorch's weights": Case(weights=Weights.DEFAULT),
    "kept, SE": Case(Style(use_se=True)),
}


class Measured(NamedTuple):
    """Growth and spread of a network's gradients by backward passes, one number for each draw of weights and images."""

    network: Network
    batch: int
    growth: tuple[float, ...]
    spread: tuple[float, ...]


def measure(case: Case, network: Network, batch: int, seeds: int) -> Measured:
    """Backward passes at 32 x 32 pixels."""
    settings = ScoringSettings(
        batch_size=batch,
        style=replace(case.style, no_reslink=False),
        keep_links=not case.style.no_reslink,
    )
    passes = [_quantities(network, case.weights, settings, seed) for seed in range(seeds)]
    growth, spread = zip(*passes, strict=True)
    return Measured(network, batch, growth, spread)


def _quantities(network: Network, weights: Weights, settings: ScoringSettings, seed: int) -> tuple[float, float]:
    """Growth and spread of one backward pass, which the proxies of both would make each by itself."""
    spreads = []

    def compute(module: nn.Module, context: ScoringContext) -> float:
        norms = log_gradient_norms(module, context)
        spreads.append(float(norms.std(correction=0)))
        return float(norms[0] - norms[-1])

    growth = score(network, replace(get_proxy("GradientGrowth"), compute=compute, weights=weights), settings, seed)
    return growth, spreads[-1]


def measured(space: str, case: str, count: int, rows: Rows | None = None) -> Iterator[Measured]:
    """What the file holds of the first searches' networks of a space."""
    rows = read_rows(FILE, KEY) if rows is None else rows
    for network in sample_networks(NETWORKS[f"{space}_32"], count, seed=0):
        row = rows.get((space, case, network.text))
        if row:
            quantities = (tuple(map(float, row[quantity].split())) for quantity in QUANTITIES)
            yield Measured(network, int(row["batch"]), *quantities)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60, help="networks of each space (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="backward passes of each (default: %(default)s)")
    parser.add_argument("--spaces", nargs="+", choices=BATCHES, default=list(BATCHES), help="these alone")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="these alone")
    parser.add_argument("--file", type=Path, default=FILE, help="where rows are kept (default: %(default)s)")
    options = parser.parse_args(argv)
    rows = read_rows(options.file, KEY)
    for case in options.cases:
        for space in options.spaces:
            for network in sample_networks(NETWORKS[f"{space}_32"], options.networks, seed=0):
                key = space, case, network.text
                if key in rows and len((rows[key].get("spread") or "").split()) >= options.seeds:
                    continue
                found = measure(CASES[case], network, BATCHES[space], options.seeds)
                numbers = (" ".join(f"{number:.4f}" for number in getattr(found, name)) for name in QUANTITIES)
                rows[key] = dict(zip(FIELDS, (*key, str(found.batch), *numbers), strict=True))
                save_rows(options.file, FIELDS, rows, rows)
            print(f"{space}, {case}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
