"""Processor time, memory and disk of one long search: its loop, its results, and taking it up again.

python -m benchmarks.long_search
python -m benchmarks.long_search --iterations 1000000 --space ghostshuffle
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gsnet.interface.running import run
from benchmarks.searches import STARTS, settings_of
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import FITTING, SearchSettings

Result = TypeVar("Result")


def timed(what: str, function: Callable[[], Result]) -> Result:
    """Call a function, and print its processor time and the largest memory of this process so far."""
    begun = time.process_time()
    result = function()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<32}{time.process_time() - begun:>10.1f} s{memory:>10,.0f} MB", flush=True)
    return result


def measure(settings: SearchSettings, folder: Path) -> None:
    """Search, write the results, and take the search up again."""

    def loop() -> None:
        with without_collector():
            while not session.search.finished:
                session.search.advance()
            session.history.commit()

    with closing(Session(settings, folder)) as session:
        timed("the loop", loop)
        timed("results", session.finish)
    resumed = timed("taking it up again", lambda: Session(settings, folder, RunOptions(resume=True)))
    resumed.close()
    for file in sorted(folder.iterdir()):
        print(f"{file.name:<32}{file.stat().st_size / 1e6:>10,.1f} MB")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10_000_000)
    parser.add_argument("--space", default="XXBL", choices=list(STARTS))
    options = parser.parse_args()
    settings = replace(settings_of(options.space, "ZenClosedForm", options.iterations), evolution=FITTING)
    with tempfile.TemporaryDirectory() as folder:
        measure(settings, Path(folder))


if __name__ == "__main__":
    sys.exit(run(main))
