"""Real data of the benchmarks: the folder that the environment variable GSNET_DATA names, and what has to lie in it."""

from __future__ import annotations

import os
from pathlib import Path

from gsnet.interface.options import InputError

_BESIDE_THE_PROJECT = Path(__file__).parent.parent.parent / "shared/data"


def data_folder() -> Path:
    """The folder, which need not be there."""
    return Path(os.environ.get("GSNET_DATA", _BESIDE_THE_PROJECT))


def data_file(name: str) -> Path:
    """A file of the folder. Raises InputError where it is not there."""
    path = data_folder() / name
    if not path.is_file():
        raise InputError(f"There is no file {path}: the environment variable GSNET_DATA names its folder")
    return path
