"""Iterations a second of the search, for each space and proxy, as ratios to a plain loop with Monte-Carlo Zen, in one run.

    python -m benchmarks.search_throughput
    python -m benchmarks.search_throughput --against HEAD~20

The plain loop is what the field does: choose a parent, mutate it, check the budgets, build the network with PyTorch's default
initialisation, set Gaussian weights, run two forward passes of 64 images. It records nothing.

With --against the same searches by the closed form are run by an older build too, in turn, and compared in processor time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from gsnet.interface.running import run
from benchmarks.gpu_published_ways import plain_zen
from benchmarks.searches import STARTS, settings_of
from benchmarks.two_builds import compare
from gsnet.evolution.budgets import first_exceeded
from gsnet.evolution.parts import cost_model, search_budgets
from gsnet.evolution.population import Member, Population
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.runner import without_collector
from gsnet.evolution.scorer import scoring_settings
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import EVOLUTIONS, FITTING, PUBLISHED, SearchSettings
from gsnet.interface.options import InputError
from PlainNet import Network

# What is measured once only, compiling included, lies in the first iterations: of value-only proxies, and of Zen.
SKIPPED, SKIPPED_OF_ZEN = 1_000, 64
# Searches by Zen are so many times as long as the plain loop.
_OF_ZEN = 4


def check_length(iterations: int, skip: int) -> None:
    """Raise InputError where a search has no iteration after those that are not timed."""
    if iterations <= skip:
        raise InputError(
            f"A search of {iterations:,} iterations has none after its first {skip:,}, which are not timed"
        )


def plain_loop(settings: SearchSettings, timed: Callable[[Network], object] | None = None) -> float:
    """Iterations a second of the plain loop; timed: what each candidate goes through before its score."""
    proposer, budgets, costs = make_proposer(settings), search_budgets(settings), cost_model(settings)
    generator, scoring = random.Random(0), scoring_settings(settings)
    if not proposer.starts:
        raise ValueError("The plain loop begins with a given structure")
    population = Population(settings.evolution_max_iter)
    population.add(Member(0.0, 0, proposer.starts[0]))
    begun = time.perf_counter()
    for iteration in range(settings.evolution_max_iter):
        child = proposer.rule.child(population.choose(generator), population, generator)
        if first_exceeded(budgets, costs.costs(child)):
            continue
        if timed is not None:
            timed(child)
        population.add(Member(plain_zen(child, scoring, iteration), iteration + 1, child))
    return settings.evolution_max_iter / (time.perf_counter() - begun)


def search_loop(settings: SearchSettings, workers: int = 1, skip: int = 0) -> float:
    """Iterations a second of the search, history included, after `skip` iterations. Raises InputError where none follow."""
    check_length(settings.evolution_max_iter, skip)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(settings, Path(folder), RunOptions(workers=workers))
        search = session.search
        with without_collector():
            while search.progress.next_iteration < skip:
                search.advance()
            begun, first = time.perf_counter(), search.progress.next_iteration
            while not search.finished:
                search.advance()
            session.history.commit()
            seconds = time.perf_counter() - begun
        done = search.progress.next_iteration - first
        session.close()
    return done / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=480_000, help="of value-only proxies")
    parser.add_argument("--plain_iterations", type=int, default=60, help="of the plain loop and of Monte-Carlo proxies")
    parser.add_argument("--spaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--against", metavar="REF", help="a commit to compare with")
    parser.add_argument("--repeats", type=int, default=3, help="of each build's search, with --against")
    parser.add_argument("--rules", nargs="+", default=[PUBLISHED, FITTING], choices=EVOLUTIONS, help="with --against")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.against:
        searches = [(space, rule) for space in options.spaces for rule in options.rules]
        named = [
            (f"{space}, {rule}", replace(settings_of(space, "ZenClosedForm", options.iterations), evolution=rule))
            for space, rule in searches
        ]
        compare(options.against, named, options.repeats)
        return
    check_length(options.iterations, SKIPPED)
    check_length(_OF_ZEN * options.plain_iterations, SKIPPED_OF_ZEN)
    print(f"{'space':<14}{'what':<28}{'iterations/s':>14}{'times plain':>14}")
    for space in options.spaces:
        plain = plain_loop(settings_of(space, "Zen", options.plain_iterations))
        rows = {"plain loop, Zen batch 64": plain}
        for proxy in ("ZenClosedForm", "Params", "Random"):
            rows[proxy] = search_loop(settings_of(space, proxy, options.iterations), skip=SKIPPED)
        for workers in (1, 2):
            settings = settings_of(space, "Zen", _OF_ZEN * options.plain_iterations)
            rows[f"Zen batch 64, {workers} worker{'s' * (workers > 1)}"] = search_loop(
                settings, workers, skip=SKIPPED_OF_ZEN
            )
        for name, speed in rows.items():
            print(f"{space:<14}{name:<28}{speed:>14,.1f}{speed / plain:>14,.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
