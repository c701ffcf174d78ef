"""Where a search whose loop runs in Python spends its time: microseconds of each step an iteration, for each space.

    python -m benchmarks.search_steps [--iterations 100000]

Wall-clock, so on a machine that does nothing else, with a clock around each step, whose own time is taken off. "calls" says for
how many of the iterations a step is reached: candidates over the budget on layers and duplicates are not counted, those over
budget not scored.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gsnet.interface.running import run
from benchmarks.searches import STARTS, settings_of
from gsnet.evolution.executors import make_executor
from gsnet.evolution.folder import begin
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.runner import without_collector
from gsnet.evolution.search import Search

CLOCK_READINGS = 100_000


class Clock:
    """Adds up the time that functions take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds, self.calls = 0.0, 0

    def around(self, function: Callable) -> Callable:
        """The function, with its time added up."""

        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            self.seconds += time.perf_counter() - start
            self.calls += 1
            return result

        return timed


def seconds_of_a_clock() -> tuple[float, float]:
    """What a clock around a function adds to its own figure, and to the time of the whole."""
    clock, nothing = Clock("nothing"), lambda: None
    timed = clock.around(nothing)
    start = time.perf_counter()
    for _ in range(CLOCK_READINGS):
        timed()
    whole = time.perf_counter() - start
    return clock.seconds / CLOCK_READINGS, whole / CLOCK_READINGS


def measure(space: str, iterations: int) -> tuple[list[Clock], float]:
    """Clocks of the steps of one search, and its seconds an iteration."""
    settings = settings_of(space, "ZenClosedForm", iterations)
    clocks = mutation, costs, score, history, entry = [
        Clock(name) for name in ("mutation", "costs", "closed form", "history", "population, best, counts")
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = begin(settings, Path(folder))
        proposer, executor = make_proposer(settings), make_executor(settings, 1)
        rule = proposer.rule
        clocked = SimpleNamespace(
            start=rule.start, admitted=rule.admitted, parent=rule.parent, child=mutation.around(rule.child)
        )
        search = Search(settings, replace(proposer, rule=clocked), executor, log)
        search._costs.costs = costs.around(search._costs.costs)  # type: ignore[method-assign]
        executor.score = score.around(executor.score)  # type: ignore[method-assign]
        log.append = history.around(log.append)  # type: ignore[method-assign]
        search._enter = entry.around(search._enter)  # type: ignore[method-assign]
        with without_collector():
            start = time.perf_counter()
            while not search.finished:
                search.advance()
            log.commit()
            seconds = time.perf_counter() - start
        executor.close()
        log.close()
    return clocks, seconds / iterations


def main() -> None:
    """Print a table for each space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=100_000, help="of each search")
    parser.add_argument("--spaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    options = parser.parse_args()
    inside, whole = seconds_of_a_clock()
    print("| space | step | calls | microseconds an iteration |\n|---|---|---|---|")
    for space in options.spaces:
        measure(space, 2_000)  # what is loaded or compiled once
        clocks, seconds = measure(space, options.iterations)
        total = seconds - sum(clock.calls for clock in clocks) * whole / options.iterations
        rest = total
        for clock in clocks:
            taken = (clock.seconds - clock.calls * inside) / options.iterations
            rest -= taken
            print(f"| {space} | {clock.name} | {clock.calls / options.iterations:.0%} | {1e6 * taken:.1f} |")
        print(f"| {space} | the loop itself | 100% | {1e6 * rest:.1f} |")
        print(f"| {space} | all: {1 / total:,.0f} iterations a second | | {1e6 * total:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
