"""Ctrl-C before a script has begun, or after its end, is no error: no traceback, and the exit status that says so.

Importing this needs nothing that takes time: what is imported after it may be interrupted.
"""

from __future__ import annotations

import sys
from types import TracebackType

INTERRUPTED = 130


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what came of one: libraries that are interrupted while they load say something else."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def _interrupted_outside_run(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if is_interrupt(error):
        raise SystemExit(INTERRUPTED)
    _other_errors(kind, error, trace)


# Whoever imports a room for other purposes keeps what shows errors there.
_other_errors = sys.excepthook
sys.excepthook = _interrupted_outside_run
