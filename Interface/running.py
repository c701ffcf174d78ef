"""How a script starts and ends: one sentence for an error, and an exit status that means something."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from Interface.options import BAD_INPUT, InputError

FAILED = 1


def run(main: Callable[[], int], bad_input: tuple[type[Exception], ...] = ()) -> int:
    """Call a script's main; errors of bad input end in one sentence on standard error and status 2.

    `InputError`, StructureError, missing files and the types of `bad_input` are bad input. 130 after an interrupt.
    """
    from PlainNet import StructureError

    expected: tuple[type[Exception], ...] = (InputError, StructureError, *bad_input)
    try:
        return main()
    except expected as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{Path(sys.argv[0]).name}: {where}{error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130


def log_to(file: Path | None = None, quiet: bool = False) -> None:
    """Send log messages to standard error and, if given, to the end of a file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if quiet:
        handlers[0].setLevel(logging.WARNING)
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
