"""Whether an iteration of a long search costs what one of a short search costs, and what memory it takes.

    python -m benchmarks.search_length [--iterations 2000000] [--spaces ghostshuffle]

One search a space with the closed form and all four budgets, history included, on one core.
Prints iterations a second from the first iteration up to each mark, and the process's largest memory, torch included.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from gsnet.interface.running import run
from benchmarks.searches import STARTS, settings_of
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import Session

MARKS = (10_000, 100_000, 480_000, 1_000_000, 2_000_000)


def speeds(space: str, iterations: int) -> dict[int, float]:
    """Iterations a second from the first to each mark."""
    settings = settings_of(space, "ZenClosedForm", iterations)
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, without_collector():
        session = Session(settings, Path(folder))
        search, marks = session.search, list(MARKS)
        start = time.perf_counter()
        while not search.finished:
            search.advance()
            # Not exactly: compiled code does a thousand iterations at a time.
            if marks and (done := search.progress.next_iteration) >= marks[0]:
                session.history.commit()
                found[marks.pop(0)] = done / (time.perf_counter() - start)
        session.close()
    return found


def main() -> None:
    """Print a line for each space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=480_000, help="of each search")
    parser.add_argument("--spaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    options = parser.parse_args()
    for space in options.spaces:
        marks = ", ".join(f"{done:,}: {speed:,.0f}" for done, speed in speeds(space, options.iterations).items())
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{space}: iterations a second up to {marks}; {megabytes:,} MB so far", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
