"""A long search's binary records say what the rows of a database say, and survive what those survive."""

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import gsnet
from gsnet.evolution import database, history
from gsnet.evolution.digest import digest
from gsnet.evolution.history import History
from gsnet.evolution.packed_files import NETWORKS, RECORDS
from gsnet.evolution.recorded import HistoryReader, Row
from gsnet.evolution.report import write_history
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import SearchError, SearchSettings
from SearchSpace.random_numbers import candidate_seed, candidate_seeds

START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperConvK1BNRELU(64,128,1,1)"
)
SETTINGS = SearchSettings(
    "ZenClosedForm",
    evolution_max_iter=4_000,
    population_size=64,
    fix_initialize=True,
    origin=True,
    search_space="SearchSpace/search_space_XXBL.py",
    plainnet_struct=START,
    max_layers=14,
    budget_model_size=1e6,
    budget_flops=3e7,
)


def run(folder, settings=SETTINGS, rounds_in_python=0, **options):
    """A search without its pictures. Of iterations that are Python's the rows are in the database in any case."""
    with closing(Session(settings, folder, RunOptions(**options))) as session:
        while not session.search.finished:
            session.search.advance()
            for _ in range(0 if session.search.finished else rounds_in_python):
                session.search.advance_round()
        session.history.commit()
        return session.search.progress, session.search.population.members


def outputs(folder):
    """The table of a folder, and what else is made from its rows."""
    with closing(HistoryReader.read(folder)) as reader:
        write_history(folder / "history.csv", reader)
        found = digest(reader)
        return (folder / "history.csv").read_bytes(), alike(found.front), alike([found.best]), found.outcomes


def test_few_rows_of_slow_scoring_are_on_disk_after_a_second(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(history, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with closing(History.create(tmp_path, SETTINGS)) as written:
        for iteration in range(3):
            now[0] += 1.0
            written.append([Row(iteration, None, 0, "scored", "", 1.0, 1, 1, 1, 1, 1, None, 1.0, START)])
            with closing(sqlite3.connect(tmp_path / "search.db")) as other:
                assert other.execute("SELECT count(*) FROM proposals").fetchone() == (iteration + 1,)


def alike(rows):
    return [row._replace(seconds=0.0) for row in rows]


@pytest.fixture(scope="module")
def rows_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    run(folder)
    assert not (folder / RECORDS).exists()
    return folder


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(history, "ROWS_IN_DATABASE", 600)


def rows_of(folder):
    with closing(HistoryReader.read(folder)) as reader:
        return alike(reader.rows())


def database_of_later(path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        database.execute("INSERT INTO meta VALUES ('schema_version', '99')")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"no database at all " * 100), "file is not a database"),
        (database_of_later, "has schema version 99"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE meta (key, value)"), "it has no schema_version"),
    ],
)
def test_a_folder_is_free_again_when_its_history_could_not_be_opened(tmp_path, write, message):
    """Also while the error is held, as a notebook holds it: somebody else would be said to be writing there."""
    path = tmp_path / history.DATABASE
    write(path)
    with pytest.raises(SearchError, match=message) as held:
        History.open(tmp_path)
    for file in tmp_path.glob(f"{history.DATABASE}*"):
        file.unlink()
    History.create(tmp_path, SETTINGS).close()
    assert held.value.__traceback__ is not None


def test_what_cannot_be_locked_is_not_said_to_be_in_use(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(database.fcntl, "flock", refuse)
    with pytest.raises(SearchError, match=r"search\.lock cannot be locked \(Operation not supported\)"):
        History.create(tmp_path, SETTINGS)


def test_records_say_what_rows_do(tmp_path, rows_alone, few_rows):
    run(tmp_path, rounds_in_python=3)
    assert outputs(tmp_path) == outputs(rows_alone)
    assert rows_of(tmp_path) == rows_of(rows_alone)
    with closing(sqlite3.connect(tmp_path / "search.db")) as database:
        (count, last), (kept,) = (
            database.execute("SELECT COUNT(*), MAX(iteration) FROM proposals").fetchone(),
            database.execute("SELECT value FROM meta WHERE key = 'records'").fetchone(),
        )
    first = json.loads(kept)["first"]
    # Rows of the database are the first ones, and among the others those of iterations in Python.
    assert 600 <= first < 2_000 and last > first and count < 3_000
    assert (tmp_path / RECORDS).stat().st_size == 64 * (4_000 - first)
    with closing(HistoryReader.read(tmp_path)) as reader, closing(HistoryReader.read(rows_alone)) as other:
        assert len(reader) == 4_000
        assert alike(reader.best(5)) == alike(other.best(5))
        assert [row.iteration for row in reader.at([3_999, 5, 2_500])] == [3_999, 5, 2_500]
        assert [row.iteration for row in reader.rows(2_100)] == list(range(2_100))


def test_records_are_read_as_the_page_on_the_history_says(tmp_path, few_rows):
    run(tmp_path)
    outputs(tmp_path)
    record = np.dtype([(name, kind) for name, kind in FIELDS])
    block = np.dtype([("type", "u1"), ("stride", "u1"), ("out", "<u2"), ("bottleneck", "<u2"), ("depth", "<u2")])
    records, blocks = np.fromfile(tmp_path / RECORDS, record), np.fromfile(tmp_path / NETWORKS, block)
    with closing(sqlite3.connect(tmp_path / "search.db")) as database:
        kept = json.loads(database.execute("SELECT value FROM meta WHERE key = 'records'").fetchone()[0])
    with (tmp_path / "history.csv").open() as file:
        lines = list(csv.DictReader(file))[kept["first"] :]
    outcomes = ["scored", "duplicate", *(["over budget"] * 4)]
    seen = 0
    for place in range(0, len(records), 7):
        values, line = records[place], lines[place]
        text, width = "", values["in_channels"]
        for number, stride, out, bottleneck, depth in blocks[records["end"][place - 1] if place else 0 : values["end"]]:
            name, has_bottleneck = kept["types"][number]
            middle = f"{bottleneck}," if has_bottleneck else ""
            text += f"{name}({width},{out},{stride},{middle}{depth})"
            width = out
        assert (text, outcomes[values["outcome"]]) == (line["structure"], line["outcome"])
        assert str(values["parent"]) == line["parent"]
        if line["outcome"] == "scored":
            assert repr(float(values["score"])) == line["score"] and str(values["flops"]) == line["flops"]
        seen += 1
    assert seen > 350


FIELDS = [
    ("score", "<f8"),
    *((name, "<i8") for name in ("parameters", "flops", "memory_access", "peak_feature_map", "end")),
    *(("parent", "<u4"), ("seconds", "<f4"), ("layers", "<i4"), ("in_channels", "<u2"), ("outcome", "u1"), ("-", "u1")),
]


@pytest.mark.parametrize("lost", [0, 200_000], ids=lambda lost: f"{lost} bytes of blocks")
def test_a_longer_search_goes_on_from_records(tmp_path, rows_alone, few_rows, lost):
    run(tmp_path, replace(SETTINGS, evolution_max_iter=3_000), rounds_in_python=2)
    with (tmp_path / NETWORKS).open("r+b") as file:
        file.truncate(max(0, file.seek(0, 2) - lost))
    with (tmp_path / RECORDS).open("ab") as file:
        # Of a search that was killed before it committed them.
        file.write(b"\x07" * 1_000)
    run(tmp_path, resume=True)
    assert outputs(tmp_path) == outputs(rows_alone)


def test_records_of_a_search_that_limits_growth_hold_it(tmp_path, monkeypatch):
    settings = replace(SETTINGS, evolution_max_iter=2_500, figures=("growth",), limits=(("growth", 3.0),))
    run(tmp_path / "rows", settings)
    monkeypatch.setattr(history, "ROWS_IN_DATABASE", 600)
    run(tmp_path / "records", replace(settings, evolution_max_iter=1_800), rounds_in_python=2)
    run(tmp_path / "records", settings, resume=True)
    assert outputs(tmp_path / "records") == outputs(tmp_path / "rows")
    with closing(HistoryReader.read(tmp_path / "records")) as reader:
        kept, refused = reader._kept(), [row for row in reader.rows() if row.reason == "growth"]
        assert (tmp_path / "records" / RECORDS).stat().st_size == 72 * (2_500 - kept.first)
        assert all(json.loads(row.figures)["growth"] > 3.0 for row in refused)
        assert sum(row.iteration >= kept.first for row in refused) > 20
    result = gsnet.load(tmp_path / "records")
    assert result.history["growth"] == gsnet.load(tmp_path / "rows").history["growth"]


def test_a_search_is_taken_up_as_it_was_left(tmp_path, few_rows):
    before = run(tmp_path, rounds_in_python=2)
    assert run(tmp_path, resume=True) == before


def test_a_folder_with_rows_alone_goes_on_with_records(tmp_path, rows_alone, monkeypatch):
    old = shutil.copytree(rows_alone, tmp_path / "old")
    longer = replace(SETTINGS, evolution_max_iter=5_000)
    run(tmp_path / "whole", longer)
    monkeypatch.setattr(history, "ROWS_IN_DATABASE", 600)
    run(old, longer, resume=True)
    assert (old / RECORDS).stat().st_size % 64 == 0 < (old / RECORDS).stat().st_size <= 64 * 1_000
    assert outputs(old) == outputs(tmp_path / "whole")


def test_a_program_reads_long_searches_in_parts(tmp_path, rows_alone, few_rows):
    run(tmp_path)
    result = gsnet.load(tmp_path)
    parts = list(result.parts())
    whole = gsnet.load(rows_alone).history
    assert len(parts) > 1
    for name in whole:
        if name != "seconds":
            assert [value for part in parts for value in part[name]] == whole[name] == result.history[name]


def test_a_history_in_memory_has_records_too(few_rows, monkeypatch):
    with gsnet.Search(START, space="XXBL", proxy="Params", iterations=3_000, budgets={"layers": 12}, seed=1) as search:
        found = search.run()
        table = found.history
    assert len(table["structure"]) == 3_000
    with gsnet.Search(START, space="XXBL", proxy="Params", iterations=3_000, budgets={"layers": 12}, seed=1) as search:
        monkeypatch.setattr(history, "ROWS_IN_DATABASE", 10**6)
        assert search.run().history["structure"] == table["structure"]


def test_a_large_log_is_folded_into_the_database(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "_LARGEST_LOG", 100_000)
    with closing(History.create(tmp_path, SETTINGS)) as written:
        for first in range(0, 3_000, 500):
            written.append(
                [Row(i, None, i, "duplicate", "", *[None] * 7, 0.0, START) for i in range(first, first + 500)]
            )
            written.commit()
            assert (tmp_path / "search.db-wal").stat().st_size < 300_000
        assert len(rows_of(tmp_path)) == 3_000


def test_seeds_of_many_candidates_are_those_of_each():
    wanted = [candidate_seed(17, iteration) for iteration in (0, 1, 99, 2**33)]
    assert candidate_seeds(17, np.array([0, 1, 99, 2**33])).tolist() == wanted


def test_the_digest_is_that_of_all_rows(rows_alone):
    with closing(HistoryReader.read(rows_alone)) as reader:
        found, rows = digest(reader), list(reader.rows())
    best = max((row for row in rows if row.score is not None), key=lambda row: (row.score, -row.iteration))
    assert found.best == best and sum(found.outcomes.values()) == len(rows)
    assert found.points.count == found.outcomes["scored"] == len(found.points.shown)
