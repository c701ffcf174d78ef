"""Islands in one process and in several, in turn: what they cost, and whether they record the same. On Linux.

    python -m benchmarks.islands
    python -m benchmarks.islands --workers 4 --islands 8 --spaces ghostshuffle

Seconds on the clock say how much faster several processes are on a machine that has nothing else to do. Where others use it
too, processor time says it: of this process, which writes the rows meanwhile, and of the busiest worker. On as many free cores
as there are workers the loop takes as long as that worker, or its share of all work where that is more.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from gsnet.interface.running import run as run_command
from benchmarks.searches import STARTS, settings_of
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import FITTING, SearchSettings


class Cost(NamedTuple):
    """Of the loop: seconds on the clock, of this process, of each other one; a hash of the rows."""

    clock: float
    own: float
    others: list[float]
    rows: str

    def on_free_cores(self, cores: int) -> float:
        """Seconds that it takes where so many cores have nothing else to do."""
        return max((self.own + sum(self.others)) / cores, *self.others, 0.0)


def of_others() -> dict[int, float]:
    """Processor seconds of the processes that this one has started."""
    tick = os.sysconf("SC_CLK_TCK")
    processes = [process.pid for process in multiprocessing.active_children() if process.pid]
    fields = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in processes}
    return {pid: (int(of_process[11]) + int(of_process[12])) / tick for pid, of_process in fields.items()}


def run(settings: SearchSettings, workers: int) -> Cost:
    """A search, from the end of the first turns on: processes have started then, and machine code is loaded."""
    options = RunOptions(workers=workers)
    with tempfile.TemporaryDirectory() as folder, closing(Session(settings, Path(folder), options)) as session:
        search = session.search
        while search.progress.next_iteration < settings.islands * settings.migration:
            search.advance()
        clock, own, others = time.perf_counter(), time.process_time(), of_others()
        with without_collector():
            while not search.finished:
                search.advance()
        session.history.commit()
        clock, own = time.perf_counter() - clock, time.process_time() - own
        spent = [seconds - others[pid] for pid, seconds in of_others().items()]
        rows = hashlib.sha256()
        for row in session.history.rows():
            rows.update(repr(row._replace(seconds=0.0)).encode())
        return Cost(clock, own, spent, rows.hexdigest())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=480_000)
    parser.add_argument("--islands", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    options = parser.parse_args()
    heads = ("clock", "own time", "busiest", "free cores", "times")
    print(f"{'space':<16}{'processes':>10}" + "".join(f"{head:>12}" for head in heads))
    for space in options.spaces:
        settings = settings_of(space, "ZenClosedForm", options.iterations)
        settings = replace(settings, evolution=FITTING, islands=options.islands)
        found = [(run(settings, 1), run(settings, options.workers)) for _ in range(options.repeats)]
        if len({cost.rows for pair in found for cost in pair}) > 1:
            raise SystemExit("They have not recorded the same")
        for place, workers in enumerate((1, options.workers)):
            costs = [pair[place] for pair in found]
            free = [cost.on_free_cores(workers) for cost in costs]
            times = [pair[0].own / seconds for pair, seconds in zip(found, free, strict=True)]
            columns = (
                [c.clock for c in costs],
                [c.own for c in costs],
                [max([0.0, *c.others]) for c in costs],
                free,
                times,
            )
            print(f"{space:<16}{workers:>10}" + "".join(f"{median(column):>12.2f}" for column in columns), flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
