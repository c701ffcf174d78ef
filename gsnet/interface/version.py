"""Which GSNet this is: its version, and the commit that it was made from. Builds run this file by itself: see wheel.py."""

from __future__ import annotations

import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

PROJECT = "gsnet"
# What a build leaves in the package, relative to its root.
COMMIT_FILE = "gsnet/commit.txt"
_ROOT = Path(__file__).resolve().parent.parent.parent


def version(root: Path = _ROOT) -> str:
    """The project's version: a checkout's own, whatever is installed beside it, otherwise that of the installed package."""
    return _declared(root) or metadata.version(PROJECT)


def commit(root: Path = _ROOT) -> str | None:
    """The commit of the project's code; None where nobody knows it.

    A package knows what its build wrote down. Of git only a checkout of the project itself is asked: the repository that
    an installation or a copy happens to lie in is somebody else's.
    """
    if _declared(root) and (found := git_commit(root)):
        return found
    file = root / COMMIT_FILE
    return (file.read_text(encoding="ascii").strip() or None) if file.is_file() else None


def git_commit(root: Path) -> str | None:
    """The commit that the repository whose top folder is `root` has checked out; None where there is no such repository."""
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    if result.returncode:
        return None
    top, head = result.stdout.splitlines()
    return head if Path(top).resolve() == root.resolve() else None


def _declared(root: Path) -> str | None:
    """The version that the checkout's pyproject.toml says; None where `root` is no checkout of the project."""
    file = root / "pyproject.toml"
    if not file.is_file():
        return None
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return project.get("version") if project.get("name") == PROJECT else None
