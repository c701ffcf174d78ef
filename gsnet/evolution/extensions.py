"""What a user has added to this process, blocks and proxies, taken along to the processes that score."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Iterable
from typing import NamedTuple

import PlainNet
from gsnet.evolution.settings import SearchError
from gsnet.interface import plugins
from PlainNet import Block
from PlainNet.user_files import UserFile
from ZeroShotProxy import Proxy, users_proxies
from ZeroShotProxy.registry import add

_MAIN = "__main__"


class Extensions(NamedTuple):
    """files: plugins, and modules that define blocks or proxies. blocks, proxies: those of the program itself.

    given: proxies of one search alone, which are under no name that others could ask for. functions: module and name of those
    that register what is in their modules.
    """

    files: tuple[UserFile, ...] = ()
    blocks: tuple[type[Block], ...] = ()
    proxies: tuple[Proxy, ...] = ()
    given: tuple[Proxy, ...] = ()
    functions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def here(cls, given: tuple[Proxy, ...] = ()) -> Extensions:
        """Those of this process."""
        blocks, proxies = PlainNet.users_blocks(), users_proxies()
        # Plugins first: what they register may be of modules that do not register it themselves.
        modules = [module.__name__ for module in plugins.modules()]
        modules += [block.__module__ for block in blocks]
        modules += [_module_of(proxy) for proxy in (*proxies, *given)]
        return cls(
            tuple(_files(modules)),
            tuple(block for block in blocks if block.__module__ == _MAIN),
            tuple(proxy for proxy in proxies if _module_of(proxy) == _MAIN),
            given,
            plugins.functions(),
        )

    def install(self) -> None:
        """Have them in this process too."""
        registered = PlainNet.registered_blocks()
        for file in self.files:
            module = file.load()
            if hasattr(module, "register_netblocks_dict"):
                PlainNet.register(module)
        for name, function in self.functions:
            plugins.register_by(sys.modules[name], function)
        for block in self.blocks:
            if registered.get(block.__name__) is not block:
                PlainNet.register(block)
        for proxy in self.proxies:
            add(proxy)

    def check_other_processes(self) -> None:
        """Refuse what worker processes cannot be given. Raises SearchError."""
        functions = [inspect.unwrap(proxy.compute) for proxy in (*self.proxies, *self.given)]
        prompt = not hasattr(sys.modules[_MAIN], "__file__")
        for thing in (*self.blocks, *functions):
            try:
                pickle.dumps(thing)
                lost = prompt and thing.__module__ == _MAIN
            except (pickle.PicklingError, AttributeError, TypeError):
                lost = True
            if lost:
                name = getattr(thing, "__qualname__", repr(thing))
                raise SearchError(
                    f"Worker processes cannot read {name} of {thing.__module__}: define it at the top of a file, "
                    "or leave the number of workers at 1"
                )


NO_EXTENSIONS = Extensions()


def _module_of(proxy: Proxy) -> str:
    """Where its function was written."""
    return getattr(inspect.unwrap(proxy.compute), "__module__", "")


def _files(modules: Iterable[str]) -> Iterable[UserFile]:
    for name in dict.fromkeys(modules):
        module = sys.modules.get(name)
        if name != _MAIN and module is not None and (file := UserFile.of(module)):
            yield file
