"""Options that hold several values with commas between them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Collection
from typing import TypeVar

from gsnet.interface.options import InputError

Value = TypeVar("Value")


def values_of(
    option: str, text: str, read: Callable[[str], Value], known: Collection[Value] | None = None
) -> tuple[Value, ...]:
    """The values in an option's text, each once, in their order. known: those that there are, where not any will do.

    read: a value's text to the value, with ArgumentTypeError as argparse has it. Raises InputError.
    """
    found: dict[Value, None] = {}
    for part in text.split(","):
        try:
            value = read(part.strip())
        except ArgumentTypeError as error:
            raise InputError(f"{option} {text}: {error}") from error
        if known is not None and value not in known:
            raise InputError(f"{option} {text}: {value} is none of {', '.join(map(str, known))}")
        found[value] = None
    return tuple(found)
