"""What a candidate costs beside its own scoring where it is scored in another process: by a pool, and by a Dask cluster.

    python -m benchmarks.executor_overhead [--candidates 400]

Two workers on this machine, and a proxy that takes no time (`Params`), so that nearly all of what is measured is the way there
and back: strings out, figures in. Milliseconds of wall-clock a candidate, and of processor time in the driver, for messages of
one candidate and of twenty. Dask's rows need `requirements-dask.txt`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from gsnet.interface.running import run
from benchmarks.searches import settings_of
from gsnet.evolution.dask_executor import DaskCluster
from gsnet.evolution.executors import WorkerPool
from gsnet.evolution.jobs import Job
from gsnet.evolution.proposals import make_proposer
from SearchSpace.random_numbers import CandidateRandom

WORKERS = 2
SETTINGS = settings_of("XXBL", "Params", 1_000)


def jobs_of(count: int) -> list[Job]:
    """Neighbours of the start of a search."""
    proposer, generator = make_proposer(SETTINGS), CandidateRandom(0)
    jobs = []
    for iteration in range(count):
        seed = generator.at(iteration)
        jobs.append(Job(proposer.first(0, generator, proposer.rule), seed))
    return jobs


@contextmanager
def dask() -> Iterator[DaskCluster]:
    """A scheduler and its workers, one thread each, on loopback."""
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        closing(DaskCluster(SETTINGS, cluster.scheduler_address, None)) as executor,
    ):
        yield executor


def measure(executor: WorkerPool | DaskCluster, jobs: list[Job], together: int) -> tuple[float, float]:
    """Seconds of wall-clock, and of the driver's processor, a candidate."""
    executor._chunk_size.largest = together
    executor.score(jobs[:40])  # imports, connections, and the size of a chunk
    start, driver = time.perf_counter(), time.process_time()
    executor.score(jobs)
    return (time.perf_counter() - start) / len(jobs), (time.process_time() - driver) / len(jobs)


def main() -> None:
    """Print a row for each executor and size of message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=400)
    jobs = jobs_of(parser.parse_args().candidates)
    print("| executor | candidates a message | ms a candidate | of the driver's processor |\n|---|---|---|---|")
    for name, started in (("worker processes", lambda: closing(WorkerPool(SETTINGS, WORKERS))), ("Dask", dask)):
        for together in (1, 20):
            with started() as executor:
                wall, driver = measure(executor, jobs, together)
            print(f"| {name} | {together} | {1e3 * wall:.2f} | {1e3 * driver:.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
