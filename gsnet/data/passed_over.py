"""Files that are not read, among those that are: how many, and of which suffixes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from gsnet.interface.options import InputError, named_few
from gsnet.interface.words import counted

_LOG = logging.getLogger(__name__)


def is_hidden(file: PurePath) -> bool:
    """Whether it is one of those that systems leave in every folder."""
    return file.name.startswith(".") or file.name in ("Thumbs.db", "desktop.ini")


def lies_hidden(path: PurePath) -> bool:
    """Whether a file, or a folder on the way to it, is hidden; path: from a folder on that may be anything."""
    return is_hidden(path) or any(part.startswith(".") and part != ".." for part in path.parts)


def suffixes_of(files: Iterable[PurePath]) -> Counter[str]:
    """How many files have each suffix, in small letters; hidden ones aside."""
    return Counter(file.suffix.lower() for file in files if not is_hidden(file))


def in_words(suffixes: Mapping[str, int]) -> str:
    """12 files (.heic 11, .gif 1): the commonest first."""
    commonest = sorted(suffixes.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = named_few([f"{suffix or 'without a suffix'} {count:,}" for suffix, count in commonest])
    return f"{counted(sum(suffixes.values()), 'file')} ({kinds})"


def files_in(folder: Path, known: Sequence[str], lacking: str) -> list[Path]:
    """The files of a folder with one of these suffixes, in the order of their names; the log says what else is in it.

    Raises InputError where there are none: the folder has `lacking`.
    """
    entries = [entry for entry in sorted(folder.iterdir()) if not is_hidden(entry)]
    inside = [entry for entry in entries if entry.suffix.lower() in known and not entry.is_dir()]
    others = suffixes_of(entry for entry in entries if entry.suffix.lower() not in known and entry.is_file())
    folders = sum(entry.is_dir() for entry in entries)
    passed_over = [in_words(others)] * bool(others) + [counted(folders, "folder")] * bool(folders)
    if not inside:
        found = f", but {' and '.join(passed_over)}" if passed_over else ""
        raise InputError(f"{folder} has {lacking}{found}")
    if passed_over:
        _LOG.warning("%s: passed over: %s", folder, " and ".join(passed_over))
    return inside
