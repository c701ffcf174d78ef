"""Quantities as a person reads them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Time in the unit that suits it: 0.42 s, 47 s, 13.1 min, 2.5 h, 3.1 d."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def counted(number: int, noun: str) -> str:
    """1 file, 2 files, 1,200 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
