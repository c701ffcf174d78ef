"""The table of published networks: what each one is, without building it. No torch needed."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from gsnet.interface.options import InputError

_FILE = Path(__file__).with_name("catalogue.toml")


class UnknownNetworkError(InputError, ValueError):
    """A name that is not in the table; the message names the nearest ones."""


@dataclass(frozen=True)
class Published:
    """One published network.

    structure: its structure string. classes: width of the logits. se: with squeeze-and-excitation. crop: side of the
    centre crop of a test image, resolution: the side that it is interpolated to, both in pixels. parameters: trainable
    ones. path: the checkpoint below the base address, None where none was published. top1: per cent. length: bytes.
    """

    name: str
    structure: str
    classes: int
    se: bool
    resolution: int
    crop: int
    parameters: int
    path: str | None = None
    top1: float | None = None
    length: int | None = None
    sha256: str | None = None


@functools.cache
def _table() -> dict:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def base_url() -> str:
    """The address below which the checkpoints were published."""
    return _table()["base_url"]


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern such as "zennet_imagenet*", in the table's order."""
    return [name for name in _table()["networks"] if fnmatch.fnmatchcase(name, pattern)]


def published(name: str) -> Published:
    """The facts of one network. Raises UnknownNetworkError."""
    table = _table()
    if name not in table["networks"]:
        raise UnknownNetworkError(f"There is no published network {name!r}: {_nearest(name)}")
    row = table["networks"][name]
    return Published(name, **row | {"structure": table["structures"][row["structure"]]})


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, list_models(), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"it must be one of {', '.join(list_models())}"
