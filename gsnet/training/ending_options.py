"""Command-line options of when a training ends and which of its states are kept."""

from __future__ import annotations

import argparse

from gsnet.interface import quantities
from gsnet.interface.options import positive_int


def add_ending(group: argparse._ArgumentGroup) -> None:
    """Add the options, which every training has."""
    group.add_argument(
        "--patience",
        type=positive_int,
        metavar="N",
        help="end where N epochs bring no better validation (default: never)",
    )
    group.add_argument(
        "--time_limit",
        type=time_limit,
        metavar="TIME",
        help="save and leave after this time, such as 90m or 7.5h; --auto_resume goes on",
    )
    group.add_argument(
        "--keep_best",
        type=positive_int,
        default=1,
        metavar="K",
        help="keep the K best epochs, each in a file of its own where K is above 1",
    )


def time_limit(text: str) -> float:
    """A time above zero, in seconds where no unit follows."""
    return quantities.above_zero(text, quantities.LONG_TIMES, "5400, 90m or 7.5h")
