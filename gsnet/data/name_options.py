"""The types of options that name classes: one by one, or by a file with a name a line."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence

from gsnet.data.text_files import names_in
from gsnet.interface.options import InputError, named_few
from gsnet.interface.path_options import path

_FILE = ".txt"
# Between names, and not one that is a part of a name.
_COMMA = re.compile(r"(?<!\\),")
HINT = "a comma that is a part of a name is written \\, or the names stand in a file (.txt), one a line"


def names_in_file(text: str) -> tuple[str, ...]:
    """Names of classes, a line each, of a file."""
    file = path(text)
    try:
        return distinct(names_in(file), str(file))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{file}: {error.strerror}") from error
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def distinct(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Names of classes, of which there are some and none twice. source: where they stand. Raises InputError."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not names:
        raise InputError(f"{source} has {f'{named_few(twice)} more than once' if twice else 'no names'}")
    return tuple(names)


def split_at_commas(text: str) -> list[str]:
    """The parts of a text between commas, of which those after a backslash are none."""
    return [part.replace("\\,", ",") for part in _COMMA.split(text)]


class ClassNames:
    r"""The type of an option: a,b, or a file (.txt) with a name a line. A comma that is a part of a name is written \,."""

    def __call__(self, text: str) -> tuple[str, ...]:
        """The names. Raises argparse's error where there are none, or one is given twice."""
        if text.strip().lower().endswith(_FILE):
            return names_in_file(text.strip())
        found = tuple(part.strip() for part in split_at_commas(text) if part.strip())
        if not found or len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of names such as car,bus")
        return found

    @staticmethod
    def typed(found: Sequence[str]) -> str:
        """Names as one types them, which a record of options holds as a list."""
        return ",".join(name.replace(",", "\\,") for name in found)


def comma_hint(class_names: Sequence[str]) -> str:
    """What goes behind the message on an unknown class, where a name of a known one has a comma in it."""
    return f" ({HINT})" if any("," in name for name in class_names) else ""
