"""What is written beside a file before it takes the file's name, and what a kill left of that.

Who writes a part holds a lock on it, which the system takes back when the process ends, however it ends: a part that can be
locked is nobody's. Its name has the computer, since not every disk that several share keeps one's locks from the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_END = ".part"
_COMPUTER = f"{zlib.crc32(platform.node().encode()):08x}"


@contextmanager
def part_file(target: Path) -> Iterator[Path]:
    """An empty file to write what will be a file; it is gone afterwards, unless it was renamed. Raises OSError.

    The folder is made, if need be.
    """
    part = _new_name(target)
    # Named and tried for before it is made, so that an interrupt at any moment leaves nothing.
    with _in_its_folder(target):
        try:
            with _held(part, part.touch):
                yield part
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """A folder for what will be a file, and others beside it; it is gone afterwards. Raises OSError.

    That in which it lies is made, if need be.
    """
    folder = _new_name(target)
    with _in_its_folder(target):
        try:
            with _held(folder, lambda: folder.mkdir(mode=0o700, exist_ok=True)):
                yield folder
        finally:
            _remove_folder(folder)


def is_part_of(target: Path, name: str) -> bool:
    """Whether a path is that of a part of a file."""
    return name.startswith(str(target.with_name(_beginning(target)))) and name.endswith(_END)


def remove_leftovers(target: Path) -> None:
    """Remove parts of a file that processes left which were killed. What another one is writing stays."""
    try:
        beside = list(target.parent.iterdir())
    except OSError:
        # Who writes there is told why.
        return
    for part in beside:
        if is_part_of(target, str(part)):
            _remove_if_nobodys(part)


def _remove_if_nobodys(part: Path) -> None:
    try:
        descriptor = os.open(part, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # What was renamed meanwhile is whole.
        if not _is_at(descriptor, part):
            return
        if part.is_dir():
            _remove_folder(part)
        else:
            part.unlink(missing_ok=True)
    except OSError:
        # Somebody writes it, or it is not ours to remove.
        return
    finally:
        os.close(descriptor)


@contextmanager
def _in_its_folder(target: Path) -> Iterator[None]:
    """Make the folder of what is written within; where an error ends it, the folders go again that were made for it."""
    made = list(itertools.takewhile(lambda place: not place.exists(), target.parents))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in made:
            # Others may have put something there meanwhile.
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


@contextmanager
def _held(part: Path, make: Callable[[], None]) -> Iterator[None]:
    """A new part with a lock on it."""
    descriptor = _locked(part, make)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(part: Path, make: Callable[[], None]) -> int:
    while True:
        make()
        try:
            descriptor = os.open(part, os.O_RDONLY)
        except FileNotFoundError:
            # Taken for a leftover before it was locked.
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            # A disk without locks, on which nobody takes anything for a leftover.
            return descriptor
        if _is_at(descriptor, part):
            return descriptor
        os.close(descriptor)


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        # As far as it came: the rest is no more use than the beginning.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _new_name(target: Path) -> Path:
    return target.with_name(f"{_beginning(target)}{secrets.token_hex(6)}{_END}")


def _is_at(descriptor: int, part: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        return False


def _beginning(target: Path) -> str:
    return f".{target.name}.{_COMPUTER}-"
