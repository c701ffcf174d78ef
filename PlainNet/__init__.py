"""The structure-string language: grammar, blocks, costs and the module builder.

    >>> import PlainNet
    >>> network = PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)")
    >>> network.cost(resolution=32, num_classes=10).parameters
    2354

Importing this package, parsing, printing, costs and mutation import no torch.

A block of your own is one file with `register_netblocks_dict(netblocks_dict)`, which returns the dictionary with the block's
classes added under their names. `PlainNet.load_file` adds them to the language; so do two lines at the end of this file.
"""

from pathlib import Path
from types import ModuleType

from PlainNet import (
    SuperGhostShuffle,
    SuperResIDWEXKX,
    SuperResK1KXK1,
    SuperResKXKX,
    basic_blocks,
    branch_blocks,
    composite_blocks,
    convolutions,
    ghost_shuffle_block,
    super_blocks,
    user_files,
)
from PlainNet.block import Block, smart_round
from PlainNet.class_checks import check_class
from PlainNet.costs import NO_COST, Cost
from PlainNet.errors import StructureError
from PlainNet.network import BlockReport, Network
from PlainNet.parser import Reader
from PlainNet.style import DEPLOYED, PLAIN, UNITS, Style
from PlainNet.super_blocks import SuperBlock
from PlainNet.user_files import UserFileError

__all__ = [
    "DEPLOYED",
    "NO_COST",
    "PLAIN",
    "UNITS",
    "Block",
    "BlockReport",
    "Cost",
    "Network",
    "StructureError",
    "Style",
    "SuperBlock",
    "UserFileError",
    "load_file",
    "load_module",
    "parse",
    "parse_structures",
    "read_structure_file",
    "read_structure_text",
    "register",
    "registered_blocks",
    "smart_round",
    "unregistered_blocks",
    "users_blocks",
]


def parse(text: str) -> Network:
    """The network that a structure string describes. Raises StructureError, which says what is wrong and where."""
    return Network.trusted(Reader(text, _all_netblocks_dict_).network())


def parse_structures(text: str) -> tuple[Network, ...]:
    """The networks of a text with one, which may span lines, or with several, one a line; # begins a line that is none.

    Raises StructureError, with the number of the line where there are several.
    """
    lines = {n: line.strip() for n, line in enumerate(text.splitlines(), start=1)}
    lines = {n: line for n, line in lines.items() if line and not line.startswith("#")}
    try:
        return (parse("\n".join(lines.values())),)
    except StructureError:
        if len(lines) < 2:
            raise
        networks = [_parse_line(number, line) for number, line in lines.items()]
        if len({network.in_channels for network in networks}) > 1:
            # Not networks, each of which reads an image, but the parts of one that do not fit.
            raise
    return tuple(networks)


def _parse_line(number: int, line: str) -> Network:
    try:
        return parse(line)
    except StructureError as error:
        raise StructureError(f"Line {number}: {error.reason}", error.text, error.position) from None


def read_structure_file(path: str | Path) -> Network:
    """The network in a text file; the structure may span lines. Raises StructureError or OSError."""
    text = read_structure_text(path)
    try:
        return parse(text)
    except StructureError as error:
        if several := _structures_in(text):
            raise StructureError(
                f"{path} holds {several} structures, one a line, and one is wanted here: compare FILE, and compute_score and "
                "evolution_search with --plainnet_struct_txt FILE, take several"
            ) from None
        raise StructureError(f"{path}: {error.reason}", error.text, error.position) from error


def _structures_in(text: str) -> int:
    """How many structures the lines of a text are; 0 where it is something else."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    try:
        found = [parse(line) for line in lines]
    except StructureError:
        return 0
    # The lines of one structure begin with the channels of the line before.
    begin_alike = len({network.in_channels for network in found}) == 1
    return len(found) if len(found) > 1 and begin_alike else 0


def read_structure_text(path: str | Path, largest: int = 1 << 24) -> str:
    """The text of a structure file, without white space around it. Raises StructureError or OSError.

    largest: bytes that a file may have; what is larger is something else, and is not read into memory.
    """
    file = Path(path)
    if file.stat().st_size > largest:
        raise StructureError(f"{file} has {file.stat().st_size:,} bytes and is no structure file: name another")
    try:
        # Editors of Windows begin a file with a byte order mark.
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise StructureError(f"{file} is not a text file: a file with a structure string was expected") from None
    if not text:
        raise StructureError(f"{file} is empty: a file with a structure string was expected")
    return text


def registered_blocks() -> dict[str, type[Block]]:
    """Every block name of the language and its class."""
    return dict(_all_netblocks_dict_)


def register(source: ModuleType | type[Block]) -> tuple[type[Block], ...]:
    """Add a block, or those of a module's `register_netblocks_dict`, to the language; returns the classes.

    A name of one's own may be given to another class at any time, as one does in a notebook. Raises StructureError for a name
    that the package has, and for what cannot be a block.
    """
    if isinstance(source, type):
        added = {source.__name__: source}
    else:
        known = registered_blocks()
        returned = source.register_netblocks_dict(dict(known))
        if not isinstance(returned, dict):
            raise StructureError(
                f"register_netblocks_dict must return the dictionary of blocks that it gets and yours, not {returned!r:.80}"
            )
        added = {name: block for name, block in returned.items() if known.get(name) is not block}
    for name in added:
        if name in _all_netblocks_dict_ and name not in _users:
            raise StructureError(f"The package has a block {name} already: give yours another name")
        check_class(name, added[name])
    _users.update(added)
    _all_netblocks_dict_.update(added)
    return tuple(added.values())


def load_file(path: str | Path) -> ModuleType:
    """Run a Python file once, and add the blocks that it registers. Raises UserFileError or StructureError."""
    return _with_blocks(user_files.load(Path(path)))


def load_module(name: str) -> ModuleType:
    """Import a module by its name, and add the blocks that it registers. Raises UserFileError or StructureError."""
    return _with_blocks(user_files.imported(name))


def _with_blocks(module: ModuleType) -> ModuleType:
    if hasattr(module, "register_netblocks_dict"):
        with user_files.told():
            register(module)
    return module


def unregistered_blocks(module: ModuleType) -> tuple[type[Block], ...]:
    """The blocks that a module defines, where it has registered none of them."""
    of_it = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    blocks = tuple(one for one in of_it if issubclass(one, Block))
    return () if set(blocks) & set(_all_netblocks_dict_.values()) else blocks


def users_blocks() -> tuple[type[Block], ...]:
    """The blocks that were registered beside those of the package."""
    return tuple(_users.values())


_users: dict[str, type[Block]] = {}
_all_netblocks_dict_: dict[str, type[Block]] = {}
_all_netblocks_dict_ = convolutions.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = basic_blocks.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = composite_blocks.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = branch_blocks.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = ghost_shuffle_block.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = super_blocks.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = SuperResKXKX.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = SuperResK1KXK1.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = SuperResIDWEXKX.register_netblocks_dict(_all_netblocks_dict_)
_all_netblocks_dict_ = SuperGhostShuffle.register_netblocks_dict(_all_netblocks_dict_)
