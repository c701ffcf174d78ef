"""Islands in one process and in several, in turn: seconds on the clock and of processors, and whether they record the same.

    python -m benchmarks.islands
    python -m benchmarks.islands --workers 4 --islands 8 --spaces ghostshuffle

Processes that wait for each other take no processor time, and a machine that others use gives each of them less: the seconds on
the clock say how much faster several are, on a machine that has nothing else to do; those of processors say what it costs.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.searches import STARTS, settings_of
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import FITTING, SearchSettings


def processor_seconds() -> float:
    """Of this process and those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def run(settings: SearchSettings, workers: int) -> tuple[float, float, str]:
    """Seconds on the clock from the first turn's end to the last's, of processors from start to end, and a hash of the rows."""
    with tempfile.TemporaryDirectory() as folder:
        before = processor_seconds()
        with closing(Session(settings, Path(folder), RunOptions(workers=workers))) as session:
            search = session.search
            # Processes start, and machine code is loaded.
            while search.progress.next_iteration < settings.islands * settings.migration:
                search.advance()
            begun = time.perf_counter()
            with without_collector():
                while not search.finished:
                    search.advance()
            session.history.commit()
            seconds = time.perf_counter() - begun
            rows = hashlib.sha256()
            for row in session.history.rows():
                rows.update(repr(row._replace(seconds=0.0)).encode())
        return seconds, processor_seconds() - before, rows.hexdigest()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=480_000)
    parser.add_argument("--islands", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    options = parser.parse_args()
    print(f"{'space':<16}{'processes':>10}{'seconds':>10}{'of processors':>16}{'times':>8}")
    for space in options.spaces:
        settings = settings_of(space, "ZenClosedForm", options.iterations)
        settings = replace(settings, evolution=FITTING, islands=options.islands)
        found = [(run(settings, 1), run(settings, options.workers)) for _ in range(options.repeats)]
        one, many = ([repeat[which] for repeat in found] for which in (0, 1))
        if len({rows for _, _, rows in (*one, *many)}) > 1:
            raise SystemExit("They have not recorded the same")
        for workers, times in ((1, one), (options.workers, many)):
            seconds, used = (median(values) for values in list(zip(*times, strict=True))[:2])
            ratio = median(alone[0] / together[0] for alone, together in found) if workers > 1 else 1.0
            print(f"{space:<16}{workers:>10}{seconds:>10.1f}{used:>16.1f}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
