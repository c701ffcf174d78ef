"""A search survives kills, signals, full disks and torn files, and two never write into one folder."""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
ITERATIONS = 60_000
OUTPUTS = ("history.csv", "best.json", "pareto.csv")


def command(folder, *options, iterations=ITERATIONS, python=sys.executable):
    return [
        *(python, "evolution_search.py", "--zero_shot_score", "Random", "--fix_initialize", "--origin"),
        *("--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", START),
        *("--max_layers", "30", "--budget_model_size", "2e6", "--population_size", "64"),
        *("--evolution_max_iter", str(iterations), "--save_dir", str(folder), *map(str, options)),
    ]


def run(folder, *options, iterations=ITERATIONS, **keywords):
    # A process that is limited has to be one's own child.
    python = sys.executable if keywords else os.environ["WARM_PYTHON"]
    return subprocess.run(
        command(folder, *options, iterations=iterations, python=python),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        **keywords,
    )


def start(folder, *options, **keywords):
    return subprocess.Popen(
        command(folder, *options), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **keywords
    )


def wait_for_rows(folder, count, process):
    """Wait until that many rows are committed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if committed(folder) >= count:
            return
        time.sleep(0.02)


def committed(folder):
    try:
        with closing(sqlite3.connect(f"file:{folder / 'search.db'}?mode=ro", uri=True)) as database:
            return database.execute("SELECT COUNT(*) FROM proposals").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "whole"
    assert run(folder).returncode == 0
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def outputs(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def test_five_kills_lose_nothing(tmp_path, uninterrupted):
    generator, kills = random.Random(0), 0
    folder = tmp_path / "killed"
    while kills < 5:
        process = start(folder, *(["--resume"] if (folder / "search.db").exists() else []))
        if kills % 2:
            # While it starts, or between two commits.
            time.sleep(generator.uniform(0.4, 1.4))
        else:
            wait_for_rows(folder, committed(folder) + 1, process)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        process.stderr.close()
        kills += 1
    assert kills >= 3, "it must not end before it is killed"
    result = run(folder, "--resume")
    assert result.returncode == 0, result.stderr
    assert outputs(folder) == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_commits_and_says_how_to_go_on(tmp_path, uninterrupted, number):
    process = start(tmp_path)
    wait_for_rows(tmp_path, 500, process)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "continue with --resume" in message
    done = int(message.split("stopped after ")[1].split(" ")[0].replace(",", ""))
    assert committed(tmp_path) == done
    assert run(tmp_path, "--resume").returncode == 0
    assert outputs(tmp_path) == uninterrupted


def test_a_torn_write_ahead_log_costs_only_its_last_commits(tmp_path, uninterrupted):
    process = start(tmp_path)
    wait_for_rows(tmp_path, 2_000, process)
    process.kill()
    process.wait()
    process.stderr.close()
    log = tmp_path / "search.db-wal"
    assert log.stat().st_size > 0
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size * 2 // 3 + 7)
    result = run(tmp_path, "--resume")
    assert result.returncode == 0, result.stderr
    assert outputs(tmp_path) == uninterrupted


def test_a_full_disk_is_said_and_survived(tmp_path, uninterrupted):
    process = start(tmp_path)
    wait_for_rows(tmp_path, 1_000, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    before = committed(tmp_path)
    assert "search.db: " in stops_on_a_full_disk(tmp_path)
    assert 0 < before <= committed(tmp_path) < ITERATIONS
    assert run(tmp_path, "--resume").returncode == 0
    assert outputs(tmp_path) == uninterrupted
    for name in ("history.csv", "best_structure.txt"):
        (tmp_path / name).unlink()
    assert "history.csv: " in stops_on_a_full_disk(tmp_path)
    assert not (tmp_path / "history.csv").exists()
    assert run(tmp_path, "--resume").returncode == 0
    assert outputs(tmp_path) == uninterrupted


def stops_on_a_full_disk(folder):
    """What a resumed search says when no file may grow beyond 200 kB, some hundred rows."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    result = run(folder, "--resume", preexec_fn=limit)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "--resume" in result.stderr
    return result.stderr


def test_a_second_search_in_the_same_folder_stops(tmp_path):
    process = start(tmp_path)
    wait_for_rows(tmp_path, 1, process)
    second = run(tmp_path, "--resume")
    process.kill()
    process.wait()
    process.stderr.close()
    assert second.returncode == 2
    assert f"process {process.pid}" in second.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root writes everywhere")
def test_a_read_only_folder_is_said(tmp_path):
    folder = tmp_path / "read_only"
    folder.mkdir()
    folder.chmod(0o555)
    arguments = command(folder, iterations=100)
    if os.geteuid() == 0:
        for parent in (tmp_path, *tmp_path.parents):
            if parent.owner() == "root" and str(parent).startswith("/tmp/pytest"):
                parent.chmod(0o755)
        arguments = ["setpriv", "--reuid=65534", "--clear-groups", *arguments]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert str(folder) in result.stderr


def test_a_foreign_database_is_refused(tmp_path):
    (tmp_path / "search.db").write_bytes(b"not a database" * 100)
    result = run(tmp_path, "--resume")
    assert (result.returncode, "search.db" in result.stderr, "Traceback" in result.stderr) == (2, True, False)


def test_a_clock_that_goes_backwards_changes_nothing(tmp_path, monkeypatch, uninterrupted):
    from gsnet.evolution import history, runner
    from gsnet.evolution.settings import SearchSettings

    ticks = iter(range(10**9, 0, -7))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    monkeypatch.setattr(history.time, "monotonic", lambda: float(next(ticks)))
    settings = SearchSettings(
        zero_shot_score="Random",
        evolution_max_iter=ITERATIONS,
        population_size=64,
        fix_initialize=True,
        origin=True,
        search_space=str(ROOT / "SearchSpace/search_space_ghostshuffle.py"),
        plainnet_struct=START,
        max_layers=30,
        budget_model_size=2e6,
    )
    runner.run_search(settings, tmp_path, runner.RunOptions(quiet=True), [])
    assert (tmp_path / "history.csv").read_bytes() == uninterrupted["history.csv"]


def test_a_search_with_other_random_numbers_is_not_continued(tmp_path):
    assert run(tmp_path, iterations=50).returncode == 0
    with closing(sqlite3.connect(tmp_path / "search.db")) as database:
        database.execute("UPDATE meta SET value = 'Mersenne Twister' WHERE key = 'random_numbers'")
        database.commit()
    result = run(tmp_path, "--resume", iterations=100)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "begun by an older version" in result.stderr
    assert committed(tmp_path) == 50
