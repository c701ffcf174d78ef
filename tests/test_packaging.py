"""The project as a wheel: what it installs, where it runs, and what it says of itself."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import gsnet
from gsnet.__main__ import COMMANDS
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


ROOT = Path(__file__).parent.parent
INSTALLED = {"gsnet", "PlainNet", "SearchSpace", "ZeroShotProxy", "ZenNet", "Masternet.py"}
# Folders and files of a user's that have the names of our rooms as they once were, or of our scripts.
THEIRS = ("Training", "Detection", "Interface", "Evolution", "DataLoader", "ModelLoader", "Validation", "Latency")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the working folder, built from a copy, so that nothing is left behind here."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "save_dir", "tests", "docs", "benchmarks", "build", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=left_out)
    head = repository(folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", str(folder), str(folder / "source")], check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file, head


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an environment that has the wheel, and the libraries of the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
    ]
    subprocess.run([*command, "--target", str(site), str(wheel[0])], check=True, capture_output=True)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of a user's, first on Python's path, that is full of names like ours."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not yours')\n")
    for name in ("val.py", "evolution_search.py", "compare.py"):
        (tmp_path / name).write_text("raise SystemExit('not yours')\n")
    return tmp_path


def run(bin_folder, folder, *arguments):
    command = [bin_folder / "python", "-m", "gsnet", *map(str, arguments)]
    own = os.environ | {"PYTHONPATH": str(folder), "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300, check=False)


def test_a_wheel_holds_our_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel[0]) as content:
        names = content.namelist()
        assert content.read("gsnet/commit.txt").decode().strip() == wheel[1]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == INSTALLED
    page = {f"gsnet/comparing/{name}" for name in ("page.html", "page.css", "page.js", "page_table.js")}
    recipes = {f"gsnet/recipes/{file.name}" for file in (ROOT / "recipes").glob("*.toml")}
    assert len(recipes) == 4 and {"ZenNet/catalogue.toml", "gsnet/py.typed", *page, *recipes} <= set(names)


def test_an_installed_package_knows_its_commit(wheel, installed, elsewhere):
    repository(elsewhere)
    found = run(installed, elsewhere, "--version")
    assert found.stdout == f"gsnet {gsnet.__version__} ({wheel[1]})\n", found.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_runs_beside_folders_with_our_old_names(name, installed, elsewhere):
    found = run(installed, elsewhere, name, "--help")
    assert found.returncode == 0 and found.stdout and not found.stderr, found.stderr
    # Recipes are found, by those that take them.
    assert ("cifar, timm-a2, timm-a3," in " ".join(found.stdout.split())) == ("train_image" in name)


def test_a_search_from_an_installed_package(wheel, installed, elsewhere):
    structure = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
    (elsewhere / "init.txt").write_text(structure)
    search = ("--zero_shot_score", "Params", "--search_space", "SearchSpace/search_space_XXBL.py", "--origin")
    more = ("--fix_initialize", "--plainnet_struct_txt", "init.txt", "--evolution_max_iter", 50, "--save_dir", "found")
    found = run(installed, elsewhere, "evolution_search", *search, *more)
    assert found.returncode == 0, found.stderr
    assert json.loads((elsewhere / "found/config.json").read_text())["commit"] == wheel[1]
    counted = run(installed, elsewhere, "analyze_model", "--plainnet_struct", structure, "--json")
    assert counted.returncode == 0 and json.loads(counted.stdout), counted.stderr
