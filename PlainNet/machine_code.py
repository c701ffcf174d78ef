"""Machine code on disk: the folder where compiled functions are kept, and the processes that compile them.

What is missing in the folder is compiled by a process of its own, several at once where several functions are asked for, and
then read from there. So the process that searches never holds a compiler's memory, is interrupted at once (numba loses what is
raised while it compiles), and computes the same to the last bit as those after it: numba links code that it has just compiled
differently from code that it reads.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import pickle
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

log = logging.getLogger(__name__)
# In the environment of a process that compiles for another one: the folder.
COMPILING = "GSNET_COMPILES"
# How the folder of a user begins in the system's folder for temporary files.
_TEMPORARY = "gsnet-machine-code-"
_COMMAND = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import PlainNet.machine_code as m; m.serve()"
)

# What such a process says after each function.
_DONE = b"."

Signature = tuple[Any, ...]
# A compiled function, and numba's types of its arguments.
Wanted = tuple[Any, Signature]


def kept_in() -> Path | None:
    """The folder for machine code, which can be written to; None where there is none.

    NUMBA_CACHE_DIR where that is set, the user's cache directory, or else one in the system's directory for temporary files.
    """
    if COMPILING in os.environ:
        return Path(os.environ[COMPILING])
    version = f"numba-{numba.__version__}"
    for folder in _lasting_folders():
        with contextlib.suppress(OSError):
            return _writable(folder / version)
    # Where no folder for temporary files can be written to either, looking for one is an error, too.
    with contextlib.suppress(OSError):
        folder = _temporary_folder()
        found = _writable(folder / version)
        if _is_ours_alone(folder):
            return found
    return None


def _writable(folder: Path) -> Path:
    """The folder, made. Raises OSError where nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    return folder


def _lasting_folders() -> Iterator[Path]:
    named = getattr(config, "CACHE_DIR", "")
    if named:
        yield Path(named) / "gsnet"
    with contextlib.suppress(RuntimeError):
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gsnet/machine_code"


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"{_TEMPORARY}{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _is_ours_alone(folder: Path) -> bool:
    """Whether nobody else can have written to a folder: what is read from there is run."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        return False
    folder.chmod(0o700)
    return not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


class _Folder(_CacheLocator):
    """Where numba's cache finds the machine code of a function.

    By the version that it closes over a function says itself what its code was made of: nothing depends on where its file lies,
    or on when it was written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return ""

    def get_disambiguator(self) -> str:
        return "kept"

    def from_function(self, function: object, file: str) -> _Folder:  # type: ignore[override]
        """The same for all functions."""
        return self


class MachineCode(FunctionCache):
    """The machine code of one function. What is missing is compiled by another process."""

    def __init__(self, function: Any, folder: Path) -> None:
        kept: Any = type("Kept", (CompileResultCacheImpl,), {"_locator_classes": [_Folder(folder)]})
        self._impl_class = kept
        super().__init__(function)
        self.name = function.__module__, function.__name__

    def load_overload(self, sig: Signature, target_context: Any) -> Any:
        """The function for these types of arguments; None where it has to be compiled here."""
        found = self._readable(sig, target_context)
        if found is None and COMPILING not in os.environ:
            _processes.wait_for(self, sig)
            found = self._readable(sig, target_context)
            if found is None:
                log.info("%s is compiled by this process itself", ".".join(self.name))
        return found

    def has(self, sig: Signature, target_context: Any) -> bool:
        """Whether the function is there for these types of arguments."""
        with contextlib.suppress(Exception):
            return self._cache_file.load(self._index_key(sig, target_context.codegen())) is not None
        return False

    def _readable(self, sig: Signature, target_context: Any) -> Any:
        # The same function of numba's imports all that its compiler knows first, which takes longer than to read all functions.
        try:
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception as error:
            # A damaged file raises whatever its bytes spell.
            log.info("%s is compiled anew: %s", ".".join(self.name), error)
            return None


def begin(what: str, groups: Sequence[Sequence[Wanted]]) -> None:
    """Have other processes begin to compile what is missing, one for each group.

    what: these functions in words, for the log.
    """
    if COMPILING in os.environ:
        return
    missing = [[wanted for wanted in group if _is_missing(*wanted)] for group in groups]
    if any(missing):
        log.info("compiling %s, once for this computer", what)
    for group in filter(None, missing):
        _processes.begin(group)


def prepare(what: str, groups: Sequence[Sequence[Wanted]]) -> None:
    """Have functions ready for types of arguments: read, or compiled where they are missing; see `begin`."""
    begin(what, groups)
    for group in groups:
        for function, signature in group:
            if hasattr(function, "compile"):
                function.compile(signature)


def _is_missing(function: Any, signature: Signature) -> bool:
    cache = getattr(function, "_cache", None)
    if not isinstance(cache, MachineCode) or signature in function.overloads or _processes.compiles(cache, signature):
        return False
    return not cache.has(signature, function.targetctx)


class _Process(NamedTuple):
    """A process that compiles, and what it was asked for and has not done yet, in that order."""

    process: subprocess.Popen
    asked: list


class _Processes:
    """The processes that compile for this one."""

    def __init__(self) -> None:
        self._running: list[_Process] = []

    def begin(self, group: Sequence[Wanted]) -> None:
        """Have a process compile some functions."""
        caches = [(function._cache, signature) for function, signature in group]
        self._start([(cache.name, signature) for cache, signature in caches], caches[0][0].cache_path)

    def compiles(self, cache: MachineCode, signature: Signature) -> bool:
        """Whether one of them compiles a function."""
        return any((cache.name, signature) in asked for _, asked in self._running)

    def wait_for(self, cache: MachineCode, signature: Signature) -> None:
        """Have a function compiled, by the process that does so already or by a new one."""
        wanted = cache.name, signature
        if not self.compiles(cache, signature):
            log.info("compiling %s, once for this computer", ".".join(cache.name))
            self._start([wanted], cache.cache_path)
        for running in list(self._running):
            try:
                while wanted in running.asked and self._has_done_one(running):
                    running.asked.pop(0)
            except BaseException:
                for process, _ in self._running:
                    process.terminate()
                self._running.clear()
                raise

    def _start(self, asked: list[tuple[tuple[str, str], Signature]], folder: str) -> None:
        if not sys.executable:
            # A program that has Python inside.
            return
        if _TEMPORARY in folder:
            log.warning("machine code is kept in %s: no cache directory of yours can be written to", folder)
        environment = os.environ | {COMPILING: folder}
        # In a group of its own: a Ctrl-C at the terminal is this process's to answer.
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(pickle.dumps(sys.path) + dumps(asked))
            process.stdin.close()
        process.stdin = None
        self._running.append(_Process(process, asked))

    def _has_done_one(self, running: _Process) -> bool:
        """Wait for the next of the functions that a process was asked for; False where it has ended instead."""
        process, asked = running
        assert process.stdout is not None
        done = process.stdout.read(len(_DONE)) == _DONE
        if not done or len(asked) == 1:
            _, said = process.communicate()
            self._running.remove(running)
            if process.returncode:
                log.info("a process that compiles failed: %s", said.decode(errors="replace").strip()[-500:])
        return done


_processes = _Processes()


def serve() -> None:
    """Compile what standard input asks for, into the folder, and say after each function that it is there.

    One process at a time compiles a function.
    """
    # What a compiler leaves behind in a few seconds is less than looking for it takes.
    gc.disable()
    asked = pickle.load(sys.stdin.buffer)
    functions = [getattr(importlib.import_module(module), name) for (module, name), _ in asked]
    # numba would import it to see whether matrices can be multiplied, which takes as long as to compile some functions.
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]
    for ((module, name), signature), function in zip(asked, functions, strict=True):
        with _alone(Path(function._cache.cache_path) / f"{module}.{name}.lock"):
            function.compile(signature)
        # Who has asked may be gone.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.buffer.write(_DONE)
            sys.stdout.flush()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:
        # Two processes may then do the same work.
        yield
        return
    with lock.open("w") as file:
        # A network's file system need not lock: as above.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
