"""What every executor works with: candidates as jobs, in chunks, and what becomes of one that no worker survives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gsnet.evolution.scorer import Scored
from PlainNet import Network

DEATHS_UNTIL_FAILURE = 3


# The options that name them.
TLS_OPTIONS = ("tls_ca_file", "tls_cert", "tls_key")


class TlsFiles(NamedTuple):
    """Paths of the certificate authority, certificate and key with which a scheduler is trusted."""

    ca_file: str
    certificate: str
    key: str


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


class ChunkSize:
    """How many candidates travel together: about a third of a second of work, and enough chunks for all workers."""

    seconds = 0.3
    largest = 4_096

    def __init__(self) -> None:
        self._seconds_each = 0.0

    def of(self, jobs: int, workers: int) -> int:
        """The size for that many jobs; single candidates until their cost is known."""
        if not self._seconds_each:
            return 1
        by_cost = int(self.seconds / self._seconds_each)
        return max(1, min(by_cost, self.largest, math.ceil(jobs / (2 * workers))))

    def learn(self, results: Sequence[Scored]) -> None:
        """Take the measured cost of a chunk into account."""
        measured = sum(result.seconds for result in results) / len(results)
        self._seconds_each = 0.8 * self._seconds_each + 0.2 * measured if self._seconds_each else measured


def in_chunks(indices: Sequence[int], size: int) -> list[list[int]]:
    """The indices in chunks, the first ones last, so that `pop` gives them in order."""
    chunks = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    return chunks[::-1]


def worker_died() -> Scored:
    """The result of a candidate that no worker survives."""
    return Scored(None, f"its worker process died {DEATHS_UNTIL_FAILURE} times", None, 0.0)
