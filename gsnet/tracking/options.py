"""The option that says where a run is logged to."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.util import find_spec

from gsnet.interface.options import InputError, names

KINDS = ("csv", "tensorboard", "wandb", "mlflow")
# Those that are no part of requirements.txt.
_OPTIONAL = ("wandb", "mlflow")


def add_log(group: argparse._ArgumentGroup, what: str) -> None:
    """Add --log. what: where it goes, and what is written anyway."""
    group.add_argument("--log", type=log_kinds, default=(), metavar="NAME,…", help=what)


def log_kinds(text: str) -> tuple[str, ...]:
    """Names of trackers separated by commas. Raises argparse.ArgumentTypeError."""
    try:
        return known_kinds(names(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def known_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Each name once. Raises InputError for one that is none, or whose library is not installed."""
    found = tuple(dict.fromkeys(kinds))
    for kind in found:
        if kind not in KINDS:
            raise InputError(f"{kind!r} is none of {', '.join(KINDS)}")
        if kind in _OPTIONAL and find_spec(kind) is None:
            raise InputError(f"{kind} needs a library that is not installed: pip install {kind}")
    return found
