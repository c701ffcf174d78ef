"""Blocks and proxies of a user's own, from a file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import PlainNet
from gsnet.interface.options import InputError


def load_plugin(path: str | Path) -> ModuleType:
    """Run a Python file once: the proxies and blocks in it are known from then on, in scoring processes too.

    A proxy stands under `@proxy(...)`; blocks are those of its `register_netblocks_dict`. Raises InputError.
    """
    try:
        return PlainNet.load_file(Path(path).expanduser())
    except PlainNet.UserFileError as error:
        raise InputError(str(error)) from error
