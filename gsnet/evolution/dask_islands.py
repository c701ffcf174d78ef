"""Islands of a search on the workers of a Dask cluster. Needs the packages of requirements-dask.txt."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import count
from typing import Any

from distributed import Client, Future
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from gsnet.evolution.dask_executor import LOSSES, RUNNING, scheduler_needed
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
# What tells this process from all others.
_process = uuid.uuid4().hex
_GONE = KilledWorker, CancelledError, CommClosedError, IslandsLost


class DaskIslands:
    """Islands on the workers that there are when they are made, one after the other.

    Workers need GSNet on their Python path; a user's blocks and proxies come with the islands. Where a worker is lost, Dask
    asks another one, which does not have the island: then all are made again. They go with the search, also where it is killed.
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
        self._search = ""
        # Of each worker the process, by its address.
        self._workers: list[tuple[str, str]] = []
        self._stays: list[Future] = []
        self._asked: dict[int, Future] = {}
        self._tickets = count()

    def make(self, islands: Iterable[int]) -> None:
        """As of all places. Raises SearchError without workers, SearchFailed without a scheduler."""
        with scheduler_needed(self._client):
            self._let_go()
            self._asked.clear()
            self._workers = sorted(self._client.run(process_of_worker, on_error="ignore").items())
        if not self._workers:
            raise SearchError("The Dask scheduler has no workers: start some, islands live there")
        # A name of their own, as what is left of former ones may go later.
        self._search = uuid.uuid4().hex
        with self._islands_needed():
            self._stays = [self._submit(island, make, self._place(island)[1], *self._made_of) for island in islands]
            for stay in self._stays:
                # Not its result, which would leave the worker.
                if error := stay.exception():
                    raise error

    def send(self, island: int, method: str, *arguments: object) -> int:
        ticket = next(self._tickets)
        with self._islands_needed():
            self._asked[ticket] = self._submit(island, ask, method, arguments)
        return ticket

    def receive(self, ticket: int) -> Any:
        with self._islands_needed():
            return self._asked.pop(ticket).result()

    def close(self) -> None:
        # Of a scheduler that is gone nothing is asked.
        if self._client.status == RUNNING:
            with contextlib.suppress(*LOSSES):
                self._let_go()
        self._client.close()

    @contextlib.contextmanager
    def _islands_needed(self) -> Iterator[None]:
        """Within it the loss of a worker, or of the scheduler, is that of the islands. Raises IslandsLost."""
        try:
            yield
        except Exception as error:
            if isinstance(error, _GONE) or self._client.status != RUNNING:
                raise IslandsLost from error
            raise

    def _place(self, island: int) -> tuple[str, str]:
        """Address and process of the worker that an island lives on."""
        return self._workers[island % len(self._workers)]

    def _submit(self, island: int, function: Any, *arguments: object) -> Future:
        key, worker = (self._search, island), self._place(island)[0]
        return self._client.submit(function, key, *arguments, workers=[worker], allow_other_workers=True, pure=False)

    def _let_go(self) -> None:
        self._stays = []
        if self._workers:
            self._client.cancel(list(self._asked.values()))
            self._client.run(let_go, self._search, on_error="ignore")


class Stay:
    """What Dask keeps of an island on its worker, as long as the search wants it and is there: the island goes with it.

    One that is written down, as Dask does with all that it keeps where memory is short, lets go of nothing.
    """

    def __init__(self, key: Key | None) -> None:
        self._key = key

    def __reduce__(self) -> tuple:
        self._key = None
        return Stay, (None,)

    def __del__(self) -> None:
        # Without the lock, which may be held for a whole turn: Dask's own thread comes here.
        if self._key:
            _held.pop(self._key, None)


def process_of_worker() -> str:
    """What tells the process that this runs in from all others."""
    return _process


def make(key: Key, process: str, settings: SearchSettings, functions: Functions, extensions: Extensions) -> Stay:
    """Have an island in this process. Raises IslandsLost in another one than is meant.

    Dask makes again elsewhere what was lost with a worker: an island that has not been told what it was told there.
    """
    with _turn:
        if process != _process:
            raise IslandsLost
        extensions.install()
        _held[key] = Island(settings, functions)
    return Stay(key)


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
            _held.pop(key, None)
