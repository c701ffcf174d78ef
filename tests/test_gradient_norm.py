"""GradNorm in closed form: against autograd, kind by kind of parameter, and against limits that are known exactly."""

import math
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pytest
from scipy.stats import spearmanr

import PlainNet
from benchmarks import gradient_norm
from benchmarks.gradient_norm import (
    BATCHES,
    FILE,
    KEY,
    SEEDS,
    accuracy_table,
    kinds_table,
    measure,
    measured,
    networks_of,
    squares_of_pass,
)
from benchmarks.saved_rows import read_rows
from PlainNet import Style
from ZeroShotProxy import ProxyFailure, ScoringSettings, score
from ZeroShotProxy.compute_gradnorm_closed_form import KINDS, GradientNorm
from ZeroShotProxy.gradient_logits import logit_gradient
from ZeroShotProxy.gradient_map import PROFILE, SIZE, gradient_room
from ZeroShotProxy.gradient_shares import centred

PAGE = Path(__file__).parent.parent / "docs/gradient_norm.md"
NETWORKS = {
    "ResNet-like": "SuperConvK3BNRELU(3,32,1,1)SuperResK3K3(32,64,2,32,2)SuperConvK1BNRELU(64,128,1,1)",
    "inverted residuals": "SuperConvK3BNRELU(3,32,1,1)SuperResIDWE4K5(32,48,2,32,1)SuperConvK1BNRELU(48,128,1,1)",
    "GhostShuffle": "SuperConvK3BNRELU(3,32,1,1)SuperGhostShuffleK5(32,64,2,48,2)SuperConvK1BNRELU(64,128,1,1)",
}


def squares_by_kind(network, images, seeds):
    """Means over passes, in the order of `KINDS`."""
    settings = ScoringSettings(resolution=16, batch_size=images)
    found = [squares_of_pass(network, settings, seed) for seed in range(seeds)]
    return [fmean(values) for values in zip(*found, strict=True)]


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("images", [8, 32])
def test_every_kind_of_parameter_has_the_square_that_autograd_gives(kind, images):
    network = PlainNet.parse(NETWORKS[kind])
    squares = GradientNorm(16).squares(network, images)
    passes = squares_by_kind(network, images, 12)
    assert math.sqrt(sum(squares)) == pytest.approx(math.sqrt(sum(passes)), rel=0.15)
    # Of the labels alone squares differ by a tenth from draw to draw.
    for name, computed, measured_square in zip(KINDS, squares, passes, strict=True):
        assert computed == pytest.approx(measured_square, rel=0.4, abs=1e-9), name


def test_a_scale_that_batch_normalisation_takes_away_again_has_no_gradient():
    """In front of a window over one channel, and without a rectifier in between: exact for any weights."""
    text = "ConvKX(3,32,3,1)BN(32)ConvDW(32,3,1)BN(32)RELU(32)"
    last_alone = "ConvKX(3,32,3,1)BN(32)RELU(32)"
    form, place = GradientNorm(16), KINDS.index("scales")
    both, one = (form.squares(PlainNet.parse(some), 16)[place] for some in (text, last_alone))
    assert both == pytest.approx(one, rel=0.02)
    assert squares_by_kind(PlainNet.parse(text), 16, 3)[place] > 0


def test_logits_have_the_gradient_of_certain_and_of_uniform_probabilities():
    """Labels are uniform: |p - y|^2 is 1 - 1/K for uniform p, and 0 or 2 for certain ones."""
    assert logit_gradient(0.0, 0.5, 10) == pytest.approx((0.9, 0.0), abs=1e-3)
    assert logit_gradient(1e6, 1.0, 10) == pytest.approx((1.8, 0.9), rel=1e-2)
    certain = logit_gradient(1e6, 0.0, 10)
    assert certain.square == pytest.approx(1.8, rel=1e-2) and certain.product == pytest.approx(0, abs=0.03)


def test_what_images_have_of_their_own_averages_out_over_a_batch():
    """Behind BN gradients sum to zero over a batch, so that convolutions have squares of one over the images.

    The classifier reads what all images have in common, which stays.
    """
    form = GradientNorm(16)
    few, many = (form.squares(PlainNet.parse(NETWORKS["ResNet-like"]), images) for images in (32, 512))
    convolutions, classifier = KINDS.index("convolutions"), KINDS.index("classifier")
    assert few[convolutions] == pytest.approx(16 * many[convolutions], rel=0.1)
    assert many[classifier] < few[classifier] < 1.2 * many[classifier]


def test_a_border_where_gradient_and_map_are_smaller_counts_by_the_mean_of_their_product():
    """Over both axes: profiles are those of one."""
    gradient, profile = gradient_room(0, 4)[0], np.array([0.7, 1.3, 1.2, 0.8])
    gradient[SIZE], gradient[PROFILE : PROFILE + 4] = 4, [0.6, 1.4, 1.3, 0.7]
    squares, variances = (np.outer(one, one) for one in (gradient[PROFILE : PROFILE + 4], profile))
    # Machine code is for other machine code to call.
    found = getattr(centred, "py_func", centred)(gradient, profile)
    assert found == pytest.approx((squares * variances).mean(), rel=1e-12)
    assert found > 1


@pytest.mark.parametrize(
    ("space", "rank", "difference"), [("XXBL", 0.99, 0.08), ("ghostshuffle", 0.96, 0.055), ("IDW_fixfc", 0.965, 0.055)]
)
def test_the_closed_form_agrees_with_kept_passes(space, rank, difference):
    found = dict(measured(read_rows(FILE, KEY)))[space]
    form = GradientNorm(32)
    computed, passes = [form.norm(one.network, one.batch) for one in found], [one.norm for one in found]
    assert len(found) == 60
    assert spearmanr(computed, passes).statistic > rank
    assert median(abs(one / other - 1) for one, other in zip(computed, passes, strict=True)) < difference


def test_kept_passes_are_scores_of_these_networks():
    rows = read_rows(FILE, KEY)
    assert list(rows) == [(space, network.text) for space in BATCHES for network in networks_of(space)]
    assert all(len(row[kind].split()) == SEEDS for row in rows.values() for kind in KINDS)
    network = networks_of("ghostshuffle")[0]
    kept = dict(measured(rows))["ghostshuffle"][0].squares[1].sum() ** 0.5
    found = score(network, "GradNorm", ScoringSettings(batch_size=BATCHES["ghostshuffle"]), 1)
    assert found == pytest.approx(kept, rel=1e-3)


def test_missing_passes_are_added_to_those_that_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_norm, "BATCHES", {"XXBL": 4})
    monkeypatch.setattr(gradient_norm, "networks_of", lambda space: [PlainNet.parse(NETWORKS["ResNet-like"])])
    file = tmp_path / "passes.csv"
    for seeds in (1, 3, 2):
        measure(read_rows(file, KEY), file, seeds)
    ((_, (one,)),) = measured(read_rows(file, KEY))
    assert one.squares.shape == (3, len(KINDS))
    settings = ScoringSettings(batch_size=4)
    assert one.squares[2].tolist() == pytest.approx(squares_of_pass(one.network, settings, 2), rel=1e-3)


def test_the_page_shows_the_tables_of_the_kept_passes():
    page, rows = PAGE.read_text(encoding="utf-8"), read_rows(FILE, KEY)
    assert accuracy_table(rows) in page and kinds_table(rows) in page


def test_the_proxy_scores_structures_at_the_batch_of_the_settings():
    network = PlainNet.parse(NETWORKS["ResNet-like"])
    settings = ScoringSettings(resolution=16, batch_size=8, num_classes=7)
    assert score(network, "GradNormClosedForm", settings) == GradientNorm(16).norm(network, 8, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ScoringSettings(style=Style(no_BN=True)), "batch normalisation"),
        (ScoringSettings(style=Style(use_se=True)), "squeeze-and-excitation"),
        (ScoringSettings(resolution=2, batch_size=1), "a single value"),
    ],
)
def test_what_has_no_closed_form_says_so(settings, message):
    with pytest.raises(ProxyFailure, match=message):
        score(PlainNet.parse(NETWORKS["ResNet-like"]), "GradNormClosedForm", settings)
