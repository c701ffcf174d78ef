"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gsnet.interface.partial import is_part_of, part_file


@contextmanager
def written_whole(path: Path, mode: str = "w") -> Iterator[IO]:
    """A file under a temporary name, flushed to disk and renamed when the block ends without error; its folder is made.

    What a link leads to is written. A device, a pipe and /dev/stdout are written to: a new file in their place would be the end
    of them. Raises OSError, with the file's name where it would have none (a full disk).
    """
    if _is_a_stream(path):
        with _written_to(path, mode) as stream:
            yield stream
        return
    target = target_of(path)
    encoding = None if "b" in mode else "utf-8"
    try:
        with part_file(target) as temporary:
            with temporary.open(mode, encoding=encoding, newline=None if "b" in mode else "") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
    except OSError as error:
        if error.filename is None or is_part_of(target, str(error.filename)):
            error.filename = str(path)
        raise


def target_of(path: Path) -> Path:
    """What a link leads to; any other path as it is."""
    # Not Path.resolve, which raises for links in a circle: what leads nowhere is replaced.
    return Path(os.path.realpath(path)) if path.is_symlink() else path


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


def _is_a_stream(path: Path) -> bool:
    """Whether a path is of something that is no file on a disk, or that a process has opened."""
    folder = os.path.realpath(path.parent)
    return path.exists() and (folder == "/dev" or folder.startswith("/proc/") or not (path.is_file() or path.is_dir()))


@contextmanager
def _written_to(path: Path, mode: str) -> Iterator[IO]:
    encoding = None if "b" in mode else "utf-8"
    # Where this process has it open, too, both write at one place, one behind the other.
    opened = next((number for number in (1, 2) if os.path.samestat(path.stat(), os.fstat(number))), None)
    sys.stdout.flush()
    try:
        descriptor = os.open(path, os.O_WRONLY) if opened is None else os.dup(opened)
        with os.fdopen(descriptor, mode, encoding=encoding) as stream:
            yield stream
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with written_whole(path) as file:
        file.write(text)


def check_writable(path: Path) -> None:
    """Whether a file can be written, before long work is done for it. Raises OSError where it cannot.

    Nothing is made: what comes between may fail, and would leave a folder without the file.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, and a file is to be written", str(path))
    above = next(place for place in path.parents if os.path.lexists(place))
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{above} is no folder, in which a file is to be written", str(path))
    if not os.access(path if _is_a_stream(path) else above, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def check_replaceable(path: Path) -> None:
    """`check_writable` of a file in whose place a whole new one is put, which a device and a pipe would not survive."""
    if _is_a_stream(path):
        raise OSError(errno.EINVAL, "a file is to be written, and this is a device or a pipe", str(path))
    check_writable(path)


@contextmanager
def made_for(folder: Path) -> Iterator[None]:
    """A folder for what is written within: where an error ends it before there is a file, all folders go that were made.

    Raises OSError where there can be no such folder.
    """
    made, before = _make(folder)
    try:
        yield
    except BaseException:
        inside = [place for child in set(folder.iterdir()) - before for place in (child, *child.rglob("*"))]
        deepest_first = sorted((place for place in inside if place.is_dir()), key=lambda one: -len(one.parts))
        for place in (*deepest_first, *made):
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def _make(folder: Path) -> tuple[list[Path], set[Path]]:
    """Make a folder. Returns the folders that were not there, the deepest first, and what the folder has in it by now."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made, set(folder.iterdir())


@contextmanager
def begun_in(folder: Path, log: str) -> Iterator[None]:
    """A folder for what is begun within: where an error ends it before there is more than its log, all goes that was made.

    log: name of a file there. Raises OSError where there can be no such folder.
    """
    made, before = _make(folder)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if set(folder.iterdir()) - before <= {folder / log}:
                if folder / log not in before:
                    (folder / log).unlink(missing_ok=True)
                for place in made:
                    place.rmdir()
        raise
