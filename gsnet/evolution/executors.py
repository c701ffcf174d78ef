"""Where candidates are scored: in this process, or in a pool of worker processes that may die."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from gsnet.evolution.extensions import NO_EXTENSIONS, Extensions
from gsnet.evolution.jobs import (
    DEATHS_UNTIL_FAILURE,
    CandidateExecutor,
    ChunkSize,
    Job,
    TlsFiles,
    in_chunks,
    worker_died,
)
from gsnet.evolution.scorer import Scored, Scorer, score_texts
from gsnet.evolution.settings import TOLD, SearchError, SearchSettings
from ZeroShotProxy import Proxy

log = logging.getLogger(__name__)


class InProcess:
    """Scores in this process, one candidate after the other."""

    def __init__(self, settings: SearchSettings, given: tuple[Proxy, ...] = ()) -> None:
        self._scorer = Scorer(settings, given)

    @property
    def needs_torch(self) -> bool:
        """Whether modules are built."""
        return self._scorer.needs_torch

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        return self._scorer.all(jobs)

    def close(self) -> None:
        return None


class WorkerPool:
    """Scores in spawned processes of one thread each. A worker that dies is replaced and its candidates tried again.

    Candidates that were under way when a worker died are tried one at a time; one that kills its worker three times is
    a failure.
    """

    def __init__(self, settings: SearchSettings, workers: int, extensions: Extensions = NO_EXTENSIONS) -> None:
        extensions.check_other_processes()
        self._settings = settings
        self._workers = workers
        self._extensions = extensions
        self._chunk_size = ChunkSize()
        self._pool = self._start()

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        results: dict[int, Scored] = {}
        while waiting := [index for index in range(len(jobs)) if index not in results]:
            for suspect in self._score_together(jobs, waiting, results):
                results[suspect] = self._score_alone(jobs[suspect])
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> Executor:
        """A pool whose workers all run. Raises SearchError where they die as they start.

        A pool adds workers as it needs them, and one that is added in the moment in which another dies is forgotten: nobody
        ends it, and Python waits for it at its own end, for ever. A pool that is complete adds none.
        """
        context = multiprocessing.get_context("spawn")
        for _ in range(DEATHS_UNTIL_FAILURE):
            pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_start_worker)
            try:
                # All are handed out before the first worker has imported what it needs, so that each starts a worker.
                for ready in [pool.submit(os.getpid) for _ in range(self._workers)]:
                    ready.result()
            except BrokenProcessPool:
                continue
            return pool
        raise SearchError(f"The {self._workers} scoring processes die as they start: give fewer --workers")

    def _submit(self, jobs: Sequence[Job]) -> Future[list[Scored]]:
        candidates = [(str(job.network), job.seed) for job in jobs]
        return self._pool.submit(score_texts, self._settings, self._extensions, candidates)

    def _score_together(self, jobs: Sequence[Job], waiting: list[int], results: dict[int, Scored]) -> list[int]:
        """Score with all workers; returns the candidates that may have killed one."""
        chunks = in_chunks(waiting, self._chunk_size.of(len(waiting), self._workers))
        running: dict[Future[list[Scored]], list[int]] = {}
        try:
            while chunks or running:
                while chunks and len(running) < 2 * self._workers:
                    chunk = chunks.pop()
                    running[self._submit([jobs[index] for index in chunk])] = chunk
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    scored = future.result()
                    results.update(zip(running.pop(future), scored, strict=True))
                    self._chunk_size.learn(scored)
        except BrokenProcessPool:
            self._pool = self._start()
            return [index for future, chunk in running.items() if not _succeeded(future) for index in chunk]
        return []

    def _score_alone(self, job: Job) -> Scored:
        for _ in range(DEATHS_UNTIL_FAILURE):
            try:
                return self._submit([job]).result()[0]
            except BrokenProcessPool:
                self._pool = self._start()
        return worker_died()


def _succeeded(future: Future[list[Scored]]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _start_worker() -> None:
    # The driver decides when to stop; an interrupt from the keyboard reaches every process of the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    """Wait for the end of the process that started this one: where it is killed, nobody else ends this."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def processes_for(settings: SearchSettings, workers: int, given: tuple[Proxy, ...] = ()) -> int:
    """How many processes of this machine score: one where they would share a GPU, which gives the same result sooner.

    One process launches as fast as it can, and launches of several take turns on the device (docs/gpu.md). given: proxies of
    this search alone.
    """
    shared = workers > 1 and settings.device != "cpu" and settings.zero_shot_score != TOLD
    if not (shared and Scorer(settings, given).needs_torch):
        return workers
    log.warning(
        "one process scores in place of %d: on %s, which they would share, several are slower than one",
        *(workers, settings.device),
    )
    return 1


def make_executor(
    settings: SearchSettings,
    workers: int,
    scheduler: str | None = None,
    tls: TlsFiles | None = None,
    given: tuple[Proxy, ...] = (),
) -> CandidateExecutor:
    """The executor that the options ask for: a Dask cluster, worker processes, or this process.

    given: proxies of this search alone. Raises SearchError.
    """
    if scheduler is not None:
        from gsnet.evolution.dask_executor import DaskCluster

        return DaskCluster(settings, scheduler, tls, Extensions.here(given))
    if workers == 1:
        return InProcess(settings, given)
    return WorkerPool(settings, workers, Extensions.here(given))
