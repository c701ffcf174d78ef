"""Numbers as people write them, with or without a unit: 480k proposals, 0.4G multiply-accumulates, 250us.

Upper and lower case count: M is a million and m is refused, which elsewhere is a thousandth. A number without unit means what
the option says.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from decimal import Decimal

_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
COUNTS = _DECIMAL | {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_MICROSECOND = Decimal("1e-6")
# The micro sign and the Greek letter look alike.
_MICRO = {"us": _MICROSECOND, "\N{MICRO SIGN}s": _MICROSECOND, "\N{GREEK SMALL LETTER MU}s": _MICROSECOND}
SECONDS = {"s": Decimal(1), "ms": Decimal("1e-3")} | _MICRO | {"ns": Decimal("1e-9")}
LONG_TIMES = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
NO_UNITS: dict[str, int] = {}
_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([^\W\d_]*)\s*")
# Beyond are no numbers of anything here, and some that take for ever to write out.
_MOST_DIGITS = 40
_LARGEST_WHOLE = 2**63 - 1


def read(text: str, units: Mapping[str, int | Decimal], wanted: str) -> Decimal:
    """The number that a text says. wanted: what it should be, for the sentence that says that it is not.

    Raises ArgumentTypeError, also for "nan" and "inf".
    """
    found = _QUANTITY.fullmatch(text)
    if found is None or len(found[1]) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    number, unit = found.groups()
    if not unit:
        return Decimal(number)
    if unit not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}: {_units_in_words(unit, units)}")
    return Decimal(number) * units[unit]


def whole(text: str, least: int) -> int:
    """A whole number of at least `least`: 12, 480k, 1e6. Raises ArgumentTypeError."""
    wanted = f"a whole number of at least {least}"
    value = read(text, COUNTS, f"{wanted}, such as 12, 480k or 1e6")
    if value > _LARGEST_WHOLE:
        raise argparse.ArgumentTypeError(f"{text!r} is above {_LARGEST_WHOLE}, the largest whole number here")
    if value < least or value != value.to_integral_value():
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(value)


def above_zero(text: str, units: Mapping[str, int | Decimal], example: str = "") -> float:
    """A finite number above zero, in the unit that has the factor 1. Raises ArgumentTypeError."""
    wanted = f"a number above 0{example and f', such as {example}'}"
    value = float(read(text, units, wanted))
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _units_in_words(unit: str, units: Mapping[str, int | Decimal]) -> str:
    if not units:
        return "it has no unit"
    if unit == "m":
        return "m could be thousandths, millions or minutes" + ("; M is a million" if "M" in units else "; ms, s")
    known = ", ".join(name for name in units if name.isascii())
    return f"there is no unit {unit} here, only {known}"
