"""Messages of the package: for standard error, in a file, and beside whatever a program does with them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_LOG = logging.getLogger(__name__)
# What messages of the package come from.
_PACKAGES = ("gsnet", "PlainNet", "SearchSpace", "ZenNet", "ZeroShotProxy")


class LogFile(logging.FileHandler):
    """A log file of messages alone, which is given up, with one sentence, when it cannot be written."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(message)s"))
        self._given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, unless the file is given up."""
        if not self._given_up:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._given_up = True
        _LOG.warning("%s: %s: the log goes on without this file", self.baseFilename, error.strerror)


def log_to(file: Path | None = None, quiet: bool = False) -> None:
    """Send log messages to standard error and, if given, to the end of a file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if quiet:
        handlers[0].setLevel(logging.WARNING)
    if file is not None:
        handlers.append(LogFile(file))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
    # That one looks for fonts, once, and what the other has in its caches at its end, is no news of ours.
    for library in ("matplotlib", "torch"):
        logging.getLogger(library).setLevel(logging.WARNING)


@contextmanager
def saying_when_interrupted(what: str) -> Iterator[None]:
    """Within it an interrupt is told, and goes on: what is kept of long work, and how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        _LOG.warning("stopped: %s", what)
        raise


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
