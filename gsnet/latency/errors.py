"""The one error of this room, and what of others becomes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gsnet.interface.options import InputError
from gsnet.interface.words import first_line


class LatencyError(InputError):
    """A latency that cannot be had: a table that is missing or of another device, a layer that was not measured."""


@contextmanager
def telling(program: str, what: object) -> Iterator[None]:
    """What a library says that cannot write or run a network, as LatencyError."""
    try:
        yield
    except RuntimeError as error:
        raise LatencyError(f"{program} cannot run {what}: {first_line(error)}") from error
