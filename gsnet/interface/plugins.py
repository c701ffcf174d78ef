"""What a user adds without editing the package: proxies, blocks, search spaces, networks and data sets in files of their own.

A plugin is a Python file, or a module by its name, that registers things when it runs: a function under `@proxy(...)`, blocks
by its `register_netblocks_dict`, and `SearchSpace.register_space`, `ZenNet.register_network`, `gsnet.data.register_data_set`.
Scripts load what --plugin names, and every installed package's entry points of the group `gsnet.plugins`.
"""

from __future__ import annotations

import hashlib
import logging
import operator
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import PlainNet
from gsnet.interface.options import InputError

GROUP = "gsnet.plugins"
_LOG = logging.getLogger(__name__)


class Plugin(NamedTuple):
    """A plugin that was loaded: the name that asked for it, the beginning of the SHA-256 of its text, and its module."""

    name: str
    digest: str
    module: ModuleType


@dataclass
class Loaded:
    """asked_for: plugins by the names of their modules. installed: modules of installed packages, packages: their versions.

    functions: modules and names of what these had to call. looked: whether installed packages were looked through.
    """

    asked_for: dict[str, Plugin] = field(default_factory=dict)
    installed: dict[str, ModuleType] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    functions: list[tuple[str, str]] = field(default_factory=list)
    looked: bool = False


_loaded = Loaded()


def load(source: str | Path) -> ModuleType:
    """Run a Python file, or import a module by its name, once; what it registers is known from then on.

    Raises InputError, which names file and line.
    """
    name = str(source)
    try:
        is_file = isinstance(source, Path) or name.endswith(".py") or os.sep in name
        module = PlainNet.load_file(Path(name).expanduser()) if is_file else PlainNet.load_module(name)
    except PlainNet.UserFileError as error:
        raise InputError(str(error)) from error
    except PlainNet.StructureError as error:
        raise InputError(f"The plugin {name} cannot be used: {error}") from error
    if forgotten := PlainNet.unregistered_blocks(module):
        names = ", ".join(block.__name__ for block in forgotten)
        _LOG.warning(
            "%s defines %s, but registers no block: give it register_netblocks_dict(netblocks_dict)", name, names
        )
    _loaded.asked_for[module.__name__] = Plugin(name, _digest(module), module)
    return module


def load_all(sources: Iterable[str | Path]) -> None:
    """Load the plugins of installed packages, and these. Raises InputError."""
    load_installed()
    for source in sources:
        load(source)


def load_installed() -> None:
    """Load the plugins of installed packages, if that has not been done. One that fails is told, and the others go on."""
    if _loaded.looked:
        return
    # Before they run, because they may ask for something that loads plugins.
    _loaded.looked = True
    for entry in metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist else entry.value
        try:
            module = PlainNet.load_module(entry.module)
            if entry.attr:
                register_by(module, entry.attr)
                _loaded.functions.append((module.__name__, entry.attr))
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            _LOG.warning("The plugin %s of the package %s is left out: %s", entry.name, package, reason)
            continue
        _loaded.installed[module.__name__] = module
        _loaded.packages[package] = entry.dist.version if entry.dist else ""


def recorded() -> tuple[tuple[str, str], ...]:
    """Name and digest of the plugins that were asked for, as a results folder keeps them."""
    return tuple((plugin.name, plugin.digest) for plugin in _loaded.asked_for.values())


def packages() -> dict[str, str]:
    """The installed packages whose plugins are loaded, and their versions."""
    return dict(sorted(_loaded.packages.items()))


def modules() -> tuple[ModuleType, ...]:
    """The modules of all plugins in the order in which they were loaded."""
    return (*_loaded.installed.values(), *(plugin.module for plugin in _loaded.asked_for.values()))


def functions() -> tuple[tuple[str, str], ...]:
    """Module and name of the functions of installed packages that register what is in them."""
    return tuple(_loaded.functions)


def register_by(module: ModuleType, function: str) -> None:
    """Have a module's function register what it has."""
    operator.attrgetter(function)(module)()


def differences(before: Iterable[tuple[str, str]], now: Iterable[tuple[str, str]]) -> list[str]:
    """What is missing now of the plugins that were there before, or says other things; more of them do no harm."""
    digests, names = {digest for _, digest in now}, {Path(name).name for name, _ in now}
    return [
        f"the plugin {name} {'has other content than then' if Path(name).name in names else 'is missing (--plugin)'}"
        for name, digest in before
        if digest not in digests
    ]


def _digest(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
