"""Ensembles: aggregates worked out by hand, survival, and the same population whatever the scales of the proxies."""

import math
import random

import numpy as np
import pytest
from scipy.stats import rankdata

import PlainNet
from Evolution.ensemble import EnsemblePopulation, log_rank_sums, rank_sums
from Evolution.population import Member
from ZeroShotProxy.compute_te_nas_score import rank_combine

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


def test_tables_without_ranks_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        log_rank_sums([(1.0, math.nan)])
    with pytest.raises(ValueError, match="one row"):
        log_rank_sums([1.0, 2.0])


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
