"""Ensembles: aggregates worked out by hand, survival, and the same population whatever the scales of the proxies."""

import contextlib
import csv
import json
import math
import os
import random
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

import PlainNet
from gsnet.evolution import plots
from gsnet.evolution.ensemble import EnsemblePopulation, aggregate_of, last_population, log_rank_sums, rank_sums
from gsnet.evolution.options import ensemble_from
from gsnet.evolution.population import Member
from gsnet.evolution.scatter import Scatter
from gsnet.evolution.settings import SearchSettings
from ZeroShotProxy import list_proxies
from ZeroShotProxy.compute_te_nas_score import rank_combine

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
INITIAL = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
NETWORK = PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)")


def members(rows):
    return [Member(0.0, iteration, NETWORK, (), tuple(row)) for iteration, row in enumerate(rows)]


def test_aggregates_by_hand():
    # Ranks from the bottom: first proxy 1, 2.5, 2.5, 4; second 4, 3, 1, 2.
    scores = [(-math.inf, 9.0), (5.0, 8.0), (5.0, -3.0), (7.0, 0.5)]
    expected = [1 * 4 / 16, 2.5 * 3 / 16, 2.5 * 1 / 16, 4 * 2 / 16]
    assert np.exp(log_rank_sums(scores)) == pytest.approx(expected)
    assert rank_sums(scores) == pytest.approx([5 / 4, 5.5 / 4, 3.5 / 4, 6 / 4])


def test_aggregates_equal_those_of_scipys_ranks_and_of_te_nas():
    table = np.random.default_rng(0).integers(0, 20, (200, 3)).astype(float)
    assert log_rank_sums(table) == pytest.approx(np.log(rankdata(table, axis=0) / 200).sum(axis=1))
    ours, paper = rank_sums(table[:, :2]), rank_combine(table[:, 0].tolist(), table[:, 1].tolist())
    assert rankdata(ours.round(9)) == pytest.approx(rankdata(paper))


def test_only_the_order_of_each_proxy_counts():
    table = np.random.default_rng(1).normal(size=(50, 2))
    stretched = np.column_stack((np.exp(3 * table[:, 0]), 1e6 * table[:, 1] - 5))
    assert (log_rank_sums(table) == log_rank_sums(stretched)).all()


def test_ranks_against_a_population():
    population = [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]
    assert log_rank_sums(population, population) == pytest.approx(log_rank_sums(population))
    # Below all, between the second and the third, above all: ranks 0.5, 2.5 and 3.5 of 3.
    assert rank_sums([(0.0, 25.0), (9.0, 20.0)], population) == pytest.approx([(0.5 + 2.5) / 3, (3.5 + 2) / 3])


def test_tables_without_ranks_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        log_rank_sums([(1.0, math.nan)])
    with pytest.raises(ValueError, match="one row"):
        log_rank_sums([1.0, 2.0])


@pytest.mark.parametrize(("name", "members"), [("AZ-NAS", 4), ("VKDNW-Aggregate", 5)])
def test_published_aggregates_have_a_name(name, members):
    found = aggregate_of(SearchSettings(name))
    assert (len(found.members), found.rule, "Flops" in found.members) == (members, log_rank_sums, True)
    assert set(found.members) <= set(list_proxies())
    # A proxy would be scored network by network.
    assert name not in list_proxies()


def test_survivors_are_the_best_of_each_cut():
    population = EnsemblePopulation(2)
    for member in members([(1.0, 4.0), (2.0, 3.0), (3.0, 2.0)]):
        population.add(member)
    assert len(population) == 3
    # With (4, 1) the products of ranks are 4, 6, 6, 4.
    population.add(Member(0.0, 3, NETWORK, (), (4.0, 1.0)))
    assert [member.iteration for member in population.members] == [1, 2]
    assert population.best.iteration == 1
    assert population.best.score == pytest.approx(math.log(2 / 4))
    assert population.lowest_score == pytest.approx(math.log(2 / 4))


def test_the_foremost_have_the_best_aggregates():
    population = EnsemblePopulation(4)
    # Products of ranks: 1 * 3, 3 * 2, 2 * 1.
    for member in members([(1.0, 3.0), (3.0, 2.0), (2.0, 1.0)]):
        population.add(member)
    assert [member.iteration for member in population.foremost(2)] == [1, 0]


def test_a_replayed_population_is_the_same_and_a_dominating_member_never_leaves():
    rows = np.random.default_rng(2).normal(size=(300, 3)).tolist()
    rows[17] = [9.0, 9.0, 9.0]
    first, second = EnsemblePopulation(16), EnsemblePopulation(16)
    for member in members(rows):
        first.add(member)
        assert member.iteration < 17 or first.best.iteration == 17
    for member in members(rows):
        second.add(member)
    assert first.members == second.members
    assert 16 <= len(first) < 32
    assert first.choose(random.Random(5)) == second.choose(random.Random(5))


def test_an_empty_population_has_no_best():
    assert EnsemblePopulation(4).best is None


def search(folder, *options, proxy="Ensemble", iterations=120):
    command = [os.environ["WARM_PYTHON"], "evolution_search.py", "--zero_shot_score", proxy, "--save_dir", str(folder)]
    command += ["--evolution_max_iter", str(iterations), "--population_size", "16", "--fix_initialize", "--origin"]
    command += ["--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", INITIAL]
    command += map(str, options)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_search_survives_by_ranks_and_resumes_the_same(tmp_path):
    options = ("--ensemble", "PerturbationClosedForm,Flops,Params", "--max_layers", 18)
    for folder, iterations in (("whole", 120), ("parts", 70), ("parts", 120)):
        more = ("--resume",) if iterations == 120 and folder == "parts" else ()
        result = search(tmp_path / folder, *options, *more, iterations=iterations)
        assert result.returncode == 0, result.stderr
        said = "scores of Ensemble are ranks among the members of the population at each moment"
        assert said in (tmp_path / folder / "evolution_search.log").read_text()
    for name in ("history.csv", "best.json", "pareto.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    rows = [r for r in csv.DictReader((tmp_path / "whole/history.csv").open()) if r["outcome"] == "scored"]
    table = [tuple(json.loads(r["scores"])) for r in rows]
    assert [row[1:] for row in table] == [(float(r["flops"]), float(r["parameters"])) for r in rows]
    last = np.array(last_population(table, 16, log_rank_sums))
    best = json.loads((tmp_path / "whole/best.json").read_text())
    assert best["score"] == max(float(r["score"]) for r in rows)
    assert [float(r["score"]) for r in rows] == pytest.approx(log_rank_sums(table, last))


@pytest.mark.parametrize(
    ("proxy", "label"), [("Ensemble", "Ensemble score\n(ranks among the last population)"), ("Params", "Params score")]
)
def test_pictures_say_among_whom_scores_are_ranks(proxy, label, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append([axis.get_ylabel() for axis in figure.axes]))
    scored = Scatter()
    scored.add(np.arange(2), np.array([-2.0, -1.0]), np.array([1e5, 2e5]))
    plots.plot_search(tmp_path / "search.png", scored, [], SearchSettings(proxy, ensemble=("Params", "Flops")))
    assert drawn == [[label, label]]


def test_te_nas_ranks_its_terms_and_workers_change_nothing(tmp_path):
    options = ("--batch_size", 2, "--input_image_size", 16, "--round_size", 8)
    for workers in (1, 2):
        result = search(tmp_path / str(workers), *options, "--workers", workers, proxy="TE-NAS", iterations=16)
        assert result.returncode == 0, result.stderr
    tables = [list(csv.DictReader((tmp_path / str(w) / "history.csv").open())) for w in (1, 2)]
    assert [r["scores"] for r in tables[0]] == [r["scores"] for r in tables[1]]
    table = [json.loads(r["scores"]) for r in tables[0] if r["scores"]]
    assert all(condition <= -1 and regions >= 1 for condition, regions in table)
    best = json.loads((tmp_path / "1/best.json").read_text())
    assert 0 < best["score"] <= 2.2


def test_an_ensemble_without_members_joins_those_that_were_chosen():
    page = (ROOT / "docs/ensemble_choice.md").read_text()
    assert "**`Ensemble` without\n`--ensemble` joins Params, ZenClosedForm and NASWOT**" in page
    assert ensemble_from("", "Ensemble", ("score",)) == ("Params", "ZenClosedForm", "NASWOT")
    assert ensemble_from("Flops,Params", "Ensemble", ("score",)) == ("Flops", "Params")
    assert ensemble_from("", "Flops", ("score",)) == ()


@pytest.mark.parametrize(
    ("options", "proxy", "complaint"),
    [
        (["--ensemble", "Flops"], "Ensemble", "at least two"),
        (["--ensemble", "Flops,Zenn"], "Ensemble", "did you mean Zen"),
        (["--ensemble", "Flops,Params"], "Flops", "--ensemble goes with"),
        (["--ensemble", "Flops,Params", "--objectives", "score,flops"], "Ensemble", "--objectives go with"),
        (["--ensemble", "Flops,Params"], "AZ-NAS", "--ensemble goes with"),
        (["--objectives", "score,flops"], "VKDNW-Aggregate", "--objectives go with"),
    ],
)
def test_bad_ensembles_are_refused(tmp_path, options, proxy, complaint):
    result = search(tmp_path, *options, proxy=proxy)
    assert (result.returncode, complaint in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr


def test_a_history_of_the_first_schema_is_continued(tmp_path):
    assert search(tmp_path, proxy="Params", iterations=60).returncode == 0
    whole = {name: (tmp_path / name).read_bytes() for name in ("history.csv", "best.json")}
    with contextlib.closing(sqlite3.connect(tmp_path / "search.db")) as database:
        for later in ("scores", "figures"):
            database.execute(f"ALTER TABLE proposals DROP COLUMN {later}")
        database.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
        settings = json.loads(database.execute("SELECT value FROM meta WHERE key = 'settings'").fetchone()[0])
        for later in ("ensemble", "figures", "limits"):
            del settings[later]
        database.execute("UPDATE meta SET value = ? WHERE key = 'settings'", (json.dumps(settings),))
        database.commit()
    (tmp_path / "best_structure.txt").unlink()
    result = search(tmp_path, "--resume", proxy="Params", iterations=60)
    assert result.returncode == 0, result.stderr
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole
