"""How an ensemble is chosen: winners by hand, and of all cells by figures that were measured elsewhere."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nas_bench_201, score_tables
from benchmarks.choose_ensemble import PAGE, Choice, Draws, certain_table, groups, halves, ranked, winners_table
from benchmarks.scored_networks import LOG_SYNFLOW, NASWOT, Networks, read_cells

DATA = Path(os.environ.get("GSNET_DATA", Path(__file__).parent.parent.parent / "shared/data"))


def networks(size=1_200):
    """Accuracy follows one score among networks of small growth; the others are bad, and that score likes them most."""
    generator = np.random.default_rng(0)
    good = generator.random(size)
    growth = np.where(generator.random(size) < 0.3, 8.0, 3.2)
    accuracies = np.where(growth < 4, 90 + 4 * good, 20.0)
    return Networks("Toy", {"CIFAR-10": accuracies}, {"A": good + (growth > 4), "B": generator.random(size)}, growth)


def test_a_winner_is_the_first_by_log_ranks_below_the_limit():
    scores = {"A": np.array([1.0, 2, 3, 4]), "B": np.array([4.0, 3, 1, 2])}
    few = Networks("Few", {"D": np.array([10.0, 20, 30, 40])}, scores, np.array([1.0, 5, 1, math.inf]))
    draws = Draws(few, 4, seeds=3)
    # Products of ranks are 4, 6, 3 and 8.
    for limit, expected in ((math.inf, 40), (6, 20), (4, 10)):
        assert draws.accuracies(Choice(("A", "B"), limit), "D").tolist() == [expected]
    assert (draws.oracle("D").tolist(), draws.chance("D").tolist()) == ([40], [25])


def test_the_choice_finds_proxy_and_limit():
    toy = networks()
    first, second = halves(toy)
    assert len(first.growth) == len(second.growth) == 600
    mean, choice = ranked(first, toy.scores, seeds=4)[0]
    assert choice.members == ("A",)
    assert choice.limit in (3.5, 4, 4.5, 5, 6)
    assert mean > 93.9
    table = winners_table(toy, [choice, Choice(("A",), math.inf)], 4, "CIFAR-10").splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["Oracle", str(choice), "A", "Random"]
    assert "| 20.00 " in table[4]


def test_references_stand_behind_what_the_project_has():
    found = groups(["Params", NASWOT, LOG_SYNFLOW, "ZenClosedForm", "MeCo"])
    assert found["costs and closed forms"] == ["Params", "ZenClosedForm"]
    assert found["and log-SynFlow (reference)"] == ["Params", "ZenClosedForm", "MeCo", NASWOT, LOG_SYNFLOW]
    assert list(groups(["Params", NASWOT, LOG_SYNFLOW])) == [
        "costs and closed forms",
        "and NASWOT (reference)",
        "and log-SynFlow (reference)",
    ]


def test_means_of_many_draws_are_shown_with_their_errors():
    """An oracle finds the best of 1,000 of 1,200 networks, or one close by; a score of none of them does not."""
    toy = networks()
    table = certain_table(toy, [Choice(("B",), 4.0)], seeds=30).splitlines()
    assert table[0] == "30 draws of 1,000 cells, mean ± its standard error."
    found = {line.split("|")[1].strip(): line.split("|")[2].split() for line in table[4:]}
    best = toy.accuracies["CIFAR-10"].max()
    assert best - 0.05 < float(found["Oracle"][0]) <= best + 0.005
    # Networks beyond the limit have 20.
    mean, error = (float(found["B, growth up to 4"][place]) for place in (0, 2))
    assert 90 <= mean <= 94 and 0 <= error < 0.5


def test_the_page_says_by_how_much_aims_are_missed():
    path = DATA / nas_bench_201.FILE
    if not path.is_file():
        pytest.skip(f"{path} is not here (GSNET_DATA names its folder)")
    choices = [Choice(("Params", "ZenClosedForm", "NASWOT"), 3.5), Choice(("Params",), math.inf)]
    rows = certain_table(read_cells(path, score_tables.FOLDER), choices).splitlines()[4:]
    page = PAGE.read_text(encoding="utf-8")
    assert len(rows) == 3 and all(row in page for row in rows)


def test_the_limit_finds_the_cells_that_a_prototype_found():
    path = DATA / nas_bench_201.FILE
    if not path.is_file():
        pytest.skip(f"{path} is not here (GSNET_DATA names its folder)")
    cells = read_cells(path, score_tables.FOLDER)
    all_cells = Draws(cells, len(cells.growth), seeds=1)
    for limit, expected in ((math.inf, (93.70, 71.05, 42.50)), (4.0, (94.36, 73.51, 46.34))):
        choice = Choice(("Params", NASWOT, LOG_SYNFLOW), limit)
        assert [all_cells.accuracies(choice, d)[0] for d in cells.accuracies] == pytest.approx(expected, abs=0.006)
