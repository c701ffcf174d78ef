"""Python files of users: each is run once, as a module of its own, and can be run again in another process."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import re
import sys
import tokenize
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from PlainNet.errors import StructureError

ROOT = Path(__file__).parent.parent
# Folders whose files are parts of packages, under whose names they are imported.
_PACKAGES = ("PlainNet", "SearchSpace", "ZeroShotProxy")
_PREFIX = "gsnet_user_file_"
_FRAME = re.compile(r'File "(.+?)", line (\d+), in (\S+)')
# The files that were run, as tracebacks name them.
_run_here: set[str] = set()
Made = TypeVar("Made")


class UserFileError(ValueError):
    """A Python file that cannot be loaded, with the line and the reason."""


class UserFile(NamedTuple):
    """A module of a user's as another process needs it: its name, where it was read, and its text."""

    module: str
    path: str
    source: str

    @classmethod
    def of(cls, module: ModuleType) -> UserFile | None:
        """That of a module; None where it has no file, as at the prompt and in notebooks."""
        path = getattr(module, "__file__", None)
        if not path or not path.endswith(".py"):
            return None
        return cls(module.__name__, path, source_of(Path(path)))

    def load(self) -> ModuleType:
        """The module in this process: imported by its name where that is possible, otherwise made of its text."""
        if self.module in sys.modules:
            return sys.modules[self.module]
        if not self.module.startswith(_PREFIX) and importlib.util.find_spec(self.module.partition(".")[0]):
            return imported(self.module)
        return _run(self.module, Path(self.path), self.source)


def load(path: Path) -> ModuleType:
    """The module that a file is; a relative path may also begin at the project's folder. Raises UserFileError."""
    if not path.is_file() and (ROOT / path).is_file():
        path = ROOT / path
    if not path.is_file():
        raise UserFileError(f"{path} does not exist")
    resolved = path.resolve()
    if resolved.parent.parent == ROOT.resolve() and resolved.parent.name in _PACKAGES:
        return imported(f"{resolved.parent.name}.{resolved.stem}")
    if resolved.suffix != ".py":
        raise UserFileError(f"{path} is not a Python file")
    _run_here.add(str(resolved))
    if module := _imported(resolved):
        return module
    name = f"{_PREFIX}{resolved.stem}_{zlib.crc32(str(resolved).encode()):08x}"
    return _run(name, resolved, source_of(resolved))


def imported(name: str) -> ModuleType:
    """The module of that name, imported as any other. Raises UserFileError, whatever it is that goes wrong in it."""
    spec = _spec_of(name)
    if spec is None:
        there = f"; is {name}.py meant?" if Path(f"{name}.py").is_file() else ": is its package installed?"
        raise UserFileError(f"There is no module {name}{there}")
    # What the package imports by itself is none of a user's, whoever asks for it.
    if spec.origin and name not in sys.modules:
        _run_here.add(spec.origin)
    return _told(lambda: importlib.import_module(name), Path(spec.origin or name))


def is_a_users(module: ModuleType | None) -> bool:
    """Whether a module is of a file that was run here."""
    return getattr(module, "__file__", None) in _run_here


def place_of(error: BaseException) -> str | None:
    """Where in a user's file an error came about, as "FILE, line N, in FUNCTION"; None where none of them was running.

    Of several places the innermost. Also of an error of another process, which has its traceback as text.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno, frame.name) for frame in frames]
    places += _FRAME.findall(f"{error.__cause__}\n{error}")
    found = [place for place in places if place[0] in _run_here]
    return "{}, line {}, in {}".format(*found[-1]) if found else None


def sentence_of(error: BaseException) -> str | None:
    """What an error of a user's code is, with its place, in a line; None where none of their code was running."""
    place = place_of(error)
    # Another process's error begins with its traceback, and ends with what it is.
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    said = lines[-1] if _FRAME.search(str(error)) else f"{type(error).__name__}: {lines[0]}"
    return None if place is None else f"{place}: {said}"


def takes(function: Callable[..., object], arguments: int, *names: str) -> bool:
    """Whether a function can be called with so many arguments, and with these by name."""
    try:
        inspect.signature(function).bind(*[None] * arguments, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


@contextmanager
def told() -> Iterator[None]:
    """Within it an error of a user's code is a UserFileError, one sentence with its place; others come out as they are."""
    try:
        yield
    except (UserFileError, StructureError):
        raise
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise UserFileError(sentence) from error


def source_of(path: Path) -> str:
    """The text of a Python file, in the encoding that it declares, UTF-8 otherwise. Raises UserFileError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserFileError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserFileError(f"{path}, line {line}: the text is not {error.encoding}") from error
    except SyntaxError as error:
        raise UserFileError(f"{path}: {error.msg}") from error


def _imported(path: Path) -> ModuleType | None:
    """The module that was imported from this file before: its classes must not come to be twice."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(path.name) and Path(file).resolve() == path:
            return module
    return None


def _spec_of(name: str) -> ModuleSpec | None:
    """Where a module comes from; None where it is nowhere. To find it, the packages that it lies in are imported."""
    try:
        return _told(lambda: importlib.util.find_spec(name), Path(name))
    except UserFileError as error:
        missing = getattr(error.__cause__, "name", None)
        if missing and f"{name}.".startswith(f"{missing}."):
            return None
        raise


def _run(name: str, path: Path, source: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    _run_here.add(str(path))
    # Before it runs: dataclasses look their module up there.
    sys.modules[name] = module
    try:
        _told(lambda: exec(compile(source, str(path), "exec"), module.__dict__), path)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _told(work: Callable[[], Made], path: Path) -> Made:
    """What running a file gives. Raises UserFileError for its errors, and where it ends the program."""
    try:
        return work()
    except SyntaxError as error:
        elsewhere = "" if error.filename in (str(path), None) else f"{error.filename}, "
        raise UserFileError(f"{path} cannot be imported: {elsewhere}line {error.lineno or 1}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        said = "it ends the program" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        where = f"line {lines[-1]}: " if lines else ""
        raise UserFileError(f"{path} cannot be imported: {where}{said}") from error
