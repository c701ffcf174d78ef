"""Blocks, proxies and whatever else a user's own file registers."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from gsnet.interface import plugins


def load_plugin(source: str | Path) -> ModuleType:
    """Run a Python file, or import a module by its name, once; what it registers is known from then on.

    Scoring processes know it too. A proxy stands under `@proxy(...)`; blocks are those of its `register_netblocks_dict`; search
    spaces, networks and data sets are given to `SearchSpace.register_space`, `ZenNet.register_network` and
    `gsnet.data.register_data_set`. Plugins of installed packages (entry points of the group gsnet.plugins) need no call.
    Raises InputError, which names file and line.
    """
    return plugins.load(source)
