"""Who has a training run: a command line, or a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gsnet.interface.logs import log_to


@dataclass(frozen=True)
class Caller:
    """command: what config.json records. logged: while it lasts, messages go to a file, if one is given.

    Its second argument: whether people are to see warnings alone.
    """

    command: tuple[str, ...]
    logged: Callable[[Path | None, bool], AbstractContextManager[None]]


def command_line() -> Caller:
    """This process's, whose messages are all for standard error."""
    return Caller(tuple(sys.argv), _from_now_on)


@contextmanager
def _from_now_on(file: Path | None, quiet: bool) -> Iterator[None]:
    log_to(file, quiet=quiet)
    yield
