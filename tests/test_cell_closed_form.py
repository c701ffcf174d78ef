"""NAS-Bench-201's closed forms: against passes through networks, growth that was measured elsewhere, and sums by hand."""

import csv
import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks import nas_bench_201, score_tables
from benchmarks.cell_closed_form import cell_scores
from benchmarks.cell_closed_form_accuracy import growth_and_spread
from benchmarks.cell_lags import Lags, pooling_matrix, rectified_kernel, squared_rectifier_kernel
from benchmarks.cell_layers import images
from benchmarks.cell_maps import run_cell
from benchmarks.nas_bench_201 import OPERATIONS
from benchmarks.report_benchmarks import CLOSED_FORM_PROXIES, GROWTH, GROWTH_BATCH
from ZeroShotProxy import ScoringSettings, Weights, score

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data"))
GOLDEN = ROOT / "tests" / "golden/nasbench201_gradient_growth.csv.gz"
NONE, SKIP, SMALL, LARGE, POOL = OPERATIONS
# Two convolutions between identities.
RESIDUAL = (LARGE, NONE, SKIP, SKIP, NONE, LARGE)


def lag_function(lags, whole):
    """Of a symmetric (height, height) torus, as a row."""
    far, near = np.tril_indices(lags.height // 2 + 1)
    return whole[far, near][None]


def symmetric_torus(height, seed=0):
    """A random function of a lag on a torus, which neither signs nor axes change."""
    half = np.random.default_rng(seed).normal(size=(height // 2 + 1,) * 2)
    place = np.minimum(np.arange(height), height - np.arange(height))
    return (half + half.T)[np.ix_(place, place)]


def test_windows_of_a_lag_are_those_of_a_torus():
    lags, whole = Lags(8), symmetric_torus(8)
    function = lag_function(lags, whole)
    np.testing.assert_allclose(lags.of(lags.spectrum(function)), function, atol=1e-12)
    assert lags.mean(function) == pytest.approx(whole.mean())
    window = np.zeros((8, 8))
    window[np.ix_((-1, 0, 1), (-1, 0, 1))] = 1 / 9
    twice = np.fft.ifft2(np.fft.fft2(whole) * np.fft.fft2(window).real ** 2).real
    np.testing.assert_allclose(lags.averaged(function), lag_function(lags, twice), atol=1e-12)
    np.testing.assert_allclose(function[:, lags.even], lag_function(Lags(4), whole[::2, ::2]))


@pytest.mark.parametrize(("height", "times"), [(8, 1), (8, 2), (16, 3), (32, 5)])
def test_pooled_noise_has_the_variance_of_a_map_with_borders(height, times):
    pool = torch.nn.AvgPool2d((3, 1), stride=1, padding=(1, 0), count_include_pad=False)
    operator = pool(torch.eye(height, dtype=torch.float64)[:, None, :, None])[:, 0, :, 0].T.numpy()
    np.testing.assert_allclose(pooling_matrix(height), operator)
    white = np.zeros((1, Lags(height).count))
    white[:, 0] = 1
    lags = Lags(height)
    variance = lags.of(lags.spectrum(white) * lags.pooling ** (2 * times))[0, 0]
    powered = np.linalg.matrix_power(operator, times)
    # Both axes alike. On a torus without borders it would be a third less at 8 x 8 behind one pooling.
    assert variance == pytest.approx(((powered**2).sum() / height) ** 2, rel=0.15)


def test_kernels_of_rectifiers_are_the_published_ones():
    """Cho and Saul 2009, equation 6: of equal, independent and opposite variables."""
    kernel, positive = rectified_kernel(np.array([1.0, 0.0, -1.0]))
    assert kernel == pytest.approx([0.5, 1 / (2 * math.pi), 0])
    assert positive == pytest.approx([0.5, 0.25, 0])
    # Of max(z, 0) - m the fourth moment is 1.5 - 8 m^2 + 3 m^2 - 3 m^4 with m^2 = 1 / 2 pi, and the variance 1/2 - m^2.
    square = 1 / (2 * math.pi)
    kurtosis = (1.5 - 8 * square + 3 * square - 3 * square**2) / (0.5 - square) ** 2
    assert squared_rectifier_kernel(np.array([1.0, 0.0])) == pytest.approx([kurtosis - 1, 0], abs=0.02)


def test_maps_that_meet_again_add_up_in_amplitude():
    cells = [
        (SKIP, SKIP, NONE, NONE, SKIP, SKIP),  # x + x
        (SKIP, SKIP, SKIP, SKIP, SKIP, SKIP),  # x, then 2 x, then x + x + 2 x
        (SMALL, SMALL, NONE, NONE, SKIP, SKIP),  # two convolutions, each of variance 1, do not
        (NONE, NONE, NONE, SKIP, SKIP, SKIP),
        (NONE,) * 6,
    ]
    lags = Lags(32)
    places = np.array([[OPERATIONS.index(operation) for operation in cell] for cell in cells])
    maps, _, _ = run_cell(lags, images(lags, len(cells), 0.01), places, 16)
    assert maps.variance == pytest.approx([4, 16, 2, 1, 0])


@pytest.fixture(scope="module")
def table():
    path = DATA / nas_bench_201.FILE
    if not path.is_file():
        pytest.skip(f"{path} is not here (GSNET_DATA names its folder)")
    return nas_bench_201.read_table(path)


def test_growth_is_that_of_backward_passes_which_were_measured_elsewhere(table):
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as file:
        measured = [(float(r["growth"]), float(r["spread"])) for r in csv.DictReader(file)]
    chosen = range(0, len(table), 60)
    found = cell_scores([nas_bench_201.parse_cell(table[i].cell) for i in chosen], Weights.KAIMING, GROWTH_BATCH)
    expected = np.array([measured[i] for i in chosen])
    known = np.isfinite(found.growth)
    # Those that nothing flows through are 0 there.
    np.testing.assert_array_equal(known, expected[:, 0] != 0)
    for computed, figures in zip((found.growth, found.spread), expected.T, strict=True):
        assert spearmanr(computed[known], figures[known]).statistic > 0.97
        # One draw of weights is uncertain by 2 % itself.
        assert np.median(np.abs(computed / figures - 1)[known]) < 0.035


def test_scores_of_all_cells_are_kept_and_order_them_as_published(table):
    keys = [row.cell for row in table]
    kept = {}
    for proxy in (*CLOSED_FORM_PROXIES, GROWTH):
        found = score_tables.read_table(score_tables.FOLDER, "NAS-Bench-201", proxy, keys)
        assert found.complete
        kept[proxy] = found.scores
    chosen = keys[:: len(keys) // 8]
    cells = [nas_bench_201.parse_cell(key) for key in chosen]
    forward, backward = cell_scores(cells), cell_scores(cells, Weights.KAIMING, GROWTH_BATCH)
    for proxy, computed in zip(
        (*CLOSED_FORM_PROXIES, GROWTH), (forward.zen, forward.perturbation, backward.growth), strict=True
    ):
        assert [kept[proxy][key] for key in chosen] == pytest.approx(np.nan_to_num(computed, nan=-np.inf), rel=1e-5)
    # Zen by forward passes, over all cells: .321 (the notebook of VKDNW's authors).
    connected = [row for row in table if kept["ZenClosedForm"][row.cell] > -math.inf]
    assert len(connected) == sum(nas_bench_201.is_connected(nas_bench_201.parse_cell(key)) for key in keys)
    zen = [kept["ZenClosedForm"][row.cell] for row in connected]
    assert spearmanr(zen, [row.accuracies["CIFAR-10"] for row in connected]).statistic == pytest.approx(0.321, abs=0.03)


@pytest.mark.parametrize("cell", [RESIDUAL, (SMALL, POOL, NONE, SKIP, LARGE, SMALL)])
def test_scores_are_those_of_networks(cell):
    forward, backward = cell_scores([cell]), cell_scores([cell], Weights.KAIMING, 16)
    network, settings = nas_bench_201.CellNetwork(cell), ScoringSettings(batch_size=16)
    assert forward.zen[0] == pytest.approx(score(network, "Zen", settings), rel=0.05)
    assert forward.perturbation[0] == pytest.approx(score(network, "Perturbation", settings), rel=0.08)
    growth, spread = growth_and_spread(network, 16, seed=0)
    assert backward.growth[0] == pytest.approx(growth, rel=0.12)
    assert backward.spread[0] == pytest.approx(spread, rel=0.15)
