"""Quantities as a person reads them, and what other programs say in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What colours a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def duration(seconds: float) -> str:
    """Time in the unit that suits it: 0.42 s, 47 s, 13.1 min, 2.5 h, 3.1 d."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """1 file, 2 files, 1,200 files. plural: where it is not the noun with an s, as of classes."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def either(names: Sequence[str]) -> str:
    """one, two or three."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def shown(value: object, most: int = 60) -> str:
    """What a value is called in a sentence: one line of it, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def first_line(error: BaseException) -> str:
    """The first line that an error says; its kind where it says nothing."""
    lines = _COLOURS.sub("", str(error)).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__
