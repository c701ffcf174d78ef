"""Functions on numbers, compiled to machine code by numba where that is installed."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

log = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)


def compiled(function: Function, cache: bool = False) -> Function:
    """The function compiled to machine code when it is first called, kept on disk if `cache`; as it is without numba."""
    try:
        from numba import njit
    except ImportError:
        return function
    if cache:
        try:
            return cast(Function, njit(function, cache=True, error_model="numpy"))
        except RuntimeError:
            # Neither beside the source nor in the user's cache directory may anything be written.
            log.info("machine code cannot be kept on this computer: every start compiles it anew")
    return cast(Function, njit(function, error_model="numpy"))


def source_version(*sources: Path) -> int:
    """A number that changes with these files, never 0.

    numba renews machine code on disk when the file of the function itself changes, and when what it closes over does: a
    function that calls others closes over the version of their files.
    """
    return zlib.crc32(b"".join(source.read_bytes() for source in sources)) or 1
