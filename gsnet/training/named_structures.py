"""Options in which a structure stands by itself, so that two ways to give one network are the same options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsnet.interface.network_names import existing_path, is_structure
from gsnet.interface.options import InputError
from gsnet.models.described import described
from gsnet.models.named import PLAIN_NET, read_structure
from PlainNet import StructureError

_NETWORKS = ("arch", "teacher_arch")
# Beside each of them the option for its file.
_STRUCTURES = ("plainnet_struct", "teacher_plainnet_struct")


def with_structures(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name, with the text of each structure in the place of its file, written as this toolkit writes it.

    What is no structure, and a file that is not there, stays as it is; so does the file of a results folder, which says more.
    """
    found = dict(options)
    for name in _NETWORKS:
        found |= {name: _as_text(found[name])} if name in found else {}
    for name in _STRUCTURES:
        file = f"{name}_txt"
        text = _as_text(found.get(file))
        if isinstance(text, str) and is_structure(text):
            found |= {name: text, file: None}
        elif name in found:
            found[name] = _as_text(found[name])
    return found


def comparable(options: Mapping[str, Any]) -> dict[str, Any]:
    """`with_structures`, and a structure of its own option as --arch has it: the two are one network with the same weights.

    Not what is recorded: who begins again from a record may give another structure in the place of its own.
    """
    found = with_structures(options)
    for network, structure in zip(_NETWORKS, _STRUCTURES, strict=True):
        if found.get(network) == PLAIN_NET and found.get(structure) is not None:
            found |= {network: found[structure], structure: None}
    return found


def _as_text(value: Any) -> Any:
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    path = existing_path(text)
    is_file = path is not None and path.is_file() and path.suffix == ".txt" and described(path) is None
    if not (is_file or is_structure(text)):
        return value
    try:
        return str(read_structure(text))
    except (InputError, StructureError, OSError):
        # Who builds the network says what is wrong.
        return value
