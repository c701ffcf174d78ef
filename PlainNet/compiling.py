"""Functions on numbers, compiled to machine code by numba where that is installed."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

log = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)
# Loading machine code from disk takes half a second; what takes longer than this is compiling.
_SECONDS_TO_LOAD = 3.0


def compiled(function: Function, cache: bool = False, inline: bool = False) -> Function:
    """The function compiled to machine code when it is first called, kept on disk if `cache`; as it is without numba.

    inline: into the functions that call it.
    """
    try:
        from numba import njit
    except ImportError:
        return function
    if cache:
        try:
            return cast(Function, njit(function, cache=True, error_model="numpy", fastmath={"contract"}))
        except RuntimeError:
            # Neither beside the source nor in the user's cache directory may anything be written.
            log.info("machine code cannot be kept on this computer: every start compiles it anew")
    # "contract": a product and a sum may be rounded once instead of twice.
    if inline:
        return cast(Function, njit(function, error_model="numpy", fastmath={"contract"}, inline="always"))
    return cast(Function, njit(function, error_model="numpy", fastmath={"contract"}))


def inlined(function: Function) -> Function:
    """`compiled` into the functions that call it.

    That spares more than the call: a function that hands an array on to others counts references to it.
    """
    return compiled(function, inline=True)


def source_version(*sources: Path) -> int:
    """A number that changes with these files, never 0.

    numba renews machine code on disk when the file of the function itself changes, and when what it closes over does: a
    function that calls others closes over the version of their files.
    """
    return zlib.crc32(b"".join(source.read_bytes() for source in sources)) or 1


@contextmanager
def said_if_it_compiles(what: str) -> Iterator[None]:
    """Around the first call of compiled code: where that is compiled and not loaded, the log says of what, once."""
    notice = threading.Timer(_SECONDS_TO_LOAD, log.info, (f"compiling {what} for this computer, once",))
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()
