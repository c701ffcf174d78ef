"""Published networks, the table's and a user's own: what each one is, without building it. No torch needed."""

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
    ones, None where nobody has counted them. path: the checkpoint below the base address, of a registered network its file or
    whole address; None where none was published. top1: per cent. length: bytes.
    """

    name: str
    structure: str
    classes: int
    se: bool
    resolution: int
    crop: int
    parameters: int | None
    path: str | None = None
    top1: float | None = None
    length: int | None = None
    sha256: str | None = None

    @property
    def cifar(self) -> bool:
        """Whether it sees CIFAR's images, as its name says: the whole of them, by figures of their own."""
        return "cifar" in self.name


@functools.cache
def _table() -> dict:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def base_url() -> str:
    """The address below which the checkpoints were published."""
    return _table()["base_url"]


# Networks by name that were registered beside those of the table.
_registered: dict[str, Published] = {}


def register_network(
    name: str,
    structure: str,
    *,
    classes: int = 1000,
    se: bool = False,
    resolution: int = 224,
    crop: int | None = None,
    weights: str | Path | None = None,
) -> Published:
    """Make a network known by a name, for `--arch` of every script.

    structure: its structure string, which is read when the network is asked for. se: with squeeze-and-excitation. resolution,
    crop: in pixels, as in `Published`; the crop is by default of the resolution. weights: its checkpoint, a file or an address.
    A name of one's own may be given anew. Raises UnknownNetworkError for a name of the table.
    """
    if name in _table()["networks"]:
        raise UnknownNetworkError(f"The table of published networks has a {name} already: give yours another name")
    path = str(weights) if weights is not None else None
    if path and not path.startswith(("http://", "https://")):
        path = str(Path(path).expanduser().resolve())
    entry = Published(name, structure, classes, se, resolution, crop or resolution, None, path)
    _registered[name] = entry
    return entry


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern such as "zennet_imagenet*", in the table's order, registered ones at the end."""
    return [name for name in (*_table()["networks"], *_registered) if fnmatch.fnmatchcase(name, pattern)]


def published(name: str) -> Published:
    """The facts of one network. Raises UnknownNetworkError."""
    if name in _registered:
        return _registered[name]
    table = _table()
    if name not in table["networks"]:
        raise UnknownNetworkError(f"There is no published network {name!r}: {_nearest(name)}")
    row = table["networks"][name]
    return Published(name, **row | {"structure": table["structures"][row["structure"]]})


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, list_models(), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"it must be one of {', '.join(list_models())}"
