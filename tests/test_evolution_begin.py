"""What a search that could not begin, or was killed as it began, leaves to the next one in its folder."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gsnet.commands import evolution_search
from gsnet.evolution import database
from gsnet.evolution.folder import LOG
from gsnet.evolution.history import History
from gsnet.evolution.recorded import DATABASE, holds_search
from gsnet.evolution.settings import SearchError, SearchSettings
from gsnet.interface.options import InputError
from PlainNet import StructureError
from SearchSpace import SearchSpaceError

ROOT = Path(__file__).parent.parent
START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
OPTIONS = [
    *("--zero_shot_score", "Params", "--search_space", "XXBL", "--plainnet_struct", START, "--origin"),
    *("--fix_initialize", "--evolution_max_iter", "60", "--population_size", "8"),
]
# Kills itself where a database is made: before its tables, in the middle of them, and before they are committed.
KILLED = """
import os, signal, sys
from gsnet.commands import evolution_search
from gsnet.evolution import history

statements = int(sys.argv.pop(1))

class Connection:
    def __init__(self, connection):
        self._connection, self._left = connection, statements
    def __getattr__(self, name):
        if name in ("execute", "executemany", "executescript", "commit"):
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._connection, name)

connect = history.connect
history.connect = lambda path: connect(path) if str(path) == ":memory:" else Connection(connect(path))
evolution_search.main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def no_log_of_others():
    yield
    logging.basicConfig(force=True)


def search(folder, *more):
    return evolution_search.main([*OPTIONS, "--save_dir", str(folder), *more])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert search(folder) == 0
    return folder


def assert_found(folder, whole):
    for name in ("best.json", "pareto.csv", "best_structure.txt"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("statements", [0, 2, 4])
@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_kill_while_the_database_is_made(tmp_path, whole, statements, more):
    command = [sys.executable, "-c", KILLED, str(statements), *OPTIONS, "--save_dir", str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / DATABASE).exists() and not holds_search(tmp_path)
    assert search(tmp_path, *more) == 0
    assert_found(tmp_path, whole)


def empty_file(file):
    file.write_bytes(b"")


def tables_alone(file):
    """As earlier versions left it, whose statements were each on disk at once."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(database.SCHEMA)


def first_moment(file):
    """A history before its first round, by other options."""
    History.create(file.parent, SearchSettings("Params", seed=7)).close()


@pytest.mark.parametrize("leave", [empty_file, tables_alone, first_moment])
def test_a_database_without_a_search_is_in_nobodys_way(tmp_path, whole, leave):
    leave(tmp_path / DATABASE)
    assert search(tmp_path) == 0
    assert_found(tmp_path, whole)
    assert search(tmp_path) == 0


def test_resuming_nothing_is_said(tmp_path, capsys):
    empty_file(tmp_path / DATABASE)
    assert search(tmp_path, "--resume") == 0
    assert f"{tmp_path} holds nothing to go on with: the search begins" in capsys.readouterr().err


def test_what_is_worth_something_stays(tmp_path, whole):
    """A single proposal, what was told of one, a later version's, and what is no database at all."""
    statements = (
        "DELETE FROM proposals WHERE iteration > 0",
        "DELETE FROM proposals; INSERT INTO meta VALUES ('told 0', '1.5')",
        "DELETE FROM proposals; UPDATE meta SET value = '99' WHERE key = 'schema_version'",
        "DELETE FROM proposals; CREATE TABLE others (name)",
    )
    for number, statement in enumerate(statements):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(whole / DATABASE, folder)
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            connection.executescript("UPDATE meta SET value = '0' WHERE key = 'finished';" + statement)
        assert holds_search(folder), statement
        with pytest.raises(SearchError):
            search(folder)
    (tmp_path / DATABASE).write_bytes(b"no database at all " * 100)
    with pytest.raises(SearchError, match="not a database"):
        search(tmp_path)
    assert (tmp_path / DATABASE).read_bytes().startswith(b"no database")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--search_space", "absent_space.py"], (InputError, SearchSpaceError)),
        (["--plainnet_struct", "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(9,16,2,8,1)"], StructureError),
        (["--max_layers", "1"], SearchError),
        (["--workers", "3", "--islands", "2"], SearchError),
        (["--latency_table", "absent.db", "--budget_latency", "1ms"], InputError),
    ],
)
def test_a_search_that_cannot_begin_leaves_nothing(tmp_path, more, error):
    folder = tmp_path / "new" / "results"
    with pytest.raises(error):
        search(folder, *more)
    assert not folder.parent.exists()
    # Of a folder that was there, what was in it.
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(error):
        search(folder, *more)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    (folder / LOG).write_text("before\n")
    with pytest.raises(error):
        search(folder, *more)
    assert (folder / LOG).read_text().startswith("before\n")
