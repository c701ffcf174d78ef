"""Text files of annotations and of names, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

from gsnet.interface.options import InputError

# Of names, in characters: a file without an end is none.
_MOST = 1 << 24


def text_of(file: Path, most: int = -1) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, of at most so many characters.

    Raises InputError where it is none, and where it is longer.
    """
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(most + 1 if most >= 0 else -1)
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text file in UTF-8") from error
    if 0 <= most < len(text):
        raise InputError(f"{file} is longer than {most:,} characters")
    return text


def names_in(file: Path) -> list[str]:
    """The classes of a file, one a line. Raises InputError where it is no text."""
    return [line.strip() for line in text_of(file, _MOST).splitlines() if line.strip()]
