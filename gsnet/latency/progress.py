"""The bars of what takes minutes."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, done: int, what: str, quiet: bool) -> tqdm:
    """A bar of so many steps, some of which were done before; in a log it writes a line a quarter of a minute."""
    return tqdm(
        total=total, initial=done, desc=what, unit="", disable=quiet, mininterval=1 if sys.stderr.isatty() else 15
    )
