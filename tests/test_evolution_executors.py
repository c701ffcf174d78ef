"""Scoring elsewhere gives the same history, whoever dies on the way."""

import contextlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsnet.evolution import scorer
from gsnet.evolution.executors import InProcess, WorkerPool, processes_for
from gsnet.evolution.extensions import NO_EXTENSIONS
from gsnet.evolution.functions import NO_FUNCTIONS
from gsnet.evolution.island_places import IslandsLost
from gsnet.evolution.jobs import ChunkSize, Job, in_chunks
from gsnet.evolution.scorer import Scored
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import SearchSettings

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperConvK1BNRELU(32,64,1,1)"
)
SETTINGS = SearchSettings(zero_shot_score="Zen", batch_size=2, input_image_size=16)


def search_arguments(folder, *options):
    return [
        *("evolution_search.py", "--zero_shot_score", "Zen", "--fix_initialize", "--origin"),
        *("--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", START),
        *("--batch_size", "2", "--input_image_size", "16", "--evolution_max_iter", "200", "--round_size", "20"),
        *("--max_layers", "12", "--population_size", "16", "--save_dir", str(folder), *map(str, options)),
    ]


def search(folder, *options, **keywords):
    arguments = [os.environ["WARM_PYTHON"], *search_arguments(folder, *options)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, **keywords)


class Deadly:
    """Stands for a network: scoring its text kills the process, the first `deaths` times."""

    def __init__(self, marker, deaths):
        self.marker, self.deaths = marker, deaths

    def __str__(self):
        return f"deadly:{self.marker}:{self.deaths}"


@pytest.fixture
def pool(monkeypatch, tmp_path):
    """A real pool of two processes, in which texts that begin with "deadly" kill their worker."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "deadly_scorer.py").write_text(
        "import os, pathlib, signal\n"
        "from gsnet.evolution.scorer import Scored\n"
        "def score_texts(settings, extensions, candidates):\n"
        "    results = []\n"
        "    for text, seed in candidates:\n"
        "        if str(text).startswith('deadly'):\n"
        "            _, marker, deaths = str(text).split(':')\n"
        "            count = pathlib.Path(marker)\n"
        "            died = len(count.read_text()) if count.exists() else 0\n"
        "            if died < int(deaths):\n"
        "                count.write_text('x' * (died + 1))\n"
        "                os.kill(os.getpid(), signal.SIGKILL)\n"
        "        results.append(Scored(float(seed), '', None, 0.01))\n"
        "    return results\n"
    )
    import deadly_scorer

    monkeypatch.setattr("gsnet.evolution.executors.score_texts", deadly_scorer.score_texts)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    executor = WorkerPool(SETTINGS, workers=2)
    yield executor
    executor.close()
    sys.modules.pop("deadly_scorer", None)


def test_a_candidate_that_kills_its_worker_thrice_is_a_failure(pool, tmp_path):
    jobs = [Job("harmless", n) for n in range(12)]
    jobs[3] = Job(Deadly(tmp_path / "always", 99), 3)
    jobs[8] = Job(Deadly(tmp_path / "twice", 2), 8)
    results = pool.score(jobs)
    assert [r.score for r in results] == [float(n) if n != 3 else None for n in range(12)]
    assert results[3].reason == "its worker process died 3 times"
    assert [r.score for r in pool.score(jobs[:3])] == [0.0, 1.0, 2.0]


def test_no_worker_starts_while_another_may_die(pool, tmp_path):
    """Python waits for ever, at its end, for a worker which a pool took in while it broke: none is taken in later."""
    assert len(multiprocessing.active_children()) == 2
    pool.score([Job(Deadly(tmp_path / "once", 1), 0), Job("harmless", 1)])
    # The processes of the broken pool end a moment later.
    deadline = time.monotonic() + 20
    while len(multiprocessing.active_children()) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(multiprocessing.active_children()) == 2
    pool.close()
    assert not multiprocessing.active_children()


def is_running(process):
    """Whether there is a process that nobody need only wait for."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_scoring_processes_end_with_a_search_that_is_killed(tmp_path):
    """They waited for candidates for ever."""
    command = [sys.executable, *search_arguments(tmp_path, "--workers", 2)]
    command[command.index("200")] = "50000000"
    searching = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and rows_in(tmp_path / "search.db") < 20:
        time.sleep(0.1)
    started = Path(f"/proc/{searching.pid}/task/{searching.pid}/children").read_text().split()
    searching.kill()
    searching.wait()
    assert len(started) >= 2
    while time.monotonic() < deadline and any(map(is_running, started)):
        time.sleep(0.1)
    left = [process for process in started if is_running(process)]
    for process in left:
        os.kill(int(process), signal.SIGKILL)
    assert not left


def test_chunks_grow_to_a_fraction_of_a_second_of_work():
    size = ChunkSize()
    assert size.of(1_000, 2) == 1
    size.learn([Scored(1.0, "", None, 0.001)])
    assert size.of(10_000, 2) == 300
    assert size.of(100, 2) == 25
    size.learn([Scored(1.0, "", None, 100.0)] * 50)
    assert size.of(10_000, 2) == 1
    chunks = in_chunks(range(7), 3)
    assert [chunks.pop() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.skipif(not shutil.which("dask", path=str(Path(sys.executable).parent)), reason="Dask is not installed")
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_history(tmp_path):
    dask, address = str(Path(sys.executable).parent / "dask"), f"tcp://127.0.0.1:{free_port()}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = []
    # A proxy that the workers know from the candidates alone.
    (tmp_path / "mine.py").write_text(_PLUGIN)
    plugin = ["--plugin", tmp_path / "mine.py", "--zero_shot_score", "HalfZen"]

    def launch(*arguments):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        processes.append(
            subprocess.Popen([dask, *arguments], cwd=tmp_path, env=environment, start_new_session=True, **quiet)
        )

    try:
        launch("scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard")
        for _ in range(2):
            launch("worker", address, "--nthreads", "1", "--no-dashboard")
        driver = subprocess.Popen(
            [sys.executable, "-c", _KILLER, str(tmp_path / "dask/search.db"), str(processes[1].pid)], cwd=ROOT
        )
        result = search(tmp_path / "dask", *plugin, "--scheduler", address)
        driver.wait(timeout=60)
        assert result.returncode == 0, result.stderr
        assert driver.returncode == 0
        islands = islands_on(tmp_path / "islands", RunOptions(scheduler=address), loses_them=True)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert search(tmp_path / "here", *plugin).returncode == 0
    for name in ("history.csv", "best.json", "pareto.csv"):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert islands == islands_on(tmp_path / "islands_here", RunOptions())
    assert '"zero_shot_score": "HalfZen"' in (tmp_path / "here/best.json").read_text()


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and one worker, as processes of their own: the address, the processes."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = []
    try:
        for command in (
            ("scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard"),
            ("worker", address, "--nthreads", "1", "--no-dashboard"),
        ):
            dask = [sys.executable, "-m", "dask", *command]
            processes.append(subprocess.Popen(dask, cwd=tmp_path, env=environment, start_new_session=True, **quiet))
        with distributed.Client(address, timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
        yield address, processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def islands_held():
    """How many islands the worker holds that this runs on."""
    from gsnet.evolution import dask_islands

    return len(dask_islands._held)


ISLANDS = ("--zero_shot_score", "ZenClosedForm", "--round_size", 1, "--islands", 2, "--migration", 500)


def test_islands_go_with_the_search_that_has_them(cluster, tmp_path):
    """Those of a search that was killed stayed on the workers for ever."""
    from distributed import Client

    def wait_for(count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and list(client.run(islands_held).values()) != [count]:
            time.sleep(0.2)
        return list(client.run(islands_held).values())

    with Client(cluster[0]) as client:
        client.run(sys.path.insert, 0, str(ROOT / "tests"))
        command = [sys.executable, *search_arguments(tmp_path, *ISLANDS, "--scheduler", cluster[0])]
        command[command.index("200")] = "50000000"
        searching = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_for(2) == [2]
        searching.kill()
        searching.wait()
        assert wait_for(0) == [0]
        # What one search lets go is not what another one has.
        assert len(islands_on(tmp_path / "after", RunOptions(scheduler=cluster[0]))) == 900
        assert wait_for(0) == [0]


def test_an_island_is_not_made_where_another_worker_was_meant():
    """Dask makes again, elsewhere, what is lost with a worker: an island that knows nothing of what it was told."""
    dask_islands = pytest.importorskip("gsnet.evolution.dask_islands", reason="Dask is not installed")
    settings = SearchSettings("Params", fix_initialize=True, origin=True, plainnet_struct=START,
                              search_space="SearchSpace/search_space_ghostshuffle.py")  # fmt: skip
    made = ("one", 0), settings, NO_FUNCTIONS, NO_EXTENSIONS
    with pytest.raises(IslandsLost):
        dask_islands.make(made[0], "another process", *made[1:])
    stay = dask_islands.make(made[0], dask_islands.process_of_worker(), *made[1:])
    assert dask_islands.ask(made[0], "members", ()) == []
    # Written down and read again, as where memory is short, it still stands for the island.
    pickle.loads(pickle.dumps(stay))
    del stay
    assert dask_islands.ask(made[0], "members", ()) == []
    dask_islands.let_go("one")
    stay = dask_islands.make(made[0], dask_islands.process_of_worker(), *made[1:])
    del stay
    with pytest.raises(IslandsLost):
        dask_islands.ask(made[0], "members", ())


@pytest.mark.parametrize("more", [(), ISLANDS], ids=["scoring", "islands"])
def test_a_scheduler_that_is_lost_is_one_sentence(more, cluster, tmp_path):
    address, (scheduler, _) = cluster
    command = [sys.executable, *search_arguments(tmp_path, *more, "--scheduler", address)]
    command[command.index("200")] = "50000000"
    searching = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and rows_in(tmp_path / "search.db") < 20:
        time.sleep(0.1)
    os.killpg(scheduler.pid, signal.SIGKILL)
    _, said = searching.communicate(timeout=120)
    # Dask's own log of it may have a traceback.
    assert (searching.returncode, "gsnet/evolution" in said) == (1, False), said
    assert "The Dask scheduler does not answer any more" in said.strip().splitlines()[-1]
    assert rows_in(tmp_path / "search.db") >= 20 and (tmp_path / "best_structure.txt").exists()


def rows_in(database):
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened,
    ):
        return opened.execute("SELECT COUNT(*) FROM proposals").fetchone()[0]
    return 0


def islands_on(folder, options, loses_them=False):
    """The rows of a search with islands; these are lost once on the way."""
    settings = SearchSettings("Params", evolution_max_iter=900, population_size=16, islands=2, migration=150, max_layers=12,
                              fix_initialize=True, origin=True, search_space="SearchSpace/search_space_ghostshuffle.py",
                              plainnet_struct=START)  # fmt: skip
    with contextlib.closing(Session(settings, folder, options)) as session:
        while not session.search.finished:
            session.search.advance()
            if loses_them and session.search.progress.next_iteration >= 300:
                session._places._let_go()
                loses_them = False
        session.history.commit()
        return [row._replace(seconds=0.0) for row in session.history.rows()]


_PLUGIN = """
from ZeroShotProxy import get_proxy, proxy

zen = get_proxy("Zen")


@proxy("HalfZen", needs=zen.needs, weights=zen.weights, keeps_links=zen.keeps_links)
def half(network, context):
    return zen.compute(network, context) / 2
"""
# Waits until some rounds are committed, then kills a worker with its nanny.
_KILLER = """
import os, signal, sqlite3, sys, time
deadline = time.monotonic() + 100
while time.monotonic() < deadline:
    try:
        database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
        rows = database.execute("SELECT COUNT(*) FROM proposals").fetchone()[0]
        database.close()
    except sqlite3.OperationalError:
        rows = 0
    if rows >= 20:
        os.killpg(int(sys.argv[2]), signal.SIGKILL)
        sys.exit(0)
    time.sleep(0.01)
sys.exit(1)
"""


def test_no_scheduler_is_one_sentence(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    result = search(tmp_path, "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    assert (result.returncode, "No Dask scheduler answers" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr


class OfTwo(Exception):  # noqa: N818
    """An error of a user's that pickle cannot make again."""

    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")


@pytest.mark.parametrize("error", [OfTwo("no width", "mine.py"), ValueError("no width in mine.py")])
def test_an_error_of_ones_own_is_told_in_another_process(error, monkeypatch):
    """One that pickle cannot make again was taken for the death of a worker, three times for each candidate."""

    class Failing:
        def all(self, candidates):
            raise error

    monkeypatch.setattr(scorer, "_worker_scorer", lambda settings, extensions: Failing())
    # As itself where pickle can, or Dask has taught it to, else as a RuntimeError with its words.
    with pytest.raises((RuntimeError, type(error)), match=r"no width in mine\.py") as told:
        scorer.score_texts(None, None, [])
    # Dask's pickle follows causes: an error that is its own would never end.
    assert told.value.__cause__ is not told.value
    assert str(pickle.loads(pickle.dumps(told.value))).endswith("no width in mine.py")


@pytest.mark.parametrize(
    ("changes", "processes"),
    [
        ({"device": "cuda:0"}, 1),
        ({"device": "mps"}, 1),
        ({}, 4),
        ({"device": "cuda:0", "zero_shot_score": "ZenClosedForm"}, 4),
        ({"device": "cuda:0", "zero_shot_score": "Params", "budget_latency": 1.0}, 1),
    ],
)
def test_one_process_scores_where_several_would_share_a_gpu(changes, processes, caplog):
    """A network of the closed form is a value, which no GPU sees; what is built, and what is timed, is on it."""
    settings = SearchSettings(**({"search_space": "XXBL", "zero_shot_score": "Zen"} | changes))
    assert processes_for(settings, 4) == processes
    assert ("several are slower than one" in caplog.text) == (processes == 1)
    assert processes_for(settings, 1) == 1


def test_what_was_asked_for_is_recorded_where_one_process_scores(tmp_path, monkeypatch):
    """On another machine the same options may mean several processes."""
    monkeypatch.setattr("gsnet.evolution.session.processes_for", lambda settings, workers, given: 1)
    settings = SearchSettings(search_space="XXBL", zero_shot_score="Params", evolution_max_iter=20)
    with contextlib.closing(Session(settings, tmp_path / "search", RunOptions(workers=2))) as session:
        assert isinstance(session._executor, InProcess)
    assert json.loads((tmp_path / "search/config.json").read_text())["run"]["workers"] == 2
