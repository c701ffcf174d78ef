"""Files that are not read, among those that are: how many, and of which suffixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from gsnet.interface.options import named_few
from gsnet.interface.words import counted


def is_hidden(file: PurePath) -> bool:
    """Whether it is one of those that systems leave in every folder."""
    return file.name.startswith(".") or file.name in ("Thumbs.db", "desktop.ini")


def suffixes_of(files: Iterable[PurePath]) -> Counter[str]:
    """How many files have each suffix, in small letters; hidden ones aside."""
    return Counter(file.suffix.lower() for file in files if not is_hidden(file))


def in_words(suffixes: Mapping[str, int]) -> str:
    """12 files (.heic 11, .gif 1): the commonest first."""
    commonest = sorted(suffixes.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = named_few([f"{suffix or 'without a suffix'} {count:,}" for suffix, count in commonest])
    return f"{counted(sum(suffixes.values()), 'file')} ({kinds})"
