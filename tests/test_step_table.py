"""Templates of layers against the blocks that they stand for."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import PlainNet
from gsnet.evolution.budgets import LARGEST_FIGURE, CostModel
from PlainNet import Network, Style
from PlainNet.basic_blocks import MaxPool
from PlainNet.mean_field import STEP_WIDTH
from PlainNet.step_table import CALL_WIDTH, LINEAR, NUMBERS, StepTable
from PlainNet.super_blocks import SuperBlock
from PlainNet.SuperResKXKX import SuperResK3K3
from SearchSpace import load_search_space
from SearchSpace.mutation import mutate
from ZeroShotProxy.compute_zen_closed_form import ClosedForm

SPACES = ("XXBL", "IDW_fixfc", "ghostshuffle")
STYLES = [
    Style(),
    Style(no_reslink=True),
    Style(use_se=True, no_reslink=True),
    Style(use_se=True, no_BN=True),
    Style(use_se=True, se_activation="relu", projection_activation="hard_swish", shuffle_always=True, bn_eps=1e-5),
]
KIND = {"XXBL": "SuperResK3K3", "IDW_fixfc": "SuperResIDWE2K3", "ghostshuffle": "SuperGhostShuffleK3"}
START = (
    "SuperConvK3BNRELU(3,8,1,1)BLOCK(8,16,1,8,1)BLOCK(16,32,2,16,2)BLOCK(32,64,2,32,1)BLOCK(64,64,2,64,3)"
    "SuperConvK1BNRELU(64,128,1,1)"
)


def random_networks(space, count, seed=0):
    generator, sample = random.Random(seed), load_search_space(f"SearchSpace/search_space_{space}.py").sample_block
    start = PlainNet.parse(START.replace("BLOCK", KIND[space]))
    network = start
    for index in range(count):
        network = mutate(start if index % 20 == 0 else network, sample, generator, replacements=2)
        yield network


def steps_in(table, call):
    """What compiled code reads for a call, as plain steps."""
    begin, end, later, later_end, repeats, into, bottleneck, out = np.frombuffer(call)
    for layer in range(int(repeats) + 1):
        span, width = (slice(int(begin), int(end)), into) if layer == 0 else (slice(int(later), int(later_end)), out)
        for row in table.rows[span]:
            terms = row[1:LINEAR].reshape(4, NUMBERS)
            assert bool(row[LINEAR]) == terms[1:].any()
            yield [row[0], *(terms[0] + terms[1] * width + terms[2] * bottleneck + terms[3] * out)]


def as_expanded(block, style):
    return np.frombuffer(block.mean_field(style)).reshape(-1, STEP_WIDTH).tolist()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("style", STYLES)
def test_templates_give_the_steps_of_the_expanded_blocks(space, style):
    table = StepTable(style)
    for network in random_networks(space, 150):
        for block in network.blocks:
            call = table.template_call(block)
            assert call is not None
            assert len(call) == 8 * CALL_WIDTH
            assert list(steps_in(table, call)) == as_expanded(block, style), (block, style)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("style", STYLES)
def test_compiled_costs_are_the_networks_own(space, style):
    model = CostModel(33, 10, style)
    for network in random_networks(space, 150, seed=1):
        costs, cost = model.costs(network), network.cost(33, 10, style)
        assert (costs.parameters, costs.flops, costs.memory_access, costs.peak_feature_map) == cost
        assert costs.layers == network.layers


WIDTHS = st.integers(1, 10**9 // 8).map(lambda units: 8 * units)


@pytest.mark.parametrize("kind", ["SuperResK3K3", "SuperResIDWE6K7", "SuperGhostShuffleK5"])
@given(
    widths=st.tuples(WIDTHS, WIDTHS, WIDTHS),
    stride=st.integers(1, 2),
    layers=st.integers(1, 1000),
    resolution=st.integers(1, 10**6),
)
@settings(max_examples=50, deadline=None)
def test_costs_beyond_64_bits_are_exact_or_as_large_as_a_history_holds(kind, widths, stride, layers, resolution):
    """Python's own integers have no end: a figure that wrapped would pass any budget."""
    into, out, bottleneck = widths
    network = PlainNet.parse(f"SuperConvK1BNRELU(3,{into},1,1){kind}({into},{out},{stride},{bottleneck},{layers})")
    costs, cost = CostModel(resolution, 10).costs(network), network.cost(resolution, 10)
    for found, exact in zip(costs[1:5], cost, strict=True):
        assert found == exact or (exact > LARGEST_FIGURE and LARGEST_FIGURE <= found < 2**63)


@pytest.mark.parametrize(
    "text",
    [
        "SuperResIDWE6K3(16,24,1,9,2)",  # 54 rounded to a multiple of 8
        "SuperGhostShuffleK5(12,22,1,10,2)",
        "ResBlock(ConvKX(16,16,3,1)BN(16))",
    ],
)
def test_other_blocks_have_no_template_and_the_same_figures(text):
    block = PlainNet.parse(text).blocks[0]
    table = StepTable(Style())
    assert table.template_call(block) is None
    assert list(steps_in(table, table.call(block))) == as_expanded(block, Style())
    network = PlainNet.parse(text)
    costs, cost = CostModel(32, 10).costs(network), network.cost(32, 10)
    assert (costs.parameters, costs.flops, costs.memory_access, costs.peak_feature_map) == cost


class Heir(SuperResK3K3):
    """A layer of its own, of which it does not say that it is linear in its widths."""

    def layer(self, in_channels, stride, first, style):
        return super().layer(in_channels, stride, first, style) * (1 + self.out_channels // 256)


def test_a_layer_of_ones_own_is_expanded_unless_it_says_otherwise():
    block = Heir(8, 8, 1, 8, 1)
    assert isinstance(block, SuperBlock)
    assert StepTable(Style()).template_call(block) is None


class WithoutRule(SuperResK3K3):
    """Linear in its widths, but with a block that the closed form does not know."""

    linear_in_widths = True

    def layer(self, in_channels, stride, first, style):
        return (*super().layer(in_channels, stride, first, style), MaxPool(self.out_channels, 3, 1))


def test_a_layer_without_mean_field_rule_is_counted_all_the_same():
    network = Network((WithoutRule(8, 8, 1, 8, 2),))
    costs, cost = CostModel(32, 10).costs(network), network.cost(32, 10)
    assert (costs.parameters, costs.flops, costs.memory_access, costs.peak_feature_map) == cost


def test_a_full_table_begins_anew_with_the_same_scores(monkeypatch):
    networks = list(random_networks("XXBL", 30))
    expected = [ClosedForm().score(network) for network in networks]
    monkeypatch.setattr("PlainNet.step_table._LARGEST_ROWS", 40)
    closed_form = ClosedForm()
    assert [closed_form.score(network) for network in networks] == expected
