"""Latencies of layers that a runtime's own times of its operations tell, beside those of whole networks."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import PlainNet
from gsnet import runtimes
from gsnet.latency import building, rounds
from gsnet.latency.inference import infer_layers
from gsnet.latency.inferred_layers import InferredLayers, weights_of
from gsnet.latency.layer import WRITTEN_ANEW, Layer
from gsnet.latency.layers import list_layers
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.profiled import convolution_shares
from gsnet.latency.records import CALIBRATION, TABLE, Calibration, Conditions, Origin, TimedNetwork
from gsnet.latency.rounds import profile_networks, remove_files, time_networks
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.latency.visited import random_networks
from gsnet.runtimes import ConvolutionShape, Operation, memory
from gsnet.runtimes.rewriting import WAY
from SearchSpace import load_search_space

START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
SHUFFLED = "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,16,2,16,1)SuperConvK1BNRELU(16,64,1,1)"
SETTING = Setting(Conditions("fp32", 1, 32), 10, backend="onnxruntime")


def layers_of(text, rewrites=False):
    return list_layers(PlainNet.parse(text), batch=1, resolution=32, num_classes=10, fuses=True, rewrites=rewrites)


def operation(seconds, *shape):
    # Disturbed in most passes.
    return Operation("name", "Conv", 7.0, seconds, ConvolutionShape(*shape) if shape else None)


def dense(channels, height, out, kernel=1, fused=0):
    return Layer("Regular", 1, channels, height, height, out, kernel, 1, fused)


def test_operations_are_layers_of_their_shape():
    wide, narrow, depthwise = dense(16, 8, 32), dense(3, 32, 16, 3), Layer("Depthwise", 1, 24, 8, 8, 24, 3, 2, 0)
    told = [
        operation(4.0, 16, 8, 32, 8, 1, 1),
        operation(1.0),
        # Padded to whole blocks of 16 channels, with as many groups.
        operation(2.0, 32, 8, 32, 4, 3, 32),
        operation(3.0, 3, 32, 16, 32, 3, 1),
    ]
    shares = {share.layer: share.part for share in convolution_shares([narrow, depthwise, wide], told)}
    assert shares == pytest.approx({narrow: 0.3, depthwise: 0.2, wide: 0.4})
    assert convolution_shares([wide], []) == []


def test_layers_that_cannot_be_told_apart_share_what_they_take_and_others_are_left_out():
    eight, sixteen = dense(8, 8, 32), dense(16, 8, 32)
    padded = [operation(seconds, 16, 8, 32, 8, 1, 1) for seconds in (1.0, 3.0)]
    assert convolution_shares([eight, sixteen], padded) == [(eight, 0.5), (sixteen, 0.5)]
    # As they are told apart where the runtime has both widths.
    exact = [operation(1.0, 8, 8, 32, 8, 1, 1), operation(3.0, 16, 8, 32, 8, 1, 1)]
    assert sorted(convolution_shares([eight, sixteen], exact)) == [(eight, 0.25), (sixteen, 0.75)]
    # More operations than layers, and fewer.
    assert convolution_shares([eight, sixteen], [*padded, padded[0]]) == []
    assert convolution_shares([eight, eight], padded[:1]) == []
    assert convolution_shares([eight, dense(16, 8, 32, fused=WRITTEN_ANEW)], padded) == []


def test_convolutions_of_units_that_are_written_anew_are_marked_and_others_are_not():
    plain, marked = layers_of(SHUFFLED), layers_of(SHUFFLED, rewrites=True)
    assert [layer._replace(fused=0) for layer in marked] == plain
    anew = [layer for layer in marked if layer.fused]
    convolutions = [layer for layer in plain if layer.is_convolution]
    # All but the first and the last one.
    assert [layer._replace(fused=0) for layer in anew] == convolutions[1:-1]
    assert layers_of(START) == layers_of(START, rewrites=True)


def seconds_of_a_layer(layer):
    """A device on which windows of 5 and 7 are far slower than their operations."""
    if not layer.is_convolution:
        return 1e-6
    slower = {1: 1.0, 3: 1.0, 5: 2.5, 7: 4.0}[layer.kernel_size]
    blocks = math.ceil(layer.in_channels / layer.groups / 16) * math.ceil(layer.out_channels / 16)
    return 3e-6 + slower * blocks * layer.kernel_size**2 * layer.out_height**2 * 1e-8


def test_windows_of_other_sizes_are_told_apart_by_whole_networks_alone():
    space = load_search_space("XXBL")
    networks = random_networks(space, PlainNet.parse(START), 40, 5, lambda one: one.cost(32, 10).flops < 4e7)
    lists = [layers_of(network.text) for network in networks]
    inferred = infer_layers(lists[:16], [sum(map(seconds_of_a_layer, layers)) for layers in lists[:16]])
    known = {layer for layers in lists[16:] for layer in layers if layer.is_convolution and inferred.tells(layer)}
    assert {layer.kernel_size for layer in known} == {1, 3, 5, 7}
    errors = [abs(math.log(inferred.seconds(layer) / seconds_of_a_layer(layer))) for layer in known]
    # With one price of an operation for all windows the median is 40 %.
    assert np.median(errors) < 0.1


def test_what_a_runtime_tells_of_layers_is_taken_from_it():
    space = load_search_space("XXBL")
    networks = random_networks(space, PlainNet.parse(START), 80, 5, lambda one: one.cost(32, 10).flops < 4e7)
    lists = [layers_of(network.text) for network in networks]
    seconds = [sum(map(seconds_of_a_layer, layers)) for layers in lists]
    profiles = [[(one, seconds_of_a_layer(one)) for one in layers if one.is_convolution] for layers in lists[:16]]
    told = {layer for profile in profiles for layer, _ in profile}
    others = {layer for layers in lists[16:] for layer in layers if layer.is_convolution and layer not in told}
    of_sums, of_both = infer_layers(lists[:16], seconds[:16]), infer_layers(lists[:16], seconds[:16], profiles)

    def error(inferred, layers):
        known = [layer for layer in layers if inferred.tells(layer)]
        return np.median([abs(math.log(inferred.seconds(one) / seconds_of_a_layer(one))) for one in known])

    assert error(of_both, told) < 0.05
    assert error(of_both, others) < 0.7 * error(of_sums, others)
    # What would say that large windows are the fast ones is not of these networks.
    contrary = [[(one, told * 4.0 / one.kernel_size) for one, told in profile] for profile in profiles]
    assert infer_layers(lists[:16], seconds[:16], contrary).to_json() == of_sums.to_json()


# A cache for a million weights: each one beyond is read anew in every pass.
ROOM, READ = 1e6, 4e-10


def count_of_weights(layers):
    return sum(
        one.in_channels * one.out_channels * one.kernel_size**2 // one.groups for one in layers if one.is_convolution
    )


def seconds_with_a_cache(layers):
    return sum(map(seconds_of_a_layer, layers)) + READ * max(count_of_weights(layers) - ROOM, 0.0)


@pytest.fixture(scope="module")
def small_and_large():
    space = load_search_space("IDW_fixfc")
    start = "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE1K3(8,16,2,8,1)SuperResIDWE1K3(16,32,2,16,1)SuperConvK1BNRELU(32,2048,1,1)"
    networks = random_networks(space, PlainNet.parse(start), 72, 5, lambda one: one.cost(32, 10).parameters < 5e6)
    return [network.text for network in networks]


@pytest.mark.parametrize("profiled", (False, True))
def test_weights_that_a_cache_has_no_room_for_are_no_sum_over_layers(small_and_large, profiled):
    lists = [layers_of(text) for text in small_and_large]
    seconds = [seconds_with_a_cache(layers) for layers in lists]
    beyond = [count_of_weights(layers) - ROOM for layers in lists]
    profiles = []
    for layers, more in zip(lists[:48], beyond, strict=False):
        # What all weights take besides is in the times of their layers.
        besides = READ * max(more, 0.0) / count_of_weights(layers)
        profiles.append([(one, seconds_of_a_layer(one) + besides * count_of_weights([one])) for one in layers])
    inferred = infer_layers(lists[:48], seconds[:48], profiles if profiled else ())
    again = InferredLayers.from_json(inferred.to_json())
    for found in (inferred, again):
        predicted = [sum(map(found.seconds, layers)) + found.of_weights(weights_of(layers)) for layers in lists[48:]]
        errors = np.abs(np.log(np.array(predicted) / seconds[48:]))
        # By layers alone the median is 1.4 %.
        assert np.median(errors) < 0.008 and np.median(errors[np.array(beyond[48:]) > 1e6]) < 0.008
    assert inferred.of_weights(5e5) < 0.1 * inferred.of_weights(3e6) == pytest.approx(2e6 * READ * 0.1, rel=0.25)


def test_a_model_adds_what_all_weights_of_a_network_take_besides(tmp_path, small_and_large):
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime"), fuses=True) as table:
        for text in small_and_large[:40]:
            one = TimedNetwork(text, 10, False, TABLE, seconds_with_a_cache(layers_of(text)))
            table.add_network(SETTING.conditions, one)
        building.infer_layers(table, SETTING)
        inferred = table.inferred(SETTING.conditions)
        calibration = Calibration((1.5, 1.5, 1.5, 0.0, 1e-4), 0.1, 8)
        model = LatencyModel(table, SETTING.conditions, num_classes=10, calibration=calibration)
        plain = LatencyModel(table, SETTING.conditions, num_classes=10)
    for text in small_and_large[40:50]:
        network, layers = PlainNet.parse(text), layers_of(text)
        expected = sum(map(inferred.seconds, layers)) + inferred.of_weights(weights_of(layers))
        assert plain.seconds(network) == pytest.approx(expected, rel=1e-9)
        assert model.seconds(network) == pytest.approx(1.5 * expected + 1e-4, rel=1e-9)
        assert model.seconds(network) == pytest.approx(np.dot(calibration.coefficients, model.terms(network)), rel=1e-9)


def test_profiles_are_kept_and_asked_for_once(tmp_path, monkeypatch):
    texts = [START, SHUFFLED]
    asked = []

    def operations_of(network, seconds):
        asked.append(network.text)
        return [operation(3.0, 3, 32, 16, 16, 3, 1), operation(1.0)]

    monkeypatch.setattr(rounds, "profiler_of", lambda setting, folder: operations_of)
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime"), fuses=True, way=WAY) as table:
        for text in texts:
            table.add_network(SETTING.conditions, TimedNetwork(text, 10, False, TABLE, 2e-3))
        assert table.profiles(SETTING.conditions, TABLE) == {}
        left = iter([True, False])
        assert profile_networks(table, SETTING, role=TABLE, more=lambda: next(left), quiet=True) == 1
        assert profile_networks(table, SETTING, role=TABLE, quiet=True) == 0
        assert profile_networks(table, SETTING, role=CALIBRATION, quiet=True) == 0
        assert sorted(asked) == sorted(texts)
    with LatencyTable.open(tmp_path / "t.db") as table:
        kept = table.profiles(SETTING.conditions, TABLE)
        # The stem of one of them is an operation of that shape; the other's halves no map.
        stem = dense(3, 32, 16, 3)._replace(stride=2)
        assert {one.structure: shares for one, shares in kept.items()} == {START: [], SHUFFLED: [(stem, 0.75)]}
        timed = table.networks(SETTING.conditions, TABLE)
        found = building._told(table, SETTING.conditions, timed)
        assert {one.structure: told for one, told in zip(timed, found, strict=True)} == {
            START: [],
            SHUFFLED: [(stem, 1.5e-3)],
        }


@pytest.mark.parametrize(("tells", "multiple"), ((False, None), (True, 16)))
def test_a_runtime_that_does_not_tell_is_not_asked_and_an_older_table_stays_as_it_is(
    tmp_path, monkeypatch, tells, multiple
):
    program = SimpleNamespace(tells_operations=tells, multiple=multiple)
    monkeypatch.setattr(rounds, "runtime", lambda name: program)
    monkeypatch.setattr(rounds, "profiler_of", None)
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime"), fuses=True) as table:
        table.add_network(SETTING.conditions, TimedNetwork(START, 10, False, TABLE, 2e-3))
        assert profile_networks(table, SETTING, role=TABLE, quiet=True) == 0
        assert table.profiles(SETTING.conditions, TABLE) == {}


def test_a_runtime_tells_what_its_layers_take(tmp_path, monkeypatch):
    if missing := runtimes.runtime("onnxruntime").missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    with building.open_at_hand(tmp_path / "t.db", "cpu", "onnxruntime") as table:
        assert table.rewrites
        networks = [PlainNet.parse(text) for text in (START, SHUFFLED)]
        time_networks(table, networks, SETTING, role=TABLE, rounds=1, quiet=True)
        # A run that goes on behind the rounds has timed nothing by itself, and would profile page faults.
        kept = []
        monkeypatch.setattr(memory, "keep_freed_memory", lambda: kept.append(True))
        assert profile_networks(table, SETTING, role=TABLE, quiet=True) == 0
        assert len(kept) == len(networks)
        remove_files(table)
        shares = {one.structure: found for one, found in table.profiles(SETTING.conditions, TABLE).items()}
    # Of the second those outside its unit; the last one reads the unit's halves in blocks of 16 channels each.
    outside = [one for one in layers_of(SHUFFLED, rewrites=True) if one.is_convolution and one.fused != WRITTEN_ANEW]
    expected = {START: [one for one in layers_of(START) if one.is_convolution], SHUFFLED: outside[:1]}
    for text, layers in expected.items():
        assert sorted(share.layer for share in shares[text]) == sorted(layers)
        assert 0 < sum(share.part for share in shares[text]) <= 1
