"""Islands of a search on the workers of a Dask cluster. Needs the packages of requirements-dask.txt."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import CancelledError
from itertools import count
from typing import Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from gsnet.evolution.extensions import NO_EXTENSIONS, Extensions
from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.island import Island
from gsnet.evolution.island_places import IslandsLost
from gsnet.evolution.settings import SearchError, SearchSettings

Key = tuple[str, int]
# Of a worker's process: the islands that it holds, by search and number.
_held: dict[Key, Island] = {}
# A worker may have several threads; islands are asked one at a time.
_turn = threading.Lock()


class DaskIslands:
    """Islands on the workers that there are when they are made, one after the other.

    Workers need GSNet on their Python path; a user's blocks and proxies come with the islands. Where a worker is lost, Dask
    asks another one, which does not have the island: then all are made again.
    """

    together = True

    def __init__(
        self,
        settings: SearchSettings,
        client: Client,
        functions: Functions = NO_FUNCTIONS,
        extensions: Extensions = NO_EXTENSIONS,
    ) -> None:
        self._made_of = settings, functions, extensions
        self._client = client
        self._search = uuid.uuid4().hex
        self._workers: list[str] = []
        self._asked: dict[int, Future] = {}
        self._tickets = count()

    def make(self, islands: Iterable[int]) -> None:
        self._let_go()
        self._asked.clear()
        self._workers = sorted(self._client.nthreads())
        if not self._workers:
            raise SearchError("The Dask scheduler has no workers: start some, islands live there")
        for ticket in [self._submit(island, make, self._made_of) for island in islands]:
            self.receive(ticket)

    def send(self, island: int, method: str, *arguments: object) -> int:
        return self._submit(island, ask, (method, arguments))

    def receive(self, ticket: int) -> Any:
        try:
            return self._asked.pop(ticket).result()
        except (KilledWorker, CancelledError) as error:
            raise IslandsLost from error

    def close(self) -> None:
        self._let_go()
        self._client.close()

    def _submit(self, island: int, function: Any, arguments: tuple) -> int:
        ticket, worker = next(self._tickets), self._workers[island % len(self._workers)]
        self._asked[ticket] = self._client.submit(
            function, (self._search, island), *arguments, workers=[worker], allow_other_workers=True, pure=False
        )
        return ticket

    def _let_go(self) -> None:
        if self._workers:
            self._client.cancel(list(self._asked.values()))
            self._client.run(let_go, self._search, on_error="ignore")


def make(key: Key, settings: SearchSettings, functions: Functions, extensions: Extensions) -> None:
    """Have an island in this process."""
    with _turn:
        extensions.install()
        _held[key] = Island(settings, functions)


def ask(key: Key, method: str, arguments: tuple) -> Any:
    """What an island of this process answers. Raises IslandsLost."""
    with _turn:
        if key not in _held:
            raise IslandsLost
        return getattr(_held[key], method)(*arguments)


def let_go(search: str) -> None:
    """Let a search's islands go."""
    with _turn:
        for key in [key for key in _held if key[0] == search]:
            del _held[key]
