"""The project as a wheel: what it installs, where it runs, and what it says of itself."""

import subprocess

import gsnet
from gsnet.interface.version import commit, version


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def checkout(folder, name="gsnet"):
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "7.8.9"\n')
    return folder


def repository(folder):
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "x")
    return git(folder, "rev-parse", "HEAD")


def test_a_checkout_knows_its_version_and_its_commit(tmp_path):
    assert gsnet.__version__ == version()
    root = checkout(tmp_path / "here")
    head = repository(root)
    assert (version(root), commit(root)) == ("7.8.9", head)


def test_the_repository_around_a_copy_is_somebody_elses(tmp_path):
    inside = checkout(tmp_path / "theirs/copy")
    repository(tmp_path / "theirs")
    assert commit(inside) is None
    (inside / "gsnet").mkdir()
    (inside / "gsnet/commit.txt").write_text("abc\n")
    assert commit(inside) == "abc"


def test_a_project_of_another_name_tells_nothing(tmp_path):
    root = checkout(tmp_path / "site-packages", name="theirs")
    repository(root)
    assert commit(root) is None
