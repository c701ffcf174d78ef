"""The bars of what takes minutes."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, done: int, what: str, quiet: bool, unit: str = "network") -> tqdm:
    """A bar of so many steps, some of which were done before; in a log it writes a line a quarter of a minute.

    unit: what a step is, of which the bar says how many are done in a second.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}s",
        disable=quiet,
        mininterval=1 if sys.stderr.isatty() else 15,
    )
