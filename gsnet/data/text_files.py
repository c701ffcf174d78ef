"""Text files of annotations and of names, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

from gsnet.interface.options import InputError


def text_of(file: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises InputError where it is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text file in UTF-8") from error


def names_in(file: Path) -> list[str]:
    """The classes of a file, one a line. Raises InputError where it is no text."""
    return [line.strip() for line in text_of(file).splitlines() if line.strip()]
