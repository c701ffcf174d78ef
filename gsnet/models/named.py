"""What --arch stands for, for every script: how many networks it names, and the structure of one that has a structure.

No torch is needed for a network of this project.
"""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from pathlib import Path

import PlainNet
import ZenNet
from gsnet.interface.network_names import existing_path, holds_structure, is_structure, parts_of
from gsnet.interface.options import InputError
from gsnet.interface.result_files import BEST_CHECKPOINT, BEST_JSON
from gsnet.models.described import chosen, described, is_result
from PlainNet import DEPLOYED, UNITS, Network, StructureError, Style

# What a structure string is built as.
MASTER_NET, PLAIN_NET = BUILT_AS = ("Masternet.py:MasterNet", "PlainNet")
SEARCHED = "searched"
# Of files that lie in a results folder beside the weights.
_BESIDE = (".json", ".db", ".csv", ".png", ".log", ".bin")
# Of files that --arch takes.
_SUFFIXES = (".txt", ".pth", ".pt", ".tar", ".onnx", ".safetensors")


def names_of(arch: str) -> list[str]:
    """Every network that --arch names: one, several between commas, or all whose names match a pattern.

    A pattern with a slash or the suffix of a file is looked for among results folders and files, any other among
    `gsnet.models.list_models()` first. Raises InputError.
    """
    if is_structure(arch) or existing_path(arch) is not None:
        return [arch]
    names = [name for part in parts_of(arch) for name in _matching(part)]
    if not names:
        raise InputError("--arch names no network")
    return list(dict.fromkeys(names))


def is_several(arch: str) -> bool:
    """Whether --arch is written as several networks: a pattern, or names between commas."""
    return bool(set("*?[,") & set(arch)) and not is_structure(arch) and existing_path(arch) is None


def fault_of_path(arch: str) -> str | None:
    """Why --arch is a path that names no network, in a sentence; None where it may name one. Raises InputError."""
    if arch in BUILT_AS or is_structure(arch):
        # The toolkit's own folder has the name of a class, and may be the current one.
        return None
    path = Path(arch).expanduser()
    if path.is_dir():
        holds_none = f"{path} holds no results: neither {BEST_JSON} of a search nor {BEST_CHECKPOINT} of a training"
        return None if is_result(path) else holds_none
    if path.is_file():
        if path.suffix in (".txt", ".py") or described(path) is not None:
            return None
        if path.suffix in _BESIDE and is_result(path.parent):
            return f"{path} is a part of the results folder {path.parent}: name the folder"
        return f"{path} does not say what it is of: name the network with --arch, and it with --weights"
    if "/" not in arch or is_several(arch) or ".py:" in arch:
        return None
    return f"There is no file or folder {path}: a results folder, a checkpoint or a name was expected"


def style_of(unit: str | None, use_se: bool) -> Style:
    """The style that --unit (None: searched) and --use_se ask for."""
    style = UNITS[unit or SEARCHED]
    return replace(style, use_se=use_se or style.use_se)


def _matching(pattern: str) -> list[str]:
    from gsnet.models import list_models

    if not set("*?[") & set(pattern):
        return [pattern]
    on_disk = "/" in pattern or pattern.endswith(_SUFFIXES)
    found = _files(pattern) if on_disk else fnmatch.filter(list_models(), pattern) or _files(pattern)
    if not found:
        raise InputError(f"No network's name matches {pattern!r}")
    return found


def _files(pattern: str) -> list[str]:
    """Results folders, and files with the suffix of one that --arch takes, whose paths match."""
    path = Path(pattern).expanduser()
    matching = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    return [str(each) for each in matching if (is_result(each) if each.is_dir() else each.suffix in _SUFFIXES)]


def structure_of(
    arch: str, plainnet_struct: str | None = None, *, use_se: bool = False, unit: str | None = None
) -> tuple[Network, Style] | None:
    """The structure of a published network, of a file or results folder, or of --plainnet_struct, and the style to build it in.

    None for a network that has no structure: the user's own class, torchvision's and timm's. Raises InputError, StructureError.
    """
    check_structure_options(arch, plainnet_struct, use_se=use_se, unit=unit)
    if found := described(arch):
        description = chosen(found, use_se=use_se, unit=unit)
        return None if description.structure is None else (PlainNet.parse(description.structure), description.style)
    style = style_of(unit, use_se)
    if arch in ZenNet.list_models():
        entry = ZenNet.published(arch)
        published = Style(use_se=use_se or entry.se, se_activation="relu")
        return PlainNet.parse(entry.structure), DEPLOYED if unit == "deployed" else published
    if arch in BUILT_AS:
        if plainnet_struct is None:
            raise InputError(
                f"Give one of --plainnet_struct and --plainnet_struct_txt, or a structure or its file as --arch: {arch} "
                "is built from a structure"
            )
        return PlainNet.parse(plainnet_struct), style
    return (read_structure(arch), style) if holds_structure(arch) else None


def read_structure(arch: str) -> Network:
    """The structure that --arch is, itself or as a file with it. Raises InputError, StructureError."""
    if is_structure(arch):
        return PlainNet.parse(arch)
    file = Path(arch).expanduser()
    if not file.is_file():
        raise InputError(f"There is no file {file}: a structure file or the name of a network was expected")
    return PlainNet.read_structure_file(file)


def check_structure_options(arch: str, plainnet_struct: str | None, *, use_se: bool, unit: str | None) -> None:
    """Refuse what would be ignored: a structure for a network that has its own, or its options for one without a structure.

    Raises InputError.
    """
    own_class = ".py:" in arch
    if plainnet_struct is not None and arch not in BUILT_AS and not own_class:
        raise InputError(f"--arch {arch} has a structure of its own: leave --plainnet_struct out")
    if own_class or holds_structure(arch) or arch in BUILT_AS or arch in ZenNet.list_models():
        return
    if (found := described(arch)) and found.description.structure is not None:
        return
    if use_se or unit not in (None, SEARCHED):
        option = "--use_se" if use_se else f"--unit {unit}"
        raise InputError(f"--arch {arch} is fixed: {option} is for structures")


def read_structures(path: Path) -> list[Network]:
    """One network for every line of a file that is neither blank nor a comment. Raises InputError."""
    structures = []
    lines = PlainNet.read_structure_text(path, largest=1 << 30).splitlines()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            structures.append(PlainNet.parse(text))
        except StructureError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if not structures:
        raise InputError(f"{path} holds no structure string")
    return structures
