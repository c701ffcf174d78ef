"""How a script starts and ends: one sentence for an error, and an exit status that means something.

Scripts import this before anything else of the project, so that an interrupt while the rest is imported ends as one later does.
"""

from __future__ import annotations

# First of all, for the rest may be interrupted.
from gsnet.interface.interrupts import INTERRUPTED, noted_interrupts  # isort: skip

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from gsnet.interface.options import BAD_INPUT, InputError

UNREAD = 141


def run(main: Callable[[], int | None], bad_input: tuple[type[Exception], ...] = ()) -> int:
    """Call a script's main; errors of bad input end in one sentence on standard error and status 2.

    `InputError`, StructureError, missing files, a full disk, the types of `bad_input` and whatever a user's own file raises are
    bad input. 130 after an interrupt, 141 where nobody reads the output any more (`| head`).
    """
    try:
        return _run(main, bad_input)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(main: Callable[[], int | None], bad_input: tuple[type[Exception], ...]) -> int:
    threading.excepthook = _thread_failed
    with noted_interrupts() as interrupts:
        # One that came while the script was imported, and got lost there.
        return INTERRUPTED if interrupts else _ended(main, bad_input, interrupts)


def _ended(main: Callable[[], int | None], bad_input: tuple[type[Exception], ...], interrupts: list[int]) -> int:
    from PlainNet import StructureError, user_files

    expected: tuple[type[Exception], ...] = (InputError, StructureError, *bad_input)
    try:
        status = main() or 0
        # Here, where an error can be told in a sentence; Python would do it after the last one.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _leave_output()
        return UNREAD
    except expected as error:
        if interrupts:
            return INTERRUPTED
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{Path(sys.argv[0]).name}: {where}{error.strerror or error}", file=sys.stderr)
        _leave_output()
        return BAD_INPUT
    except Exception as error:
        # What an interrupt that got lost leads to, such as a library that is loaded by half.
        if interrupts:
            return INTERRUPTED
        # Of what a user wrote, file and line are the answer; of the package's own faults, the traceback is.
        sentence = user_files.sentence_of(error)
        if sentence is None:
            raise
        print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
        return BAD_INPUT


def _leave_output() -> None:
    """Give up what standard output still holds, if it cannot take it, so that Python does not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread of a library that writes files, such as TensorBoard's, says in one sentence that it could not."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
        return
    print(f"{failure.exc_value.filename or 'a file'}: {failure.exc_value.strerror}", file=sys.stderr)
