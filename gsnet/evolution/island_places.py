"""Where the islands of a search live: in this process, or in processes of their own."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
from collections.abc import Iterable
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, Protocol

from gsnet.evolution.extensions import NO_EXTENSIONS, Extensions
from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.island import Island
from gsnet.evolution.scorer import travelling
from gsnet.evolution.settings import SearchSettings


class IslandsLost(Exception):  # noqa: N818 - a state of affairs, not a programming error
    """Some islands are not there any more: all have to be made and told what happened again."""


class Places(Protocol):
    """Calls methods of islands, wherever they are. `send` asks for a call and gives a ticket, for which `receive` waits.

    together: whether several islands run at the same time. All methods may raise IslandsLost.
    """

    together: bool

    def make(self, islands: Iterable[int]) -> None:
        """Make islands that have not done anything yet, in place of those that are there."""
        ...

    def send(self, island: int, method: str, *arguments: object) -> int:
        """Ask an island for something."""
        ...

    def receive(self, ticket: int) -> Any:
        """The answer. Raises what the method raised."""
        ...

    def close(self) -> None:
        """Let the islands go."""
        ...


class Here:
    """All islands in this process, which do what they are asked for when somebody waits for it."""

    together = False

    def __init__(self, settings: SearchSettings, functions: Functions = NO_FUNCTIONS) -> None:
        self._settings, self._functions = settings, functions
        self._islands: dict[int, Island] = {}
        self._asked: dict[int, tuple[int, str, tuple]] = {}
        self._tickets = count()

    def make(self, islands: Iterable[int]) -> None:
        self._asked.clear()
        for island in islands:
            self._islands[island] = Island(self._settings, self._functions)

    def send(self, island: int, method: str, *arguments: object) -> int:
        ticket = next(self._tickets)
        self._asked[ticket] = island, method, arguments
        return ticket

    def receive(self, ticket: int) -> Any:
        island, method, arguments = self._asked.pop(ticket)
        return getattr(self._islands[island], method)(*arguments)

    def close(self) -> None:
        return None


class Processes:
    """Islands in spawned processes: the first in the first process, and so on, and around again."""

    together = True

    def __init__(
        self,
        settings: SearchSettings,
        workers: int,
        functions: Functions = NO_FUNCTIONS,
        extensions: Extensions = NO_EXTENSIONS,
    ) -> None:
        extensions.check_other_processes()
        self._made_of = settings, functions, extensions
        self._workers = workers
        self._processes: list[_Process] = []
        self._tickets = count()
        # The process that a ticket's answer comes from.
        self._asked: dict[int, _Process] = {}

    def make(self, islands: Iterable[int]) -> None:
        self.close()
        self._asked.clear()
        self._processes = [_Process(*self._made_of) for _ in range(self._workers)]
        for island in islands:
            self._processes[island % self._workers].send(-1, island, "")

    def send(self, island: int, method: str, *arguments: object) -> int:
        ticket, process = next(self._tickets), self._processes[island % self._workers]
        process.send(ticket, island, method, *arguments)
        self._asked[ticket] = process
        return ticket

    def receive(self, ticket: int) -> Any:
        return self._asked.pop(ticket).receive(ticket)

    def close(self) -> None:
        for process in self._processes:
            process.end()
        self._processes = []


class _Process:
    """A process with islands in it. Raises IslandsLost where it is dead."""

    def __init__(self, settings: SearchSettings, functions: Functions, extensions: Extensions) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, settings, functions, extensions), daemon=True)
        self._process.start()
        other.close()
        self._answers: dict[int, tuple[bool, Any]] = {}

    def send(self, ticket: int, island: int, method: str, *arguments: object) -> None:
        try:
            self._connection.send((ticket, island, method, arguments))
        except OSError as error:
            raise IslandsLost from error

    def receive(self, ticket: int) -> Any:
        while ticket not in self._answers:
            try:
                of, succeeded, result = self._connection.recv()
            except (OSError, EOFError) as error:
                raise IslandsLost from error
            self._answers[of] = succeeded, result
        succeeded, result = self._answers.pop(ticket)
        if not succeeded:
            raise result
        return result

    def end(self) -> None:
        """End it. What it is doing is of no use to anybody, and it holds no file."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def serve(connection: Connection, settings: SearchSettings, functions: Functions, extensions: Extensions) -> None:
    """Do what is asked of the islands in this process, to the end of the connection."""
    # The driver decides when to stop; an interrupt from the keyboard reaches every process of the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    extensions.install()
    islands: dict[int, Island] = {}
    while True:
        try:
            ticket, island, method, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if not method:
                islands[island] = Island(settings, functions)
                if not islands[island].needs_torch:
                    # Values make no cycles, and looking for them takes a third of the time.
                    gc.disable()
                continue
            answer = ticket, True, getattr(islands[island], method)(*arguments)
        except Exception as error:
            answer = ticket, False, travelling(error)
        try:
            connection.send(answer)
        except (TypeError, AttributeError, pickle.PicklingError):
            connection.send((ticket, False, RuntimeError(f"{answer[2]!r} cannot be told to another process")))
        except OSError:
            # Nobody waits for it any more.
            return
