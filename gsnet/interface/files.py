"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(path: Path, mode: str = "w") -> Iterator[IO]:
    """A file under a temporary name, flushed to disk and renamed when the block ends without error.

    Raises OSError, with the file's name where it would have none (a full disk).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    encoding = None if "b" in mode else "utf-8"
    try:
        with temporary.open(mode, encoding=encoding, newline=None if "b" in mode else "") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def kept_at_interrupt(path: Path) -> Iterator[IO]:
    """`written_whole` of a text that is of use as far as it goes: an interrupt ends it, and is raised again."""
    interrupted: KeyboardInterrupt | None = None
    with written_whole(path) as file:
        try:
            yield file
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
    if interrupted is not None:
        raise interrupted


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with written_whole(path) as file:
        file.write(text)


def check_writable(path: Path) -> None:
    """Whether a file can be written, before long work is done for it: its folder is made. Raises OSError where it cannot."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, and a file is to be written", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
