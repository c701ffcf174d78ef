"""The closed-form Zen-Score against Monte-Carlo figures, samples and hand computation."""

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

import PlainNet
from gsnet.evolution.budgets import CostModel
from PlainNet import Network, Style
from PlainNet.basic_blocks import RELU, MaxPool
from PlainNet.block import PLAIN
from PlainNet.mean_field import COPY
from PlainNet.memory import MemoryModel
from PlainNet.super_blocks import SuperBlock, conv_bn_relu
from SearchSpace import load_search_space
from SearchSpace.mutation import mutate
from ZeroShotProxy import ProxyFailure, ScoringSettings, score
from ZeroShotProxy.compute_zen_closed_form import Beginnings, ClosedForm
from ZeroShotProxy.gradient_growth import GradientGrowth
from ZeroShotProxy.mean_field_activations import LOSS, SLOPE, evaluated_moments

ROOT = Path(__file__).parent.parent
ROWS = json.loads((ROOT / "tests/golden/zen_monte_carlo.json").read_text())["rows"]
GROUPS = sorted({(row["case"], row["links"]) for row in ROWS})
STEM = "SuperConvK3BNRELU(3,16,1,1)"
XXBL = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
BEGINNING = {
    "XXBL": XXBL,
    "IDW_fixfc": XXBL.replace("SuperResK3K3", "SuperResIDWE2K3"),
    "ghostshuffle": XXBL.replace("SuperResK3K3", "SuperGhostShuffleK3"),
}


def compared(case, links):
    rows = [row for row in ROWS if row["case"] == case and row["links"] == links]
    closed_form = ClosedForm(rows[0]["resolution"], style=Style(no_reslink=not links))
    parts = [closed_form.parts(PlainNet.parse(row["structure"])) for row in rows]
    return np.array([fmean(row["zen"]) for row in rows]), np.array([sum(p) for p in parts]), rows, parts


@pytest.mark.parametrize(("case", "links"), GROUPS)
def test_agrees_with_monte_carlo(case, links):
    sampled, closed, _, _ = compared(case, links)
    percent = 100 * np.abs(closed - sampled) / sampled
    assert percent.mean() <= 1
    assert percent.max() <= 3


@pytest.mark.parametrize(("case", "links"), GROUPS)
def test_ranks_like_monte_carlo(case, links):
    sampled, closed, rows, _ = compared(case, links)
    correlation = np.corrcoef(sampled.argsort().argsort(), closed.argsort().argsort())[0, 1]
    # Among 20 networks one swap of neighbours gives 0.9985, and Monte-Carlo means do swap.
    assert correlation >= (0.999 if len(rows) >= 60 else 0.998)


@pytest.mark.parametrize(("case", "links"), GROUPS)
def test_perturbation_agrees_with_monte_carlo(case, links):
    _, _, rows, parts = compared(case, links)
    difference = [part[0] - fmean(row["perturbation"]) for row, part in zip(rows, parts, strict=True)]
    assert abs(fmean(difference)) < 0.7
    assert np.std(difference) < 0.2


def test_first_layer_by_hand():
    # 1 x 1 convolution of standard normal images: variance 3; the difference of the runs is gamma^2 of it.
    network = PlainNet.parse("ConvKX(3,4096,1,1)BN(4096)RELU(4096)")
    perturbation, scale = ClosedForm(8, gamma=1e-3).parts(network)
    assert scale == pytest.approx(0.5 * math.log(0.81 + 0.19 * 3), abs=1e-3)
    # E |x+ - x'+| = sqrt(change / pi), change = gamma^2 / 2; three input channels make the difference's norm fluctuate.
    fluctuation = (1 + 2 / 3) ** -0.125
    assert perturbation == pytest.approx(math.log(4096 * 64 * 1e-3 / math.sqrt(2 * math.pi) * fluctuation), abs=1e-4)


def test_moments_of_hard_swish_and_sigmoid_against_a_fine_sum():
    z = np.linspace(-12, 12, 400_001)
    weight = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    for function, value in ((0, z * np.clip(z + 3, 0, 6) / 6), (2, 1 / (1 + np.exp(-z)))):
        moments = evaluated_moments(function, 0.0, 1.0)
        assert moments[0] == pytest.approx((weight * value).sum(), abs=1e-5)
        assert moments[1] == pytest.approx((weight * value**2).sum(), abs=1e-5)
        assert moments[SLOPE] == pytest.approx((weight * value * z).sum() ** 2, abs=1e-5)
        # Without correlation all of the variance is lost.
        assert moments[LOSS] == pytest.approx(moments[1] - moments[0] ** 2, abs=2e-5)


@pytest.mark.parametrize(
    "structure",
    [
        STEM + "SuperResK3K3(16,32,2,16,2)SuperConvK1BNRELU(32,64,1,1)",
        STEM + "MultiSumBlock(ConvKX(16,16,3,1);ConvKX(16,16,1,1))BN(16)Swish(16)",
        STEM
        + "MultiCatBlock(ConvKXG2(16,16,3,1);ConvDW(16,5,1))BN(32)HS(32)Sequential(ConvKX(32,64,1,1)BN(64)RELU(64))",
        STEM + "ConvKX(16,32,3,1)AdaptiveAvgPool(32,8)BN(32)RELU(32)",
    ],
)
@pytest.mark.parametrize("style", [Style(), Style(use_se=True), Style(no_reslink=True, no_BN=True)])
def test_other_blocks_and_styles_agree_with_samples(structure, style):
    network = PlainNet.parse(structure)
    settings = ScoringSettings(32, 16, keep_links=not style.no_reslink, style=style)
    sampled = [score(network, "Zen", settings, seed) for seed in range(12)]
    assert ClosedForm(32, style=style).score(network) == pytest.approx(fmean(sampled), abs=0.35)


def test_registered_link_modes():
    network = PlainNet.parse(STEM + "SuperResK3K3(16,32,2,16,3)")
    without, kept = (ClosedForm(32, style=Style(no_reslink=no)) for no in (True, False))
    assert score(network, "ZenClosedForm", ScoringSettings()) == without.score(network)
    assert score(network, "ZenClosedForm", ScoringSettings(keep_links=True)) == kept.score(network)
    assert score(network, "PerturbationClosedForm", ScoringSettings()) == kept.parts(network)[0]


def test_same_network_same_score_whatever_came_before():
    network = PlainNet.parse(ROWS[0]["structure"])
    fresh = ClosedForm().score(network)
    used = ClosedForm()
    for row in ROWS[:20]:
        used.score(PlainNet.parse(row["structure"]))
    assert used.score(network) == fresh


# Resolution, and mean and deviation of the Zen-Score by forward passes, over 30 seeds and 64 images each.
FEW_CHANNELS = {
    "SuperConvK1BNRELU(1,5,2,1)SuperGhostShuffleK7(5,2,2,8,3)": (5, -1.37, 0.48),
    "SuperConvK3BNRELU(3,2,9,1)SuperResIDWE4K7(2,2,5,8,2)": (9, -0.80, 0.52),
}


@pytest.mark.parametrize("structure", FEW_CHANNELS)
def test_one_or_two_channels_on_a_map_of_one_pixel_have_a_score_too(structure):
    """Their cumulants came to less than those of any distribution, and the scores to what is no number."""
    resolution, mean, deviation = FEW_CHANNELS[structure]
    for style in (Style(no_reslink=True), Style(use_se=True, no_reslink=True)):
        parts = ClosedForm(resolution, style=style).parts(PlainNet.parse(structure))
        assert all(map(math.isfinite, parts))
    assert ClosedForm(resolution).score(PlainNet.parse(structure)) == pytest.approx(mean, abs=2 * deviation)


def test_the_number_of_an_activation_that_stands_first_is_a_note():
    noted, alike = (PlainNet.parse(f"RELU({note}){XXBL}") for note in (7, 3))
    assert ClosedForm(32).score(noted) == ClosedForm(32).score(alike)
    assert GradientGrowth(32).growth(noted) == GradientGrowth(32).growth(alike)


def test_scores_are_the_same_where_nothing_is_compiled():
    structures = [XXBL, *FEW_CHANNELS]
    code = (
        "import sys, PlainNet; from ZeroShotProxy.compute_zen_closed_form import ClosedForm; "
        "from ZeroShotProxy.gradient_growth import GradientGrowth; n = [PlainNet.parse(t) for t in sys.argv[1:]]; "
        "print(*[f for one in n for f in (ClosedForm(9).score(one), GradientGrowth(9).growth(one))])"
    )
    command = [sys.executable, "-c", code, *structures]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    compiled = [
        figure
        for network in map(PlainNet.parse, structures)
        for figure in (ClosedForm(9).score(network), GradientGrowth(9).growth(network))
    ]
    assert list(map(float, run.stdout.split())) == pytest.approx(compiled, rel=1e-8)


def test_a_block_without_rule_is_named():
    network = PlainNet.parse(STEM + "MaxPool(16,3,2)")
    with pytest.raises(ProxyFailure, match=MaxPool.__name__):
        score(network, "ZenClosedForm", ScoringSettings())


def test_too_deep_nesting_is_a_failure():
    inner = "ConvKX(16,16,3,1)"
    for _ in range(20):
        inner = f"ResBlock({inner})"
    with pytest.raises(ProxyFailure, match="nested"):
        score(Network(PlainNet.parse(STEM + inner).blocks), "ZenClosedForm", ScoringSettings())


def test_a_whole_search_needs_no_torch_and_no_compiler(tmp_path):
    # numba imports the last one as soon as it compiles, or when it reads machine code by itself.
    absent = "torch", "torchvision", "scipy", "numba.np.linalg"
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); "
        "from gsnet.commands.evolution_search import main; sys.exit(main(sys.argv[1:]))"
    )
    options = ["--zero_shot_score", "ZenClosedForm", "--search_space", "XXBL", "--plainnet_struct", XXBL, "--origin"]
    budgets = ["--max_layers", "18", "--budget_model_size", "1e6", "--budget_flops", "6e8", "--budget_mac", "2e7"]
    end = ["--fix_initialize", "--evolution_max_iter", "40", "--save_dir", str(tmp_path)]
    subprocess.run([sys.executable, "-c", code, *options, *budgets, *end], cwd=ROOT, check=True)
    assert json.loads((tmp_path / "best.json").read_text())["iterations"] == 40


@pytest.mark.parametrize(("resolution", "gamma"), [(0, 1e-2), (32, 0.0), (32, -1.0)])
def test_meaningless_settings_are_refused(resolution, gamma):
    with pytest.raises(ValueError, match="must be positive"):
        ClosedForm(resolution, gamma)


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("space", ["XXBL", "IDW_fixfc", "ghostshuffle"])
def test_taken_up_where_another_network_begins_alike_to_the_last_bit(space, links):
    style = Style(no_reslink=not links)
    remembering = ClosedForm(32, style=style)
    sample_block = load_search_space(str(ROOT / f"SearchSpace/search_space_{space}.py")).sample_block
    generator = random.Random(7)
    network = PlainNet.parse(BEGINNING[space])
    taken_up = 0
    for _ in range(60):
        child = mutate(network, sample_block, generator, 2)
        afresh = ClosedForm(32, style=style)
        assert remembering.parts(child) == afresh.parts(child)
        # The same network again: all blocks but the last two are known.
        assert remembering.parts(child) == afresh.parts(child)
        taken_up += child.blocks[0] is network.blocks[0]
        network = child if child.layers < 20 and child.cost(32).parameters < 3e6 else network
    assert taken_up > 10


def test_beginnings_are_bounded_and_what_is_in_use_stays():
    closed_form = ClosedForm(16)
    closed_form._beginnings = beginnings = Beginnings(20)
    known = PlainNet.parse(f"{STEM}SuperConvK1BNRELU(16,8,1,1)SuperConvK1BNRELU(8,8,1,1)")
    first = closed_form.parts(known)
    for width in range(8, 808, 8):
        closed_form.parts(PlainNet.parse(f"{STEM}SuperConvK1BNRELU(16,{width},1,1)SuperConvK1BNRELU({width},8,1,1)"))
        assert closed_form.parts(known) == first
        assert len(beginnings._recent) + len(beginnings._older) <= 24
    images = closed_form._no_block(3)
    assert beginnings.longest(images, known.blocks[:1])[1] == 1


def test_a_block_that_leaves_two_maps_is_a_failure():
    class TwoMaps(RELU):
        def mean_field(self, style=PLAIN):
            return COPY

    network = Network.trusted((TwoMaps(3), RELU(3)))
    with pytest.raises(ProxyFailure, match="more than one map"):
        ClosedForm(8).parts(network)


def with_kernel(size):
    """A block as one writes it in a notebook, the name of which is given to another one a moment later."""

    @dataclass(frozen=True)
    class SuperMine(SuperBlock):
        in_channels: int
        out_channels: int
        stride: int
        sub_layers: int

        def layer(self, in_channels, stride, first, style):
            return conv_bn_relu(in_channels, self.out_channels, size, stride, style)

    return SuperMine


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("inside", ["SuperMine(16,16,1,2)", "ResBlock(SuperMine(16,16,1,2))"])
def test_a_name_that_is_given_to_another_block_has_that_ones_score(inside):
    networks = {}
    for size in (3, 7):
        PlainNet.register(with_kernel(size))
        networks[size] = PlainNet.parse(f"{STEM}{inside}SuperConvK1BNRELU(16,32,1,1)SuperConvK1BNRELU(32,32,1,1)")
    for name in ("ZenClosedForm", "GradientGrowthClosedForm"):
        # In turns, as two of them are compared.
        found = [score(networks[size], name, ScoringSettings(resolution=16)) for size in (3, 7, 3)]
        assert found[0] == found[2] != found[1]
    assert score(networks[7], "ZenClosedForm", ScoringSettings(resolution=16)) == ClosedForm(16).score(networks[7])
    # What counts many networks, and remembers their blocks.
    costs, memory = CostModel(16, 10), MemoryModel(16, 10)
    for network in networks.values():
        assert costs.costs(network).parameters == network.cost(16, 10).parameters
        assert memory.memory(network) == MemoryModel(16, 10).memory(network)
