"""Ctrl-C before a script has begun, or after its end, is no error: no traceback, and the exit status that says so.

Importing this needs nothing that takes time: what is imported after it may be interrupted. From then on interrupts are noted:
what they interrupt may lose them, as Python's parser and libraries written in C do, which end in errors of their own or go on.
"""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

INTERRUPTED = 130

_noted: list[int] = []


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what came of one: libraries that are interrupted while they load say something else."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """The interrupts so far, to which those that come within are added; behind it Python takes them as it did before."""
    ours = _note_interrupts()
    try:
        yield _noted if ours else []
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _noted.clear()
            # Once more, so that it comes before what libraries do at the end.
            atexit.unregister(_end_at_once)
            atexit.register(_end_at_once)


def _note_interrupts() -> bool:
    """Whether interrupts are noted: where a program has its own way with them, or outside its first thread, they are not."""
    if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, _note):
        return False
    try:
        signal.signal(signal.SIGINT, _note)
    except ValueError:
        return False
    return True


def _end_at_once() -> None:
    """While Python ends, an interrupt ends it: there is nothing of ours to finish, and libraries would show where they were."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)
    signal.default_int_handler(number, frame)


def _interrupted_outside_run(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if _noted or is_interrupt(error):
        raise SystemExit(INTERRUPTED)
    _other_errors(kind, error, trace)


# Whoever imports a room for other purposes keeps what shows errors there.
_other_errors = sys.excepthook
sys.excepthook = _interrupted_outside_run
_note_interrupts()
