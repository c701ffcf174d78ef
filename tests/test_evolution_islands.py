"""Islands propose and keep the same, wherever they live and however many run at the same time."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import gsnet
from gsnet.evolution import history, island_search, session
from gsnet.evolution.island import EMIGRANTS
from gsnet.evolution.recorded import HistoryReader
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import SearchError, SearchSettings
from gsnet.evolution.turns import Turn, Turns

ROOT = Path(__file__).parent.parent
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperConvK1BNRELU(64,128,1,1)"
)
SETTINGS = SearchSettings(
    "ZenClosedForm",
    evolution_max_iter=4_700,
    population_size=32,
    islands=3,
    migration=500,
    fix_initialize=True,
    origin=True,
    search_space="SearchSpace/search_space_XXBL.py",
    plainnet_struct=START,
    max_layers=14,
    budget_model_size=1e6,
    budget_flops=3e7,
)
IN_PYTHON = replace(SETTINGS, objectives=("score", "params"), evolution_max_iter=400, migration=40)


def run(folder, settings=SETTINGS, stop=None, **options):
    """A search without its pictures, up to its end or to an iteration."""
    with closing(Session(settings, folder, RunOptions(**options))) as session:
        while not session.search.finished and session.search.progress.next_iteration < (stop or 10**9):
            session.search.advance()
        session.history.commit()
    return rows_of(folder)


def rows_of(folder):
    with closing(HistoryReader.read(folder)) as reader:
        return [row._replace(seconds=0.0) for row in reader.rows()]


def migrations_of(folder):
    with closing(sqlite3.connect(folder / "search.db")) as database:
        return dict(database.execute("SELECT key, value FROM meta WHERE key GLOB 'migration *'"))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    run(folder)
    return folder


def test_turns_follow_each_other():
    turns = Turns(3, 10)
    assert (
        turns.of(0) == Turn(0, 0, 0, 10) and turns.of(59) == Turn(1, 2, 50, 60) and turns.of(61) == Turn(2, 0, 60, 70)
    )
    # The second turn of the last island: ten of its own came before.
    assert [turns.own(iteration) for iteration in (0, 9, 12, 30, 59)] == [0, 9, 2, 10, 19]
    assert turns.epoch(44, 55) == [Turn(1, 1, 44, 50), Turn(1, 2, 50, 55)]
    assert [turn.island for turn in turns.epoch(60, 1_000)] == [0, 1, 2]


def test_one_island_is_the_search_without_islands(tmp_path):
    alone = replace(SETTINGS, islands=1, evolution_max_iter=1_200)
    wanted = run(tmp_path / "alone", alone)
    with closing(Session(alone, tmp_path / "one")) as session:
        places = island_search_places(alone)
        search = island_search.IslandSearch(alone, session.history, places)
        while not search.finished:
            search.advance()
        session.history.commit()
    assert rows_of(tmp_path / "one") == wanted


def island_search_places(settings):
    from gsnet.evolution.island_places import Here

    return Here(settings)


def test_islands_are_searches_of_their_own_until_they_meet(here):
    rows = rows_of(here)
    turns = Turns(3, 500)
    leaving = {turns.of(i).epoch: None for i in range(4_700)}
    assert list(leaving) == [0, 1, 2, 3]
    for row in rows:
        if row.parent is None:
            continue
        of, parent = turns.of(row.iteration), turns.of(row.parent)
        # A parent is of the same island, or came over from the one before.
        assert parent.island == of.island or parent.epoch < of.epoch
        assert of.epoch or parent.island == of.island
    came = [r for r in rows if r.parent is not None and turns.of(r.parent).island != turns.of(r.iteration).island]
    assert len(came) > 50
    kept = migrations_of(here)
    assert sorted(kept) == ["migration 1", "migration 2", "migration 3"]
    # Who leaves the first island after its first turn: the best of that, the oldest first among equals.
    best = sorted((r for r in rows[:500] if r.score is not None), key=lambda r: (-r.score, r.iteration))[:EMIGRANTS]
    assert str([row.iteration for row in best]) in kept["migration 1"]


def test_the_best_of_an_ensembles_islands_has_the_score_that_it_has_now():
    """Its aggregate among the members of the moment: what it was when it came was told to the end."""
    ensemble = replace(
        SETTINGS, zero_shot_score="Ensemble", ensemble=("Params", "Flops"), evolution_max_iter=600, migration=20
    )
    with closing(Session(ensemble)) as session:
        search = session.search
        while not search.finished:
            search.advance()
            bests = [status.best for status in search.statuses if status.best]
            assert not bests or search.best.score == max(best.score for best in bests)


def test_the_winner_of_an_ensembles_islands_that_is_measured_is_the_one_that_is_named(tmp_path, monkeypatch):
    """Among all populations together another network may be the best than on its island, as with this seed."""
    settings = replace(
        SETTINGS,
        zero_shot_score="Ensemble",
        ensemble=("Params", "ZenClosedForm"),
        evolution_max_iter=600,
        population_size=12,
        migration=50,
        max_layers=14,
        budget_model_size=1e5,
        budget_flops=None,
        plainnet_struct="SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,32,2,16,1)"
        "SuperConvK1BNRELU(32,64,1,1)",
        islands=3,
        seed=4,
    )
    measured = []
    monkeypatch.setattr(session, "measure_winner", lambda *of: measured.append(of[-1].text))
    with closing(Session(settings, tmp_path)) as searching:
        while not searching.search.finished:
            searching.search.advance()
        readings, batches = [], HistoryReader.batches
        monkeypatch.setattr(HistoryReader, "batches", lambda *of: readings.append(of) or batches(*of))
        searching.finish()
        without, readings[:] = len(readings), []
        searching.settings = replace(settings, latency_table="table.db")
        named = searching.finish()["structure"]
        assert searching.search.best.network.text != named
    assert measured == [named]
    assert len(readings) == without, "the winner is that of the reading that the outputs are made from"


def test_islands_in_python_record_the_same_in_processes(tmp_path):
    assert run(tmp_path / "two", IN_PYTHON, workers=2) == run(tmp_path / "here", IN_PYTHON)
    assert len(rows_of(tmp_path / "here")) == 400


@pytest.mark.parametrize("stop", [900, 3_000], ids=lambda stop: f"stopped at {stop}")
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not(tmp_path, here, stop, monkeypatch):
    monkeypatch.setattr(history, "ROWS_IN_DATABASE", 700)
    shorter = len(run(tmp_path, stop=stop))
    assert stop <= shorter < stop + 1_100
    assert run(tmp_path, resume=True) == rows_of(here)
    assert migrations_of(tmp_path) == migrations_of(here)


def test_processes_record_the_same_although_one_dies(tmp_path, here):
    with closing(Session(SETTINGS, tmp_path, RunOptions(workers=2))) as session:
        killed = False
        while not session.search.finished:
            session.search.advance()
            if session.search.progress.next_iteration >= 1_500 and not killed:
                killed = True
                os.kill(session._places._processes[1]._process.pid, signal.SIGKILL)
        session.history.commit()
    assert killed and rows_of(tmp_path) == rows_of(here) and migrations_of(tmp_path) == migrations_of(here)


def test_a_killed_search_is_resumed_to_the_same_bytes(tmp_path, here):
    command = [
        *(sys.executable, "evolution_search.py", "--zero_shot_score", "ZenClosedForm", "--fix_initialize", "--origin"),
        *("--search_space", "SearchSpace/search_space_XXBL.py", "--plainnet_struct", START, "--max_layers", "14"),
        *("--budget_model_size", "1e6", "--budget_flops", "3e7", "--population_size", "32", "--islands", "3"),
        *("--migration", "500", "--evolution_max_iter", "4700", "--workers", "2", "--save_dir", str(tmp_path)),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not (tmp_path / "search.db").exists():
        time.sleep(0.02)
    time.sleep(0.5)
    process.kill()
    process.wait()
    result = subprocess.run([*command, "--resume"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert rows_of(tmp_path) == rows_of(here)


def test_a_longer_search_goes_on(tmp_path, here):
    run(tmp_path, replace(SETTINGS, evolution_max_iter=2_100))
    assert run(tmp_path, resume=True) == rows_of(here)


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(SearchError, match=r"--workers 4 are more than --islands 3"):
        Session(SETTINGS, tmp_path, RunOptions(workers=4))
    with pytest.raises(SearchError, match="multiple of round_size"):
        replace(SETTINGS, round_size=32)
    options = {"space": "XXBL", "budgets": {"wide": (lambda network: 1.0, 2.0)}, "iterations": 50}
    with pytest.raises(SearchError, match="do not have functions of a program"):
        gsnet.search(START, proxy="Params", islands=2, workers=2, **options)
    found = gsnet.search(START, proxy="Params", islands=2, migration=10, **options)
    assert found.iterations == 50
    with pytest.raises(gsnet.InputError, match="one population"):
        gsnet.Search(START, islands=2, **options)
    with (
        gsnet.Search(START, proxy="Params", islands=2, **options) as search,
        pytest.raises(SearchError, match="one pop"),
    ):
        search.ask(1)


def test_islands_end_where_one_has_found_all_there_is(tmp_path):
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,8,2,8,1)SuperConvK1BNRELU(8,8,1,1)"
    small = {"plainnet_struct": start, "max_layers": 3, "budget_model_size": 3e3, "population_size": 4, "islands": 2}
    settings = replace(SETTINGS, evolution_max_iter=60_000, migration=1_000, **small)
    rows = run(tmp_path / "here", settings)
    assert len(rows) < 60_000
    assert run(tmp_path / "here", settings, resume=True) == rows
