"""Where candidates are scored: in this process, or in a pool of worker processes that may die."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple, Protocol

from Evolution.scorer import Scored, Scorer, score_text
from Evolution.settings import SearchSettings
from PlainNet import Network

DEATHS_UNTIL_FAILURE = 3


class Job(NamedTuple):
    """A candidate to score, with the seed of its random numbers."""

    network: Network
    seed: int


class CandidateExecutor(Protocol):
    """Scores candidates and gives the results in the order of the jobs, however many workers there are."""

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        """The results of all jobs."""
        ...

    def close(self) -> None:
        """Release workers."""
        ...


class InProcess:
    """Scores in this process, one candidate after the other."""

    def __init__(self, settings: SearchSettings) -> None:
        self._scorer = Scorer(settings)

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        return [self._scorer(network, seed) for network, seed in jobs]

    def close(self) -> None:
        return None


class WorkerPool:
    """Scores in spawned processes of one thread each. A worker that dies is replaced and its candidates tried again.

    Candidates that were under way when a worker died are tried one at a time; one that kills its worker three times is
    a failure.
    """

    def __init__(self, settings: SearchSettings, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._pool = self._start()

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        results: dict[int, Scored] = {}
        waiting = list(range(len(jobs)))
        while waiting:
            suspects = self._score_together(jobs, waiting, results)
            for index in suspects:
                results[index] = self._score_alone(jobs[index])
            waiting = [index for index in waiting if index not in results]
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> Executor:
        return ProcessPoolExecutor(
            self._workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )

    def _submit(self, job: Job) -> Future[Scored]:
        return self._pool.submit(score_text, self._settings, str(job.network), job.seed)

    def _score_together(self, jobs: Sequence[Job], waiting: list[int], results: dict[int, Scored]) -> list[int]:
        """Score with all workers; returns the candidates that may have killed one."""
        queue = list(reversed(waiting))
        running: dict[Future[Scored], int] = {}
        try:
            while queue or running:
                while queue and len(running) < 2 * self._workers:
                    index = queue.pop()
                    running[self._submit(jobs[index])] = index
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    results[running[future]] = future.result()
                    del running[future]
        except BrokenProcessPool:
            self._pool = self._start()
            return [index for future, index in running.items() if not _keep(future, index, results)]
        return []

    def _score_alone(self, job: Job) -> Scored:
        for _ in range(DEATHS_UNTIL_FAILURE):
            try:
                return self._submit(job).result()
            except BrokenProcessPool:
                self._pool = self._start()
        return Scored(None, f"its worker process died {DEATHS_UNTIL_FAILURE} times", None, 0.0)


def _keep(future: Future[Scored], index: int, results: dict[int, Scored]) -> bool:
    """Take the result of a candidate that was finished before the pool broke."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return False
    results[index] = future.result()
    return True


def _start_worker() -> None:
    # The driver decides when to stop; an interrupt from the keyboard reaches every process of the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_executor(settings: SearchSettings, workers: int) -> CandidateExecutor:
    """An executor for a number of worker processes; one worker is this process."""
    return InProcess(settings) if workers == 1 else WorkerPool(settings, workers)
