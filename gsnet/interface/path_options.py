"""The types of options that name files and folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from gsnet.interface.files import check_writable


def path(text: str) -> Path:
    """A file or folder, with ~ for the home folder, which a shell leaves to us in --save_dir=~/mine and a file of options too.

    Empty text is none: it is what a shell's variable that nobody set leaves, and would be the current folder.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty text is no path: is a variable of the shell not set?")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def new_file(text: str) -> Path:
    """A file to write, which is looked at before any work is done for it; who writes it makes its folder."""
    file = path(text)
    try:
        check_writable(file)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{error.filename or text}: {error.strerror}") from error
    return file


def structure(text: str) -> str:
    """A structure string, and not the path of a file with one."""
    if text.strip().lower().endswith(".txt"):
        raise argparse.ArgumentTypeError(
            f"{text} is a file, and the structure itself was expected: a file goes with --plainnet_struct_txt or --arch"
        )
    return text
