"""Functions on numbers, compiled to machine code by numba where that is installed."""

from __future__ import annotations

import importlib.util
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

log = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)
# Functions, and arguments of the types that they are called with.
Examples = Sequence[tuple[Callable, Sequence[Any]]]
# As in `PlainNet.machine_code`.
_COMPILES = "GSNET_COMPILES"
# "contract": a product and a sum may be rounded once instead of twice.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
# References to arrays are not counted, call by call: whoever calls from Python holds them, and no array is made.
_UNCOUNTED: dict[str, Any] = {"_nrt": False}


def compiled(function: Function) -> Function:
    """The function compiled to machine code for the compiled functions that call it; as it is without numba.

    It makes no arrays, but for views of those that it is called with: room to work in is an argument.
    """
    return _inside(function)


def rounded_each(function: Function) -> Function:
    """`compiled`, and each product and sum is rounded, as numpy does."""
    return _inside(function, fastmath=False)


def unfolded(function: Function) -> Function:
    """`compiled` once, and put by LLVM into each function that calls it."""
    return _inside(function, forceinline=True)


def inlined(function: Function) -> Function:
    """`compiled` into the functions that call it."""
    return _inside(function, inline="always")


def kept_on_disk(function: Function) -> Function:
    """The function compiled to machine code that is kept on disk, for Python to call; as it is without numba.

    It is an attribute of its module under its own name, and closes over the `source_version` of all that it calls.
    """
    try:
        from numba import njit
    except ImportError:
        return function
    from PlainNet.machine_code import MachineCode, kept_in

    options = dict(_OPTIONS)
    if _COMPILES in os.environ:
        from PlainNet.deferred import Deferred

        options["pipeline_class"] = Deferred
    made: Any = njit(function, **options)
    if not compiles():
        return function
    folder = kept_in()
    if folder:
        made._cache = MachineCode(function, folder)
    else:
        log.info("machine code cannot be kept on this computer: every start compiles it anew")
    return cast(Function, made)


def _inside(function: Function, **more: Any) -> Function:
    try:
        from numba import njit
    except ImportError:
        return function
    options = _OPTIONS | _UNCOUNTED | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} | more
    return cast(Function, njit(function, **options))


def source_version(*sources: Path) -> int:
    """A number that changes with these files and those that say how they are compiled, never 0.

    Machine code on disk is renewed when what a function closes over changes: a function closes over the version of its own file
    and of those of all that it calls.
    """
    own = Path(__file__), Path(__file__).with_name("deferred.py")
    return zlib.crc32(b"".join(source.read_bytes() for source in (*own, *sources))) or 1


def prepare(what: str, *groups: Examples) -> None:
    """Have functions of `kept_on_disk` ready for arguments of these types: read, or compiled where they are missing.

    what: they in words, for the log. groups: functions with arguments; each group is compiled by a process of its own.
    """
    if compiles():
        from PlainNet import machine_code

        machine_code.prepare(what, _wanted(groups))


def begin(what: str, *groups: Examples) -> None:
    """Begin what `prepare` does, and do not wait."""
    if compiles():
        from PlainNet import machine_code

        machine_code.begin(what, _wanted(groups))


def _wanted(groups: Sequence[Examples]) -> list:
    from numba import typeof

    return [[(function, tuple(map(typeof, some))) for function, some in group] for group in groups]


def typed_like(result: Any, arguments: Sequence[Any]) -> object:
    """Stands for a function's `machine_code_of` with this result for such arguments where only its type is asked for."""
    # numba knows the type of such objects once this module is there, and imports it only when it first compiles.
    import numba.experimental.function_type  # noqa: F401
    from numba import typeof, types

    class Like(types.WrapperAddressProtocol):
        def __wrapper_address__(self) -> int:
            raise TypeError("this function is not there")

        def signature(self) -> Any:
            return typeof(result)(*map(typeof, arguments))

    return Like()


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
