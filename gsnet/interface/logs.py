"""Messages of the package in a file, beside whatever a program does with them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gsnet.interface.running import LogFile

# What messages of the package come from.
_PACKAGES = ("gsnet", "PlainNet", "SearchSpace", "ZenNet", "ZeroShotProxy")


class _PassedOn(logging.Handler):
    """Gives messages to those who would have had them: a logger's handlers and, where it propagates, its parent's."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger.getEffectiveLevel())
        self._handlers = list(logger.handlers)
        self._parent = logger.parent if logger.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        # Where nobody listens, Python itself shows warnings.
        if self._parent is not None and (self._parent.hasHandlers() or not self._handlers):
            self._parent.callHandlers(record)


@contextmanager
def logged_into(file: Path) -> Iterator[None]:
    """While this lasts, the package's messages go to the end of a file too; a program's own logging shows what it did."""
    handler = LogFile(file)
    try:
        with ExitStack() as stack:
            for name in _PACKAGES:
                stack.enter_context(_heard(logging.getLogger(name), handler))
            yield
    finally:
        handler.close()


@contextmanager
def _heard(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """While this lasts, a handler gets a logger's messages from INFO on, and the others get what they got before."""
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    passed_on = _PassedOn(logger)
    logger.handlers, logger.propagate = [handler, passed_on], False
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
