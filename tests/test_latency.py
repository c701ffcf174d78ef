"""Latency of values: layer listings, tables, interpolation, calibration and predictions with known answers."""

import contextlib
import gzip
import math
import os
import platform
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

import PlainNet
import ZenNet
from gsnet.commands import benchmark_network_latency
from gsnet.latency.calibration import described, fit, fit_few, fit_inferred, leave_one_out
from gsnet.latency.device import device_identity, precision_of, processor_name
from gsnet.latency.errors import LatencyError
from gsnet.latency.interpolation import LayerCurve, non_negative_least_squares, roofline_terms
from gsnet.latency.layer import Layer
from gsnet.latency.layer_times import LayerTimes
from gsnet.latency.layers import list_layers
from gsnet.latency.measurement import time_for
from gsnet.latency.predictor import LatencyModel, open_model
from gsnet.latency.records import Calibration, Conditions, Origin, TimedNetwork
from gsnet.latency.table import LatencyTable
from gsnet.latency.tinynas import read_tinynas
from gsnet.latency.visited import covering_networks, random_networks
from gsnet.runtimes.timing import LatencyFigures, time_calls
from PlainNet import DEPLOYED, Style
from PlainNet.map_graph import COPY, MapGraph
from PlainNet.map_rules import lay
from PlainNet.operations import operations
from SearchSpace import load_search_space

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT / "../shared/data"))
LIBRARY = DATA / "tinynas_v100_conv.fp16.txt.gz"
NETWORK = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,1,8,3)SuperConvK1BNRELU(16,32,1,1)")
CONDITIONS = Conditions("fp32", 2, 32)


def listed(structure, fuses, **options):
    layers = list_layers(PlainNet.parse(structure), batch=1, resolution=32, num_classes=None, fuses=fuses, **options)
    return [(x.kind, x.in_channels, x.height, x.out_channels, x.kernel_size, x.stride, x.fused) for x in layers]


@pytest.fixture
def table(tmp_path):
    with LatencyTable.create(tmp_path / "table.db", Origin("a device"), fuses=False) as made:
        yield made


def known_layers(network=NETWORK):
    return set(list_layers(network, batch=2, resolution=32, num_classes=10))


def test_eager_layers_of_a_residual_block():
    assert listed("SuperResK3K3(8,16,2,8,1)", fuses=False) == [
        ("Regular", 8, 32, 8, 3, 2, 0),
        ("BN", 8, 16, 8, 1, 1, 0),
        ("ReLU", 8, 16, 8, 1, 1, 0),
        ("Regular", 8, 16, 16, 3, 1, 0),
        ("BN", 16, 16, 16, 1, 1, 0),
        ("Regular", 8, 32, 16, 1, 2, 0),
        ("BN", 16, 16, 16, 1, 1, 0),
        ("Add", 16, 16, 16, 1, 1, 0),
        ("ReLU", 16, 16, 16, 1, 1, 0),
    ]


def test_a_fusing_library_has_convolutions_alone_and_adds_links_in_the_last_of_a_body():
    assert listed("SuperResK3K3(8,16,2,8,1)", fuses=True) == [
        ("Regular", 8, 32, 8, 3, 2, 0),
        ("Regular", 8, 16, 16, 3, 1, 1),
        ("Regular", 8, 32, 16, 1, 2, 0),
    ]
    kinds = [layer[0] for layer in listed("SuperResIDWE2K5(8,8,1,8,1)", fuses=True, style=Style(use_se=True))]
    assert kinds[:6] == ["Regular", "Depthwise", "Pool", "Regular", "Regular", "Scale"]


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize(
    "name", ["gsmodel_l", "zennet_imagenet1k_flops400M_SE_res224", "zennet_cifar10_model_size1M_res32"]
)
def test_convolutions_listed_cost_what_the_network_costs(name, fuses):
    entry = ZenNet.published(name)
    network, style = PlainNet.parse(entry.structure), Style(use_se=entry.se)
    layers = list_layers(network, batch=1, resolution=224, num_classes=10, style=style, fuses=fuses)
    flops = sum(
        x.in_channels // x.groups * x.out_channels * x.kernel_size**2 * x.out_height**2
        for x in layers
        if x.is_convolution or x.kind == "Linear"
    )
    assert flops == network.cost(224, 10, style).flops


@pytest.mark.parametrize("style", [Style(use_se=True), DEPLOYED], ids=["searched", "deployed"])
def test_both_units_are_listed_as_they_are_built(style):
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,3)")
    layers = [layer.kind for layer in list_layers(network, batch=1, resolution=16, num_classes=10, style=style)]
    kinds = {"relu": "ReLU", "hard_swish": "HardSwish", "sigmoid": "Sigmoid", "norm": "BN", "linear": "Linear"}
    run = [kinds[one.kind] for one in operations(network, 16, 10, style) if one.kind in kinds]
    assert sorted(kind for kind in layers if kind in kinds.values()) == sorted(run)
    graph = MapGraph(8, 16)
    lay(network.blocks[1], graph, graph.image, style)
    # A shuffle is three copies there.
    assert layers.count("Shuffle") == sum(operator.kind == COPY for operator in graph.operators) / 3


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize(
    "structure",
    [
        "ConvKX(3,8,3,1)BN(8)RELU(8)ConvKX(8,8,3,2)BN(8)",
        "SuperConvK3BNRELU(3,8,1,1)RELU(32)ConvDW(8,3,1)HS(5)",
        "ConvKX(3,8,3,1)ResBlock(RELU(8))BN(8)SuperResK3K3(8,16,2,8,4)",
        "ConvKX(3,4,3,2)Flatten(4)Linear(1024,8,1)",
    ],
)
def test_a_prediction_is_the_sum_of_the_networks_layers(tmp_path, structure, fuses):
    network = PlainNet.parse(structure)
    layers = list_layers(network, batch=1, resolution=32, num_classes=10, fuses=fuses)
    with LatencyTable.create(tmp_path / "any.db", Origin("any", ""), fuses=fuses) as made:
        seconds = {layer: 1.0 + place for place, layer in enumerate(dict.fromkeys(layers))}
        made.add_layers("fp32", seconds.items())
        model = LatencyModel(made, Conditions("fp32", 1, 32), num_classes=10)
    assert model.seconds(network) == pytest.approx(sum(seconds[layer] for layer in layers))


def test_a_sum_over_measured_layers(table):
    table.add_layers("fp32", [(layer, 1e-3) for layer in known_layers()])
    layers = list_layers(NETWORK, batch=2, resolution=32, num_classes=10)
    model = LatencyModel(table, CONDITIONS, num_classes=10)
    assert model.seconds(NETWORK) == pytest.approx(len(layers) * 1e-3)
    assert model.seconds_per_image(NETWORK) == pytest.approx(len(layers) * 0.5e-3)
    assert model.predict(NETWORK).spread == 0
    terms = dict(zip(("dense", "depthwise", "between", "layers"), model.terms(NETWORK), strict=False))
    dense = sum(layer.kind == "Regular" for layer in layers)
    assert terms == pytest.approx(
        {"dense": dense * 1e-3, "depthwise": 0, "between": (len(layers) - dense) * 1e-3, "layers": len(layers)}
    )


def test_repeated_measurements_are_averaged_and_a_failure_loses_none(table):
    layer = next(iter(known_layers()))
    table.add_layers("fp32", [(layer, 1e-3)])
    table.add_layers("fp32", [(layer, 2e-3)])
    table.add_layers("fp32", [(layer, None)])
    assert table.layers("fp32", 2) == {layer: pytest.approx(1.5e-3)}


def test_a_failure_before_the_first_measurement_counts_for_none(table):
    layer = next(iter(known_layers()))
    for seconds in (None, 1e-3, 2e-3):
        table.add_layers("fp32", [(layer, seconds)])
        assert table.known_layers("fp32", 2) == {layer}
    assert table.layers("fp32", 2) == {layer: pytest.approx(1.5e-3)}


def test_half_precision_of_a_table_is_what_its_device_has(table):
    layer = next(iter(known_layers()))
    assert (table.precision(half=False), table.precision(half=True)) == ("fp32", "fp16")
    table.add_layers("bf16", [(layer, 1e-3)])
    assert (table.precision(half=False), table.precision(half=True)) == ("fp32", "bf16")
    assert [precision_of(device, True) for device in ("cpu", "cuda:1")] == ["bf16", "fp16"]


def test_interpolation_follows_a_roofline_and_what_lies_above_it():
    def seconds(width, height):
        layer = Layer("Regular", 1, width, height, height, width, 3, 1, 0)
        return layer, 2e-6 + 9 * width**2 * height**2 * 1e-11 * (1 + 0.2 * math.log2(height) / 6)

    measured = [seconds(width, height) for width in (16, 32, 64, 128, 256) for height in (4, 8, 16, 32, 64)]
    curve = LayerCurve(*zip(*measured, strict=True))
    for width, height in ((48, 12), (96, 24), (192, 48), (64, 10)):
        layer, truth = seconds(width, height)
        assert curve.seconds(layer) == pytest.approx(truth, rel=0.08)
    near, far = seconds(64, 16)[0], seconds(2048, 64)[0]
    assert curve.spread(near) < curve.spread(far)


@pytest.mark.parametrize(
    ("layer", "terms"),
    [
        # One, multiply-accumulates in blocks of 16 channels but for those of an image, read, written, weights.
        (Layer("Regular", 2, 3, 32, 32, 8, 3, 2, 0), (1, 3 * 16 * 9 * 512, 2 * 3 * 1024, 8 * 512, 3 * 8 * 9)),
        (Layer("Regular", 1, 20, 8, 8, 40, 1, 1, 0), (1, 32 * 48 * 64, 20 * 64, 40 * 64, 20 * 40)),
        (Layer("Grouped4", 1, 80, 8, 8, 32, 1, 1, 0), (1, 32 * 32 * 64, 80 * 64, 32 * 64, 20 * 32)),
        (Layer("Depthwise", 3, 24, 7, 7, 24, 5, 2, 0), (1, 24 * 25 * 48, 3 * 24 * 49, 24 * 48, 24 * 25)),
        (Layer("Linear", 2, 32, 1, 1, 10, 1, 1, 0), (1, 640, 64, 20, 320)),
        (Layer("Add", 2, 16, 4, 4, 16, 1, 1, 0), (1, 0, 2 * 256, 2 * 256, 0)),
    ],
)
def test_what_a_layer_computes_reads_and_writes_by_hand(layer, terms):
    assert roofline_terms(layer) == terms


def kernel(points, others, length):
    return np.exp(-((points[:, None] - others[None]) ** 2).sum(axis=2) / (2 * length**2))


def left_out(points, residuals, variance, length, noise):
    """The logarithm of the probability of each residual by a Gaussian process that knows all others."""
    total = 0.0
    for place in range(len(points)):
        others = np.arange(len(points)) != place
        covariance = kernel(points[others], points[others], length) + noise * np.eye(len(points) - 1)
        near = kernel(points[[place]], points[others], length)[0]
        solved = np.linalg.solve(covariance, near)
        spread = variance * (1 + noise - solved @ near)
        total -= 0.5 * (math.log(spread) + (residuals[place] - solved @ residuals[others]) ** 2 / spread)
    return total


@pytest.mark.parametrize("rough", [0.02, 0.4])
def test_interpolation_is_that_of_a_gaussian_process_of_what_the_roofline_leaves(rough):
    """Written down anew from the formulas (Rasmussen and Williams 2006, 2.2 and 5.4), one layer left out at a time."""
    generator = np.random.default_rng(0)
    sides = [(int(a), int(b), int(h)) for a, b, h in generator.integers((8, 8, 4), (256, 256, 64), (24, 3))]
    layers = [Layer("Regular", 1, a, h, h, b, 3, 1, 0) for a, b, h in sides]
    terms = np.array([roofline_terms(layer) for layer in layers])
    points = np.log2(np.array(sides, dtype=float))
    above = np.sin(points.sum(axis=1)) * 0.2 + rough * generator.standard_normal(24)
    seconds = (2e-6 + 1e-11 * terms[:, 1]) * np.exp(above + 0.3)
    scale = terms.max(axis=0)
    coefficients = nnls(terms / scale / seconds[:, None], np.ones(24))[0] / scale
    residuals = np.log(seconds / (terms @ coefficients))
    offset = float(np.median(residuals))
    residuals -= offset
    variance = float((residuals**2).mean())
    choices = [(length, noise) for length in (0.7, 1.2, 2.0, 3.5) for noise in (0.03, 0.1, 0.3)]
    length, noise = max(choices, key=lambda pair: left_out(points, residuals, variance, *pair))
    covariance = kernel(points, points, length) + noise * np.eye(24)
    curve = LayerCurve(layers, seconds)
    for a, b, h in ((100, 40, 16), (16, 16, 7), (500, 8, 32)):
        asked = Layer("Regular", 1, a, h, h, b, 3, 1, 0)
        near = kernel(np.log2(np.array([[a, b, h]])), points, length)[0]
        base = float(np.array(roofline_terms(asked)) @ coefficients)
        expected = base * math.exp(offset + near @ np.linalg.solve(covariance, residuals))
        assert curve.seconds(asked) == pytest.approx(expected, rel=1e-4)
        spread = math.sqrt(variance * (1 - near @ np.linalg.solve(covariance, near)))
        assert curve.spread(asked) == pytest.approx(spread, rel=1e-4)


def test_far_from_what_was_measured_the_error_bar_is_what_the_roofline_leaves():
    layers = [Layer("Regular", 1, width, 8, 8, width, 3, 1, 0) for width in range(16, 416, 16)]
    # In turn a fifth above and below what is proportional to the operations.
    seconds = [roofline_terms(one)[1] * 1e-11 * math.exp(0.2 * (-1) ** i) for i, one in enumerate(layers)]
    assert LayerCurve(layers, seconds).spread(Layer("Regular", 1, 16, 512, 512, 16, 3, 1, 0)) == pytest.approx(
        0.2, rel=0.1
    )


def test_a_kind_of_layer_is_known_from_eight_of_it_on(table):
    def layer(width):
        return Layer("Regular", 2, width, 8, 8, width, 3, 1, 0)

    def timed(widths):
        return [(layer(width), 1e-6 + 1e-8 * width**2) for width in widths]

    table.add_layers("fp32", timed(range(16, 128, 16)))
    times = LayerTimes(table, "fp32", 2)
    assert times.is_missing(layer(40), 0.5)
    times.add(dict(timed([128])))
    assert not times.is_missing(layer(40), 0.5)


def test_what_was_measured_since_tells_others_of_its_kind(table):
    def layer(width):
        return Layer("Regular", 2, width, 8, 8, width, 3, 1, 0)

    table.add_layers("fp32", [(layer(width), 1e-9 * width**2) for width in (16, 32, 64, 128)])
    times = LayerTimes(table, "fp32", 2)
    asked, other = layer(192), layer(208)
    before = times.seconds(asked)
    # The device is ten times slower there.
    times.add({layer(width): 1e-8 * width**2 for width in (176, 200, 224)})
    assert times.seconds(asked) == before < times.seconds(other) / 4


def test_without_a_time_of_its_own_a_layer_moves_elements_as_fast_as_the_fastest_convolutions(tmp_path):
    convolutions = [Layer("Regular", 1, 8, 10, 10, 8, 1, 1, 0)._replace(kernel_size=k) for k in range(1, 102)]
    with LatencyTable.create(tmp_path / "any.db", Origin("any", ""), fuses=True) as made:
        # Of 1600 elements each, in 100 us down to 1 us, and an outlier of a hundredth of that.
        made.add_layers("fp32", [(one, (101 - i) * 1e-6 if i < 100 else 1e-8) for i, one in enumerate(convolutions)])
        seconds = LayerTimes(made, "fp32", 1).seconds(Layer("Add", 1, 16, 10, 10, 16, 1, 1, 0))
    # Twice as many elements as the fastest but one moves, which takes 2 us.
    assert seconds == pytest.approx(4e-6)


def test_non_negative_least_squares():
    a = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert non_negative_least_squares(a, a @ [2.0, 3.0]) == pytest.approx([2, 3])
    assert non_negative_least_squares(a, np.array([1.0, -1.0, 0.0])) == pytest.approx([0.5, 0])


def test_calibration_finds_a_slow_depth_wise_library():
    generator = np.random.default_rng(0)
    terms = np.column_stack((generator.uniform(1e-3, 9e-3, (40, 3)), generator.integers(20, 90, 40), np.ones(40)))
    truth = terms[:, :3] @ [1.1, 1.4, 0.9] + 2e-6 * terms[:, 3]
    found = fit(terms, truth)
    assert found.networks == 40
    assert found.spread < 0.05
    assert np.abs(np.log(terms @ found.coefficients / truth)).max() < 0.1
    with pytest.raises(LatencyError, match="at least 6"):
        fit(terms[:5], truth[:5])


def test_coefficients_are_drawn_towards_one_ratio_as_four_networks_would():
    """By SciPy: squares of relative errors, and of four times what each convolution's term is off the common ratio."""
    generator = np.random.default_rng(1)
    terms = np.column_stack((generator.uniform(1e-3, 9e-3, (12, 3)), generator.integers(20, 90, 12), np.ones(12)))
    times = (terms @ [1.1, 1.8, 0.7, 2e-6, 3e-4]) * np.exp(generator.normal(0, 0.05, 12))
    ratio = np.median(times / terms[:, :3].sum(axis=1))
    typical = np.median(terms / times[:, None], axis=0)
    # The common ratio for the first three; a layer and a network cost nothing besides unless they are seen to.
    wanted = np.array([ratio, ratio, ratio, 0.0, 0.0])
    a = np.vstack((terms / times[:, None] / typical, 4 * np.eye(5)))
    b = np.concatenate((np.ones(12), 4 * wanted * typical))
    coefficients = nnls(a, b)[0] / typical
    # As many networks are predicted too slow as too fast.
    coefficients *= math.exp(np.median(np.log(times / (terms @ coefficients))))
    found = fit(terms, times)
    assert found.coefficients == pytest.approx(coefficients, rel=1e-4, abs=1e-9)
    errors = leave_one_out(terms, times)
    assert found.spread == pytest.approx(math.sqrt((errors**2).mean()))


def test_each_network_is_predicted_by_all_others():
    # By the mean of the others: 3 for the first, 2.5 for the second, 1.5 for the third.
    errors = leave_one_out(np.ones((3, 1)), np.array([1.0, 2.0, 4.0]), lambda rows, times: np.array([times.mean()]))
    assert np.exp(errors) == pytest.approx([3 / 1, 2.5 / 2, 1.5 / 4])


def test_fits_of_two_coefficients_find_them():
    generator = np.random.default_rng(0)
    terms = np.column_stack((generator.uniform(1e-3, 9e-3, (9, 3)), generator.integers(20, 90, 9), np.ones(9)))
    seconds = 1.25 * terms[:, :3].sum(axis=1)
    assert fit_few(terms, seconds + 3e-6 * terms[:, 3]) == pytest.approx([1.25, 1.25, 1.25, 3e-6, 0.0], rel=1e-4)
    assert fit_inferred(terms, seconds + 5e-5) == pytest.approx([1.25, 1.25, 1.25, 0.0, 5e-5], rel=1e-4)


def test_a_fit_is_told_to_a_person_in_a_line():
    ratio = 1.0123456789
    assert described(Calibration((ratio, ratio, ratio, 0.0, 1.42345678e-05), 0.0532109, 40)) == (
        "calibrated on 40 networks, by which a network takes 1.01 times the sum of its layers' seconds in the table and "
        "14.2 us besides; a network that was not timed takes +- 5.3% of that (leave-one-out)"
    )
    # As where layers were inferred from networks: no factor that says nothing.
    assert described(Calibration((0.9999, 0.9999, 0.9999, 0.0, 0.0), 0.02, 6)) == (
        "calibrated on 6 networks, by which a network takes the sum of its layers' seconds in the table; "
        "a network that was not timed takes +- 2.0% of that (leave-one-out)"
    )
    assert described(Calibration((0.98765432, 1.5, 0.7654321, 2.3456e-06, 0.0), 0.1, 6)) == (
        "calibrated on 6 networks, by which a network takes 0.988 times the table's seconds for its dense convolutions, "
        "1.5 times those for depth-wise ones, 0.765 times those for what lies between them and 2.35 us a layer; "
        "a network that was not timed takes +- 10.0% of that (leave-one-out)"
    )


def test_predictions_are_calibrated(table, tmp_path):
    table.add_layers("fp32", [(layer, 1e-3) for layer in known_layers()])
    plain = LatencyModel(table, CONDITIONS, num_classes=10)
    terms = [[x * k for x in plain.terms(NETWORK)[:4]] + [1.0] for k in range(1, 9)]
    table.add_calibration(CONDITIONS, fit(terms, [1.5 * sum(t[:3]) for t in terms]))
    model = open_model(str(table.path), "predict", CONDITIONS, num_classes=10)
    assert model.seconds(NETWORK) == pytest.approx(1.5 * plain.seconds(NETWORK), rel=0.02)
    assert open_model(str(table.path), "table", CONDITIONS, num_classes=10).seconds(NETWORK) == plain.seconds(NETWORK)
    with pytest.raises(LatencyError, match="not calibrated for batch 2, 64 pixels"):
        open_model(str(table.path), "predict", CONDITIONS._replace(resolution=64), num_classes=10)


def test_a_prediction_weighs_each_kind_of_layer_and_adds_what_a_network_takes_besides(table):
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResIDWE2K3(8,16,1,8,4)SuperConvK1BNRELU(16,32,1,1)")
    layers = list_layers(network, batch=2, resolution=32, num_classes=10)
    seconds = {layer: 1e-3 * (1 + place) for place, layer in enumerate(sorted(set(layers)))}
    table.add_layers("fp32", seconds.items())
    ratios = {"Regular": 2.0, "Depthwise": 3.0}
    assert {"Regular", "Depthwise", "BN"} <= {layer.kind for layer in layers}
    by_hand = sum(ratios.get(layer.kind, 5.0) * seconds[layer] for layer in layers) + 7e-3 * len(layers) + 11e-3
    calibration = Calibration((2.0, 3.0, 5.0, 7e-3, 11e-3), 0.1, 9)
    model = LatencyModel(table, CONDITIONS, num_classes=10, calibration=calibration)
    # Also where all blocks are known by now.
    assert [model.seconds(network) for _ in range(2)] == pytest.approx([by_hand] * 2)
    assert np.dot(model.terms(network), calibration.coefficients) == pytest.approx(by_hand)


def test_errors_of_interpolated_layers_and_of_the_fit_are_independent_of_each_other(table):
    layers = list_layers(NETWORK, batch=2, resolution=32, num_classes=10)
    dense = sorted({layer for layer in layers if layer.kind == "Regular" and layer.kernel_size == 3})
    assert len(dense) == 4
    table.add_layers("fp32", [(layer, 1e-3) for layer in set(layers) - set(dense[1:3])])
    times = LayerTimes(table, "fp32", 2)
    errors = [times.spread(layer) * times.seconds(layer) for layer in layers]
    assert sum(error > 0 for error in errors) > 1
    of_layers = math.sqrt(sum(error**2 for error in errors)) / sum(map(times.seconds, layers))
    for fitted in (0.0, of_layers):
        calibration = Calibration((1.0, 1.0, 1.0, 0.0, 0.0), fitted, 9)
        spread = LatencyModel(table, CONDITIONS, num_classes=10, calibration=calibration).predict(NETWORK).spread
        assert spread == pytest.approx(of_layers * (math.sqrt(2) if fitted else 1))


@pytest.mark.parametrize(
    ("timed", "classes", "told"),
    [
        ([], 10, "the table has no classifier, whose weights are left out"),
        ([10], 10, ""),
        ([10, 100], 50, ""),
        ([10], 100, "a classifier of 100 is worked out from those of 10 classes"),
        ([10, 100], 9, "a classifier of 9 is worked out from those of 10 to 100 classes"),
    ],
)
def test_a_number_of_classes_beyond_the_timed_ones_is_told(table, timed, classes, told):
    table.add_layers("fp32", [(layer, 1e-3) for layer in known_layers() if layer.kind != "Linear"])
    table.add_layers("fp32", [(Layer("Linear", 2, 32, 1, 1, number, 1, 1, 0), 1e-3) for number in timed])
    assert LatencyModel(table, CONDITIONS, num_classes=classes).beyond_timed.partition(" and from")[0] == told


def test_rounds_count_by_the_undisturbed_one(table):
    for number, seconds in enumerate((3.0, 1.0, 2.0)):
        table.add_network(CONDITIONS, TimedNetwork(str(NETWORK), 10, False, "calibration", seconds), number)
    assert [one.seconds for one in table.networks(CONDITIONS, "calibration")] == [1.0]
    assert table.rounds(CONDITIONS, "calibration", 10, False) == {(n, str(NETWORK)) for n in range(3)}


def test_one_sentence_for_what_cannot_be_had(table, tmp_path):
    with pytest.raises(LatencyError, match=r"There is no latency table .*--import_timings"):
        LatencyTable.open(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(LatencyError, match=r"text\.db"):
        LatencyTable.open(tmp_path / "text.db")
    with pytest.raises(LatencyError, match="holds latencies of a device by torch, and this is another"):
        LatencyTable.open_for(table.path, Origin("another"))
    table.add_layers("fp32", [(layer, 1e-3) for layer in known_layers() if layer.kind != "Add"])
    with pytest.raises(LatencyError, match="Add of 16 x 16 x 16"):
        LatencyModel(table, CONDITIONS, num_classes=10).seconds(NETWORK)
    with pytest.raises(LatencyError, match="no layer at fp16, batch 2; it has fp32 at batch 2"):
        LatencyModel(table, CONDITIONS._replace(precision="fp16"), num_classes=10)


def test_tinynas_libraries(tmp_path):
    file = tmp_path / "tinynas.fp16.txt.gz"
    with gzip.open(file, "wt") as text:
        text.write("{Regular,64,8,16,16,8,3,1,1} 0.5\n\n{Depthwise,64,8,16,16,8,3,2,0} -1\n")
    with LatencyTable.create(tmp_path / "v100.db", Origin("V100", ""), fuses=True) as table:
        assert table.add_layers("fp16", read_tinynas(file)) == 2
        assert table.layers("fp16", 64) == {Layer("Regular", 64, 8, 16, 16, 8, 3, 1, 1): 0.5e-3}
        with pytest.raises(LatencyError, match=r"no layer like Regular .*: import a library that covers it, too$"):
            LatencyModel(table, Conditions("fp16", 64, 16), num_classes=10).seconds(NETWORK)


def test_what_a_branch_begins_with_is_part_of_no_convolution_that_others_read():
    """A library folds into a convolution what alone reads it: not what stands at the beginning of one of two readers."""
    for text, kinds in (
        ("ConvKX(3,8,3,1)BN(8)RELU(8)ConvKX(8,8,3,1)", ["Regular"] * 2),
        ("ConvKX(3,8,3,1)ResBlock(BN(8)RELU(8)ConvKX(8,8,3,1))", ["Regular", "BN", "ReLU", "Regular"]),
        ("ConvKX(3,8,3,1)ResBlockProj(RELU(8)ConvKX(8,8,3,1))", ["Regular", "ReLU", "Regular", "Regular"]),
        ("ConvKX(3,8,3,1)MultiSumBlock(ConvKX(8,8,1,1);HS(8))", ["Regular", "Regular", "HardSwish", "Add"]),
        ("ConvKX(3,8,3,1)MultiCatBlock(RELU(8);ConvKX(8,8,1,1))", ["Regular", "ReLU", "Regular", "Concatenate"]),
    ):
        assert [layer[0] for layer in listed(text, fuses=True)] == kinds, text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{Regular,64,8,16,16,8,3,1} 0.5", "line 1: not of the form"),
        ("{Regular,64,8,16,16,8,3,1,0} 0.5\n{Regular,64,0,16,16,8,3,1,0} 0.5", "line 2: not of the form"),
        ("{Regular,64,-8,16,16,8,3,1,0} 0.5", "line 1: not of the form"),
        ("{Regular,64,8,16,16,8,3,1,2} 0.5", "line 1: not of the form"),
        ("{Depthwise,64,8,16,16,8,3,1,0} inf", "line 1: not of the form"),
        ("{Depthwise,64,8,16,16,8,3,1,0} nan", "line 1: not of the form"),
        ("", "holds no layer"),
    ],
)
def test_what_is_no_tinynas_library_leaves_no_table(text, wrong, tmp_path):
    library, path = tmp_path / "v100.fp16.txt", tmp_path / "v100.db"
    library.write_text(text)
    with pytest.raises(LatencyError, match=wrong):
        benchmark_network_latency.main(["--import_tinynas", str(library), "--latency_table", str(path)])
    assert not path.exists()


def test_a_file_that_is_no_table_stays_as_it_was(tmp_path):
    other = tmp_path / "search.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        connection.commit()
    (tmp_path / "empty.db").touch()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for file in before:
        with pytest.raises(LatencyError, match="is no latency table"):
            LatencyTable.open(file)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_table_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    """As one of everybody's on a server; the superuser, as whom tests may run, may write anything."""
    path = tmp_path / "device.db"
    with LatencyTable.create(path, Origin("V100", ""), fuses=True) as table:
        table.add_layers("fp32", [(Layer("Regular", 1, 8, 16, 16, 8, 3, 1, 0), 1e-3)])
    assert [file.name for file in tmp_path.iterdir()] == ["device.db"]
    monkeypatch.setattr(os, "access", lambda file, mode, **how: mode != os.W_OK)
    with LatencyTable.open(path) as table:
        assert table.layers("fp32", 1) and [file.name for file in tmp_path.iterdir()] == ["device.db"]
        with pytest.raises(LatencyError, match="readonly"):
            table.add_layers("fp32", [(Layer("Regular", 1, 8, 16, 16, 8, 3, 2, 0), 1e-3)])


@pytest.mark.skipif(not LIBRARY.is_file(), reason=f"TinyNAS's V100 table is not in {DATA} (GSNET_DATA)")
def test_published_latencies_in_order_by_the_table_of_a_v100(tmp_path):
    from scipy.stats import spearmanr

    published = {"01ms": 0.1, "02ms": 0.2, "03ms": 0.3, "05ms": 0.5, "08ms": 0.8, "12ms": 1.2}
    published |= {"flops400M_SE": 0.25, "flops600M_SE": 0.36, "flops900M_SE": 0.55}
    conditions = Conditions("fp16", 64, 224)
    sums = []
    with LatencyTable.create(tmp_path / "v100.db", Origin("V100", ""), fuses=True) as table:
        table.add_layers("fp16", read_tinynas(LIBRARY))
        for key in published:
            (name,) = (n for n in ZenNet.list_models() if key in n)
            entry = ZenNet.published(name)
            model = LatencyModel(table, conditions, num_classes=1000, style=Style(use_se=entry.se))
            sums.append(model.seconds_per_image(PlainNet.parse(entry.structure)))
    truth = list(published.values())
    assert spearmanr(sums[:6], truth[:6]).statistic == pytest.approx(1.0)
    assert spearmanr(sums, truth).statistic >= 0.9


def test_predicting_needs_no_torch():
    script = "import sys, gsnet.latency.predictor, gsnet.latency.building, gsnet.latency.command; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


@pytest.mark.parametrize("name", ["XXBL", "ghostshuffle", "IDW_fixfc"])
def test_covering_networks_have_every_kind_kernel_and_stride_that_a_search_visits(name):
    space = load_search_space(f"SearchSpace/search_space_{name}.py")
    block = space.block_types[0].__name__
    start = PlainNet.parse(
        f"SuperConvK3BNRELU(3,8,1,1){block}(8,16,1,8,1){block}(16,24,2,16,1)SuperConvK1BNRELU(24,32,1,1)"
    )

    def kinds(networks):
        layers = [x for one in networks for x in list_layers(one, batch=1, resolution=32, num_classes=10)]
        return {(x.kind, x.kernel_size, x.stride) for x in layers}

    covered = kinds(covering_networks(space, start, 0))
    assert kinds(random_networks(space, start, 60, 1)) <= covered
    assert kinds(random_networks(space, None, 20, 1)) <= kinds(covering_networks(space, None, 0))


def test_layers_are_measured_where_too_little_is_known_of_them(table):
    measured = []

    def measure(chain, missing):
        assert set(missing) <= set(chain)
        measured.extend(missing)
        return dict.fromkeys(missing, 1e-3)

    model = LatencyModel(table, CONDITIONS, num_classes=10, measure=measure)
    total = len(list_layers(NETWORK, batch=2, resolution=32, num_classes=10))
    assert model.seconds(NETWORK) == model.seconds(NETWORK) == pytest.approx(total * 1e-3)
    assert sorted(measured) == sorted(known_layers())

    # Of a kind that follows its roofline, two widths tell what those between them take; of another kind, nothing is known.
    known = [Layer("Regular", 2, w, 8, 8, v, 3, 1, 0) for w in range(16, 144, 16) for v in range(16, 144, 16)]
    others = {x for x in list_layers(NETWORK, batch=2, resolution=32, num_classes=10) if x.kind != "Regular"}
    table.add_layers("fp32", [(x, 1e-5 + 9e-8 * x.in_channels * x.out_channels) for x in known])
    table.add_layers("fp32", [(x, 1e-3) for x in others])
    times = LayerTimes(table, "fp32", 2)
    assert not times.is_missing(Layer("Regular", 2, 40, 8, 8, 72, 3, 1, 0), 0.2)
    assert times.is_missing(Layer("Regular", 2, 40, 8, 8, 72, 3, 1, 0), 0.0)
    assert times.is_missing(Layer("Regular", 2, 40, 8, 8, 72, 5, 1, 0), 0.2)
    times.add({Layer("Regular", 2, 40, 8, 8, 72, 5, 1, 0): None})
    assert not times.is_missing(Layer("Regular", 2, 40, 8, 8, 72, 5, 1, 0), 0.2)


def dense_seconds(layer):
    """A device that takes 2 us for a convolution, 0.02 ns for an operation and 0.4 ns for a weight."""
    weights = layer.in_channels * layer.out_channels * layer.kernel_size**2
    return 2e-6 + weights * (0.4e-9 + 0.02e-9 * layer.out_height**2)


def classifier(classes):
    return Layer("Linear", 1, 128, 1, 1, classes, 1, 1, 0)


def classifier_seconds(classes):
    return 5e-6 + 128 * classes * 0.42e-9


@pytest.mark.parametrize("timed", [[10], [1000], [10, 20], [100, 1000]])
def test_classifiers_of_more_or_fewer_classes_than_were_timed(table, timed):
    """One number of classes says nothing of what a class takes: the weights of convolutions do."""
    dense = [
        Layer("Regular", 1, width, side, side, 2 * width, kernel, 1, 0)
        for width in (32, 64, 128, 256)
        for side in (4, 8, 16)
        for kernel in (1, 3)
    ]
    table.add_layers("fp32", [(layer, dense_seconds(layer)) for layer in dense])
    table.add_layers("fp32", [(classifier(classes), classifier_seconds(classes)) for classes in timed])
    times = LayerTimes(table, "fp32", 1)
    assert times.classes == timed
    assert times.is_missing(classifier(100_000), 0.2), "a search that may measure does so"
    found = {classes: times.seconds(classifier(classes)) for classes in (1, 10, 100, 1000, 10_000, 100_000)}
    assert list(found.values()) == sorted(found.values())
    for classes, seconds in found.items():
        # Of what a device does once for a classifier nothing says how much it is; above, its part is small.
        assert seconds == pytest.approx(classifier_seconds(classes), rel=0.15 if classes >= timed[0] else 1)
    assert times.spread(classifier(timed[0])) == 0
    assert 0.5 < times.spread(classifier(100_000)) < 1


def test_the_error_bar_is_as_wide_as_errors_are():
    generator = np.random.default_rng(1)
    terms = np.column_stack((generator.uniform(1e-3, 9e-3, (240, 3)), generator.integers(20, 90, 240), np.ones(240)))
    truth = terms[:, :3].sum(axis=1) * np.exp(generator.normal(0, 0.06, 240))
    found = fit(terms[:40], truth[:40])
    errors = np.abs(np.log(terms[40:] @ found.coefficients / truth[40:]))
    # Of a normal distribution 68 % and 95 %.
    assert 0.55 <= np.mean(errors <= found.spread) <= 0.80
    assert np.mean(errors <= 2 * found.spread) >= 0.90


class Clock:
    """A clock by which actions take these times, one after the other."""

    def __init__(self, *times):
        self.readings = iter([reading for seconds in times for reading in (0.0, seconds)])
        self.actions = 0

    def __call__(self):
        return next(self.readings)

    def act(self):
        self.actions += 1


def test_quartiles_and_the_interval_of_a_median_by_hand():
    clock = Clock(9, 1, 8, 2, 7, 3, 6, 4, 5)
    figures = time_calls(clock.act, repeats=9, clock=clock)
    # Of nine the ranks 4.5 - 1.96 * 3 / 2 = 1.56 and 4.5 + 2.94 = 7.44, rounded up: from the second to the eighth.
    assert figures == LatencyFigures(3, 5, 7, 9, pytest.approx((8 - 2) / 2 / 5))
    assert clock.actions == 3 + 9
    few = Clock(1, 2, 3, 4, 5, 6, 7)
    assert math.isnan(time_calls(few.act, repeats=7, clock=few).interval)


@pytest.mark.parametrize(("precision", "repeats"), [(0.7, 8), (0.4, 30)])
def test_timing_ends_once_the_median_is_known_well_enough(precision, repeats):
    # Half of the passes take 1 s, half 3 s: the interval reaches from the ones to the others, half as wide as their mean.
    clock = Clock(*[1, 3] * 15)
    assert time_calls(clock.act, repeats=30, precision=precision, clock=clock).repeats == repeats


@pytest.mark.parametrize(("seconds", "expected", "actions"), [(0, 3, 4), (12, 3, 4), (13, 4, 5)])
def test_a_layer_takes_the_lower_quartile_of_its_times(seconds, expected, actions):
    # The first one is a warm-up. Of three the quartile is the least, of four the second.
    clock = Clock(50, 5, 3, 4, 9)
    assert time_for(clock.act, clock, seconds) == expected
    assert clock.actions == actions


def test_on_another_device_the_clock_waits_for_its_work(monkeypatch):
    """torch.mps gives an action back before it is done."""
    import torch

    told = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: told.append("done"))
    figures = time_calls(lambda: told.append("given"), "mps:0", repeats=2)
    assert figures.repeats == 2 and told[-6:] == ["done", "given", "done"] * 2
    assert device_identity("mps:0") == f"{processor_name()}, mps:0" != device_identity("cpu")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands freed memory back at once")
def test_freed_memory_is_kept():
    script = """if True:
        import resource, torch
        from gsnet.runtimes.memory import keep_freed_memory
        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.ones(40 << 20, dtype=torch.uint8)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        print(min(faults() for _ in range(5)))
        keep_freed_memory()
        print(min(faults() for _ in range(20)))
    """
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, result.stdout.split())
    assert before > 1_000 > 100 > after
