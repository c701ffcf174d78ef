"""Scoring on a Dask cluster: many machines, workers that come, go and die. Needs the packages of requirements-dask.txt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker
from distributed.security import Security

from gsnet.evolution.extensions import NO_EXTENSIONS, Extensions
from gsnet.evolution.jobs import ChunkSize, Job, TlsFiles, in_chunks, worker_died
from gsnet.evolution.judging import SearchFailed
from gsnet.evolution.scorer import Scored, score_texts
from gsnet.evolution.settings import SearchError, SearchSettings

_SECONDS_TO_CONNECT = 10
_CHUNKS_PER_WORKER = 2
# What comes of a scheduler that is lost; of a client that has given it up anything may come.
LOSSES = CancelledError, OSError
RUNNING = "running"


class DaskCluster:
    """Scores on the workers of a running Dask scheduler.

    Candidates travel in chunks of a fraction of a second of work, at most two chunks a worker thread at a time. A chunk
    whose worker dies is tried elsewhere; when the scheduler gives it up, its candidates are tried one by one, and one that is
    given up again is a failure. Workers need GSNet on their Python path; a user's blocks and proxies come with the candidates.
    """

    def __init__(
        self,
        settings: SearchSettings,
        scheduler: str,
        tls: TlsFiles | None = None,
        extensions: Extensions = NO_EXTENSIONS,
    ) -> None:
        self._settings = settings
        self._extensions = extensions
        self._chunk_size = ChunkSize()
        self._client = connected(scheduler, tls)

    def score(self, jobs: Sequence[Job]) -> list[Scored]:
        """The results of all jobs. Raises SearchFailed where the scheduler is lost."""
        results: dict[int, Scored] = {}
        with scheduler_needed(self._client):
            threads = max(1, sum(self._client.nthreads().values()))
        chunks = in_chunks(range(len(jobs)), self._chunk_size.of(len(jobs), threads))
        under_way: dict[Future, list[int]] = {}
        completed = as_completed()

        def submit_next() -> None:
            if chunks:
                chunk = chunks.pop()
                future = self._submit([jobs[index] for index in chunk])
                under_way[future] = chunk
                completed.add(future)

        for _ in range(_CHUNKS_PER_WORKER * threads):
            submit_next()
        for future in completed:
            chunk = under_way.pop(future)
            error = future.exception()
            if error is None:
                with scheduler_needed(self._client):
                    scored = future.result()
                results.update(zip(chunk, scored, strict=True))
                self._chunk_size.learn(scored)
            elif isinstance(error, CancelledError):
                raise _lost(error) from error
            elif not isinstance(error, KilledWorker):
                raise error
            elif len(chunk) == 1:
                results[chunk[0]] = worker_died()
            else:
                chunks += in_chunks(chunk, 1)
            submit_next()
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        self._client.close()

    def _submit(self, jobs: Sequence[Job]) -> Future:
        candidates = [(str(job.network), job.seed) for job in jobs]
        with scheduler_needed(self._client):
            return self._client.submit(score_texts, self._settings, self._extensions, candidates, pure=False)


@contextmanager
def scheduler_needed(client: Client) -> Iterator[None]:
    """Within it the loss of the scheduler ends the search in a sentence. Raises SearchFailed."""
    try:
        yield
    except Exception as error:
        if isinstance(error, LOSSES) or client.status != RUNNING:
            raise _lost(error) from error
        raise


def _lost(error: Exception) -> SearchFailed:
    kind = type(error).__name__
    return SearchFailed(
        f"The Dask scheduler does not answer any more ({kind}): what is recorded is safe, --resume goes on"
    )


def connected(scheduler: str, tls: TlsFiles | None) -> Client:
    """A client of a scheduler. Raises SearchError."""
    try:
        return Client(scheduler, security=_security(tls), timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise SearchError(f"No Dask scheduler answers at {scheduler}: {error}") from error


def _security(tls: TlsFiles | None) -> Security | None:
    if tls is None:
        return None
    return Security(
        tls_ca_file=tls.ca_file, tls_client_cert=tls.certificate, tls_client_key=tls.key, require_encryption=True
    )
