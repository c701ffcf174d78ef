"""What kind of text stands for a network: a file or folder that is there, a structure, or else a name. No torch is needed."""

from __future__ import annotations

import re
from pathlib import Path

# A structure's first block has widths, or it ends as the last one does.
_STRUCTURE = re.compile(r"\s*[A-Za-z_]\w*\((.*\)\s*|\s*([\w.-]+\|)?\d+\s*,.*)", re.DOTALL)


def existing_path(text: str | Path) -> Path | None:
    """The file or folder of that name, ~ being the home folder; None where there is none."""
    path = Path(text).expanduser()
    try:
        return path if path.exists() else None
    except OSError:
        # No file has a name as long as most structures are.
        return None


def parts_of(text: str) -> list[str]:
    """What stands between the commas of a list of names, those inside a structure's brackets excepted."""
    found, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found if part.strip()]


def is_structure(text: str) -> bool:
    """Whether a text looks like one structure string, sound or not, and no file or folder is called so."""
    return _STRUCTURE.fullmatch(text) is not None and len(parts_of(text)) == 1 and existing_path(text) is None


def holds_structure(arch: str) -> bool:
    """Whether --arch is a structure, itself or as a file with one."""
    return arch.endswith(".txt") or is_structure(arch)
