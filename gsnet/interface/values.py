"""What is wrong with a number that a program gives, where a command line would have refused the text."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from gsnet.interface.options import InputError


def plain(value: Any) -> Any:
    """A number of numpy's as Python's, which JSON can hold; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def wrong_count(value: object, least: int = 1) -> str | None:
    """What is wrong with it as a whole number of at least `least`; None where nothing is."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return None
    return f"is {value!r}: it must be a whole number of at least {least}"


def wrong_limit(value: object) -> str | None:
    """What is wrong with it as a number above 0; None where nothing is."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return None
    return f"is {value!r}: it must be a number above 0"


def wrong_number(value: object) -> str | None:
    """What is wrong with it as a number; None where nothing is."""
    if isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value):
        return None
    return f"is {value!r}: it must be a number"


def check_counts(**values: object) -> None:
    """Raises InputError for the first that is no whole number of at least 1."""
    for name, value in values.items():
        if wrong := wrong_count(value):
            raise InputError(f"{name} {wrong}")


def check_scoring(gamma: object, seed: object) -> None:
    """The size of Zen's perturbation, and the seed of weights and images. Raises InputError."""
    if wrong := wrong_limit(gamma):
        raise InputError(f"gamma {wrong}")
    if not isinstance(seed, int):
        raise InputError(f"seed is {seed!r}: it must be a whole number")
