"""Sections of a page of the documentation that a benchmark writes, between two comments with the section's name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from gsnet.interface.files import write_text
from gsnet.interface.options import InputError


def replace_section(page: Path, name: str, text: str) -> None:
    """Put a text in the place of the section's present one. Raises InputError where the page has no such section."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8")
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise InputError(f"{page} has no section between {begin} and {end}")
    write_text(page, f"{before}{begin}\n{text.strip()}\n{end}{after}")


def show_sections(page: Path, sections: Mapping[str, str], *, write: bool) -> None:
    """Print the texts of a page's sections, and put them there where that is asked for. Raises InputError."""
    for name, text in sections.items():
        sys.stdout.write(f"{text.strip()}\n\n")
        sys.stdout.flush()
        if write:
            replace_section(page, name, text)
