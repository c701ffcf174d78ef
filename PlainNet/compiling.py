"""Functions on numbers, compiled to machine code by numba where that is installed."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

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
    # "contract": a product and a sum may be rounded once instead of twice.
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
    if cache:
        try:
            return cast(Function, njit(function, cache=True, **options))
        except RuntimeError:
            # Neither beside the source nor in the user's cache directory may anything be written.
            log.info("machine code cannot be kept on this computer: every start compiles it anew")
    if inline:
        options["inline"] = "always"
    return cast(Function, njit(function, **options))


def inlined(function: Function) -> Function:
    """`compiled` into the functions that call it.

    That spares more than the call: a function that hands an array on to others counts references to it.
    """
    return compiled(function, inline=True)


def uncounted_view() -> Any:
    """What makes, in compiled code, a view of an array, or of a tuple's arrays, to which references are not counted.

    A function that hands arrays on counts references to them, by instructions that wait for other processors. Whoever calls the
    compiled code holds the arrays anyway.
    """
    try:
        from numba import types
        from numba.core import cgutils
        from numba.extending import intrinsic
    except ImportError:
        return lambda arrays: arrays

    def uncounted(context, builder, kind, value):  # type: ignore[no-untyped-def]
        if isinstance(kind, types.BaseTuple):
            for place, part in enumerate(kind.types):
                own = uncounted(context, builder, part, builder.extract_value(value, place))
                value = builder.insert_value(value, own, place)
            return value
        if not isinstance(kind, types.Array):
            return value
        made = context.make_array(kind)(context, builder, value)
        made.meminfo = cgutils.get_null_value(made.meminfo.type)
        return made._getvalue()

    @intrinsic
    def view(typing_context, arrays):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return uncounted(context, builder, signature.args[0], arguments[0])

        return arrays(arrays), generate

    return view


def source_version(*sources: Path) -> int:
    """A number that changes with these files and this one, never 0.

    numba renews machine code on disk when the file of the function itself changes, and when what it closes over does: a
    function that calls others closes over the version of their files.
    """
    return zlib.crc32(b"".join(source.read_bytes() for source in (Path(__file__), *sources))) or 1


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


def machine_code_of(function: Callable) -> object:
    """The machine code of a compiled function that was called before, as an argument of another compiled function.

    That one then calls it where it is. What it names itself would be compiled into it, and once more.
    """
    from numba import types

    class MachineCode(types.WrapperAddressProtocol):
        def __init__(self) -> None:
            self._result = next(iter(function.overloads.values()))  # type: ignore[attr-defined]

        def __wrapper_address__(self) -> int:
            return self._result.library.get_pointer_to_function(self._result.fndesc.llvm_cfunc_wrapper_name)

        def signature(self) -> Any:
            return self._result.signature

    return MachineCode()


def compiles() -> bool:
    """Whether `compiled` compiles here."""
    return importlib.util.find_spec("numba") is not None and not os.environ.get("NUMBA_DISABLE_JIT", "0").strip("0")
