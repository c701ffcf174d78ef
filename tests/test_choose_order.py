"""How proxies that order networks are chosen: by hand, and for cells by a correlation that was published."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from benchmarks import nas_bench_201, score_tables
from benchmarks.choose_order import MARGIN, Order, candidates, live_cells, ranked
from benchmarks.scored_networks import NASWOT, Networks, read_cells

DATA = Path(os.environ.get("GSNET_DATA", Path(__file__).parent.parent.parent / "shared/data"))


def networks():
    """Accuracy follows A among networks that can be trained; the others are bad, and A likes them most."""
    generator = np.random.default_rng(0)
    good = generator.random(400)
    growth = np.where(generator.random(400) < 0.3, 5 + generator.random(400), 2.0)
    growth[:3] = np.inf
    accuracies = np.where(growth < 3, 90 + 4 * good, 30 - growth.clip(max=9))
    scores = {"A": good + (growth > 3), "B": generator.random(400), NASWOT: generator.random(400)}
    return Networks("Toy", {"CIFAR-10": accuracies, "Other": -accuracies}, scores, growth)


def test_an_order_is_the_rank_correlation_of_products_of_ranks():
    scores = {"A": np.array([1.0, 2, 3, 4]), "B": np.array([4.0, 3, 1, 2])}
    few = Networks("Few", {"CIFAR-10": np.array([10.0, 20, 30, 40])}, scores, np.array([1.0, 5, 2, np.inf]))
    order = Order(few)
    # Products of ranks are 4, 6, 3 and 8; margins -0, -2, -0 and none.
    assert order.correlation(("A", "B")) == pytest.approx(spearmanr([4, 6, 3, 8], [1, 2, 3, 4]).statistic)
    assert order.first(("A", "B")) == 40
    assert order.correlation((MARGIN,)) == pytest.approx(spearmanr([3.5, 2, 3.5, 1], [1, 2, 3, 4]).statistic)
    assert order.first((MARGIN,)) == 20


def test_the_choice_finds_the_score_and_the_margin():
    toy = networks()
    among = candidates(toy, toy)
    assert among == {"costs and closed forms": [MARGIN], "and proxies of modules": [MARGIN, "A", "B", NASWOT]}
    found, members = ranked([Order(toy)], [MARGIN, "A", "B"])[0]
    assert set(members) == {MARGIN, "A"}
    assert found > Order(toy).correlation(("A",)) + 0.5
    assert Order(toy).correlation(members, "Other") == pytest.approx(-found)


def test_scores_that_are_all_equal_order_nothing():
    few = Networks("Few", {"CIFAR-10": np.array([1.0, 2, 3])}, {"A": np.array([1.0, 2, 3])}, np.array([1.0, 2, 3]))
    assert Order(few).correlation((MARGIN,)) == 0
    assert Order(few).correlation((MARGIN, "A")) == pytest.approx(1)


def test_a_choice_for_two_benchmarks_is_the_best_mean():
    """A and B are each the accuracies of one benchmark, C of neither, but near to both."""
    a, b, c = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 4, 3, 2, 1]), np.array([3.0, 1, 2, 5, 4])
    one, other = (
        Order(Networks(name, {"CIFAR-10": accuracies}, {"A": a, "B": b, "C": c}, np.zeros(5)))
        for name, accuracies in (("One", a), ("Other", np.array([5.0, 1, 2, 4, 3])))
    )
    assert ranked([one], "ABC")[0] == (pytest.approx(1), ("A",))
    found = {members: mean for mean, members in ranked([one, other], "ABC")}
    assert found["A",] == pytest.approx((1 + spearmanr(a, [5, 1, 2, 4, 3]).statistic) / 2)
    assert found["C",] == pytest.approx((spearmanr(c, a).statistic + spearmanr(c, [5, 1, 2, 4, 3]).statistic) / 2)
    assert ranked([one, other], "ABC")[0][0] == max(found.values())


def test_parameters_order_cells_as_published():
    """.753 on CIFAR-10; 9,445 cells are live."""
    path = DATA / nas_bench_201.FILE
    if not path.is_file():
        pytest.skip(f"{path} is not here (GSNET_DATA names its folder)")
    cells = read_cells(path, score_tables.FOLDER)
    assert Order(cells).correlation(("Params",)) == pytest.approx(0.753, abs=0.0006)
    assert len(live_cells(path)) == 9_445
    # Which is why FLOPs and parameters are not both among what a choice for cells is made of.
    flops, parameters = (rankdata(cells.scores[name]) for name in ("Flops", "Params"))
    assert np.array_equal(flops, parameters)
