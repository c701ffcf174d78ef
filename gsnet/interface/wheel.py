"""Build steps by which wheels and source distributions know their commit; pyproject.toml names them, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

# setuptools finds this file without the project on the path, so its neighbour is found by its place, too.
_VERSION = runpy.run_path(str(Path(__file__).with_name("version.py")))


def _write_commit(target: Path) -> None:
    """Write down the commit of the working folder, where a repository tells it; what a source distribution says stays."""
    file = target / _VERSION["COMMIT_FILE"]
    if (commit := _VERSION["git_commit"](Path.cwd())) and file.parent.is_dir():
        # A hard link to a file of the checkout's must not be written through.
        file.unlink(missing_ok=True)
        file.write_text(commit + "\n", encoding="ascii")


class BuildWithCommit(build_py):
    """Packages for a wheel; an editable installation stays a checkout, which asks git itself."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            _write_commit(Path(self.build_lib))


class SdistWithCommit(sdist):
    """The source distribution, from which a wheel can be built where there is no repository."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        _write_commit(Path(base_dir))
