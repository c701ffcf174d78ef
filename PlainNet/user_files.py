"""Python files of users: each is run once, as a module of its own, and can be run again in another process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
# Folders whose files are parts of packages, under whose names they are imported.
_PACKAGES = ("PlainNet", "SearchSpace", "ZeroShotProxy")
_PREFIX = "gsnet_user_file_"


class UserFileError(ValueError):
    """A Python file that cannot be loaded, with the reason."""


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
        return cls(module.__name__, path, Path(path).read_text(encoding="utf-8"))

    def load(self) -> ModuleType:
        """The module in this process: imported by its name where that is possible, otherwise made of its text."""
        if self.module in sys.modules:
            return sys.modules[self.module]
        if not self.module.startswith(_PREFIX) and importlib.util.find_spec(self.module.partition(".")[0]):
            return importlib.import_module(self.module)
        return _run(self.module, Path(self.path), self.source)


def load(path: Path) -> ModuleType:
    """The module that a file is; a relative path may also begin at the project's folder. Raises UserFileError."""
    if not path.is_file() and (ROOT / path).is_file():
        path = ROOT / path
    if not path.is_file():
        raise UserFileError(f"{path} does not exist")
    resolved = path.resolve()
    if resolved.parent.parent == ROOT.resolve() and resolved.parent.name in _PACKAGES:
        return importlib.import_module(f"{resolved.parent.name}.{resolved.stem}")
    if resolved.suffix != ".py":
        raise UserFileError(f"{path} is not a Python file")
    if module := _imported(resolved):
        return module
    name = f"{_PREFIX}{resolved.stem}_{zlib.crc32(str(resolved).encode()):08x}"
    return _run(name, resolved, resolved.read_text(encoding="utf-8"))


def _imported(path: Path) -> ModuleType | None:
    """The module that was imported from this file before: its classes must not come to be twice."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(path.name) and Path(file).resolve() == path:
            return module
    return None


def _run(name: str, path: Path, source: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    # Before it runs: dataclasses look their module up there.
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise UserFileError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
