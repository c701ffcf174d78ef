"""Latency tables of runtimes: layers inferred from whole networks, a table of ONNX Runtime, and a device without torch."""

import ast
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import gsnet
import PlainNet
from benchmarks import runtime_searches
from benchmarks.saved_rows import read_rows
from gsnet import runtimes
from gsnet.commands import benchmark_network_latency, evolution_search, export
from gsnet.evolution.scorer import latency_as_tables_have_it
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.options import InputError
from gsnet.latency import (
    asked_networks,
    bundle,
    device_script,
    inference,
    measurement,
    rounds,
    table_file,
    timed_networks,
    visited,
)
from gsnet.latency.building import calibrate, infer_layers, open_at_hand
from gsnet.latency.bundle import BENCHNCNN, BENCHNCNN_TIMES, SCRIPT
from gsnet.latency.device_script import NETWORKS, TIMES
from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import roofline_parts
from gsnet.latency.layer import DEPTHWISE, Layer
from gsnet.latency.layer_times import LayerTimes
from gsnet.latency.layers import list_layers
from gsnet.latency.measurement import time_for
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.records import CALIBRATION, TABLE, Conditions, Origin, TimedNetwork
from gsnet.latency.rounds import MOST_ROUNDS, files_of, remove_files, settle_networks, time_networks
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.latency.timings import read_timings
from gsnet.latency.visited import covering_networks, random_networks
from gsnet.runtimes import registry
from PlainNet import Style
from SearchSpace import load_search_space

START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
SMALL = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
SPACE = ["--search_space", "ghostshuffle", "--plainnet_struct", SMALL, "--input_image_size", "16"]
NEAR = [*SPACE, "--budget_flops", "1e7", "--max_layers", "4"]
SETTING = Setting(Conditions("fp32", 1, 32), 10, backend="onnxruntime")


def seconds_of_a_layer(layer):
    """A device of our own: kernels that work on blocks of 16 channels, and worse on small maps."""
    blocks = [-(-channels // 16) * 16 for channels in (layer.in_channels, layer.out_channels)]
    positions = layer.out_height**2
    if not layer.is_convolution:
        return 1e-6 + layer.in_channels * positions / 2e9
    inner = 1 if layer.kind == DEPTHWISE else blocks[0]
    speed = (4e9 if layer.kind == DEPTHWISE else 3e10) * layer.height / (layer.height + 4)
    return 2e-6 + inner * blocks[1] * layer.kernel_size**2 * positions / speed


def seconds_of(text):
    layers = list_layers(PlainNet.parse(text), batch=1, resolution=32, num_classes=10, fuses=True)
    return 2e-5 + sum(map(seconds_of_a_layer, layers))


@pytest.fixture(scope="module")
def networks():
    space = load_search_space("XXBL")
    found = covering_networks(space, PlainNet.parse(START), 0)
    found += random_networks(space, PlainNet.parse(START), 64, 5, lambda one: one.cost(32, 10).flops < 4e7)
    return [network.text for network in found]


@pytest.fixture
def table(tmp_path, networks):
    """Of that device, from 40 whole networks, each measured within 2 %, and calibrated by 10 others."""
    noise = np.random.default_rng(0)
    with LatencyTable.create(
        tmp_path / "device.db", Origin("a phone, 1 thread", "onnxruntime", "1.0"), fuses=True
    ) as made:
        for place, text in enumerate(networks[:50]):
            seconds = seconds_of(text) * float(np.exp(0.02 * noise.standard_normal()))
            role = TABLE if place < 40 else CALIBRATION
            made.add_network(SETTING.conditions, TimedNetwork(text, 10, False, role, seconds))
        yield made


def test_layers_are_inferred_from_whole_networks(table, networks):
    from scipy.stats import spearmanr

    assert infer_layers(table, SETTING) == len(table.layers("fp32", 1))
    of_forty = set(table.layers("fp32", 1))
    calibration = calibrate(table, SETTING)
    # Those that calibrate fill the table, too, after the error bar was taken of what is known without them.
    of_ten = {layer for text in networks[40:50] for layer in SETTING.layers(PlainNet.parse(text), True)}
    assert of_ten - of_forty and set(table.layers("fp32", 1)) == of_forty | of_ten
    assert calibrate(table, SETTING) == calibration and calibration.networks == 10
    model = LatencyModel(table, SETTING.conditions, num_classes=10, calibration=calibration)
    predicted = np.array([model.seconds(PlainNet.parse(text)) for text in networks[50:]])
    truth = np.array([seconds_of(text) for text in networks[50:]])
    assert np.median(np.abs(predicted / truth - 1)) < 0.05
    assert spearmanr(predicted, truth).statistic > 0.97
    with pytest.raises(LatencyError, match="time at least 12"):
        inference.infer_layers([list_layers(PlainNet.parse(START), batch=1, resolution=32, num_classes=10)], [1.0])


def likeness(one, other, deviations, former=False):
    """The covariance of two layers as the fit's page defines it, in plain Python. former: as it was defined before."""
    kind = [{"Depthwise": "Depthwise"}.get(a.kind, "dense") if a.is_convolution else a.kind for a in (one, other)]
    if kind[0] != kind[1]:
        return 0.0
    group = all(getattr(one, name) == getattr(other, name) for name in ("kind", "kernel_size", "stride", "fused"))
    blocks = [[width % of == 0 for of in (16, 8) for width in (a.in_channels, a.out_channels)] for a in (one, other)]
    alike = blocks[0] == blocks[1]
    shares = (1, group, group and alike)
    sizes = [[c if c < 4 else math.ceil(c / 16) * 16 for c in (a.in_channels, a.out_channels)] for a in (one, other)]
    apart = [math.log2(a / b) for a, b in zip([*sizes[0], one.height], [*sizes[1], other.height], strict=True)]
    apart[-1] *= 1 if former else 2
    squared = sum(distance**2 for distance in apart)
    near = [math.exp(-squared / 2 / length**2) for length in ((0.7, 1.5, 3.0) if former else (0.7, 3.0))]
    parts = [1, group, *([] if former else [alike]), *(close * share for close in near for share in shares)]
    return sum(math.exp(2 * deviation) * part for deviation, part in zip(deviations, parts, strict=True))


def test_layers_of_no_network_are_told_by_all_networks_also_when_the_file_is_read_again(table, networks):
    infer_layers(table, SETTING)
    inferred = table.inferred(SETTING.conditions)
    found = json.loads(inferred.to_json())
    new = {layer for text in networks[50:] for layer in SETTING.layers(PlainNet.parse(text), True)}
    new = sorted(layer for layer in new - set(table.layers("fp32", 1)) if inferred.tells(layer))
    assert len(new) > 50
    times = LayerTimes(table, "fp32", 1, inferred)
    for layer in new[::5]:
        more = sum(row[-1] * likeness(layer, Layer(*row[:-1]), found["deviations"]) for row in found["layers"])
        roofline = sum(found["coefficients"][name] * value for name, value in roofline_parts(layer).items())
        expected = max(roofline, found["floor"]) * max(1 + more, 0.05)
        assert inferred.seconds(layer) == pytest.approx(expected, rel=1e-9)
        assert times.seconds(layer) == inferred.seconds(layer)
    # What no network has a kernel like is not told, and a table that was made before says what its layers say.
    assert not inferred.tells(new[0]._replace(kernel_size=9))
    with sqlite3.connect(table.path) as file:
        file.execute("DROP TABLE inferred")
    assert table.inferred(SETTING.conditions) is None
    assert LayerTimes(table, "fp32", 1).seconds(new[0]) == pytest.approx(inferred.seconds(new[0]), rel=0.5)


# Coefficients that parts of a roofline shared in fits that earlier versions kept: all weights one, before all kernel sizes.
SHARED_WEIGHTS = (re.compile(r"^(dense|Linear).* weights.*$"), "dense weights")
SHARED_OPERATIONS = (re.compile(r"^(.*) \d operations$"), r"\1 operations")


@pytest.mark.parametrize(
    ("shared", "form"),
    [
        ((SHARED_WEIGHTS,), {"lengths": [0.7, 3.0], "height": 2.0}),
        ((SHARED_WEIGHTS, SHARED_OPERATIONS), {}),
    ],
)
def test_a_fit_that_was_kept_when_parts_shared_coefficients_tells_what_it_told(table, networks, shared, form):
    def former(name):
        for pattern, replaced in shared:
            name = pattern.sub(replaced, name)
        return name

    layers = sorted({layer for text in networks[:4] for layer in SETTING.layers(PlainNet.parse(text), True)})
    names = sorted({former(name) for layer in layers for name in roofline_parts(layer)})
    coefficients = {name: 1e-9 if "operations" not in name else 2e-11 + 1e-12 * n for n, name in enumerate(names)}
    deviations = [-2.0, -1.5, *([-2.7] if form else []), -3.0, -1.0, -2.5, -1.8, -2.2, -1.2]
    deviations += [] if form else [-2.8, -1.4, -1.6]
    pulls = np.random.default_rng(0).normal(0, 0.02, len(layers)).tolist()
    rows = [[*layer, pull] for layer, pull in zip(layers, pulls, strict=True)]
    kept = {"coefficients": coefficients, "floor": 1e-9, "deviations": deviations, "layers": rows}
    infer_layers(table, SETTING)
    with sqlite3.connect(table.path) as file:
        file.execute("UPDATE inferred SET fit = ?", (json.dumps(kept | form),))
    inferred = table.inferred(SETTING.conditions)
    other = {layer for text in networks[50:] for layer in SETTING.layers(PlainNet.parse(text), True)}
    other = sorted(layer for layer in other if inferred.tells(layer))
    assert len({layer.kernel_size for layer in other if layer.kind == "Regular"}) > 1
    for layer in other[::5]:
        more = sum(
            pull * likeness(layer, one, deviations, former=not form) for one, pull in zip(layers, pulls, strict=True)
        )
        roofline = sum(coefficients[former(name)] * value for name, value in roofline_parts(layer).items())
        assert inferred.seconds(layer) == pytest.approx(max(roofline, 1e-9) * max(1 + more, 0.05), rel=1e-9)


def test_a_table_says_its_runtime_and_is_refused_for_another(table, tmp_path):
    search = ["--zero_shot_score", "Params", "--fix_initialize", "--plainnet_struct", START, "--search_space", "XXBL"]
    search += [
        "--origin",
        "--budget_latency",
        "1",
        "--save_dir",
        str(tmp_path / "out"),
        "--latency_table",
        str(table.path),
    ]
    with pytest.raises(LatencyError, match="holds latencies of onnxruntime, not of openvino"):
        evolution_search.main([*search, "--latency_backend", "openvino"])
    with pytest.raises(InputError, match="did you mean openvino"):
        evolution_search.main([*search, "--latency_backend", "openvin"])
    with pytest.raises(InputError, match="single layers in torch"):
        evolution_search.main([*search, "--latency_backend", "onnxruntime", "--measure_missing"])
    with pytest.raises(LatencyError, match=r"by onnxruntime 1\.0, and this is a phone, 1 thread by onnxruntime 2\.0"):
        LatencyTable.open_for(table.path, table.origin._replace(version="2.0"))
    predict = [
        "--predict",
        "--arch",
        "PlainNet",
        "--plainnet_struct",
        START,
        "--input_image_size",
        "32",
        "--num_classes",
        "10",
    ]
    with pytest.raises(LatencyError, match="not of torch"):
        benchmark_network_latency.main([*predict, "--backend", "torch", "--latency_table", str(table.path)])


@contextmanager
def not_ours_to_write(file):
    """A file, and its folder, as those of other people are; root, to whom all is open, is nobody meanwhile."""
    user = os.geteuid()
    file.chmod(0o444)
    file.parent.chmod(0o555)
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        file.parent.chmod(0o755)


def test_a_table_that_cannot_be_written_to_is_read(table, networks):
    infer_layers(table, SETTING)
    calibration, layers = calibrate(table, SETTING), table.layers("fp32", 1)
    table.close()
    with TemporaryDirectory(suffix=" of others ä") as folder:
        Path(folder).chmod(0o755)
        # Not in a folder of pytest's, which are closed to others.
        path = Path(shutil.move(table.path, Path(folder) / "device #1.db"))
        with not_ours_to_write(path):
            with LatencyTable.open(path) as opened:
                assert opened.layers("fp32", 1) == layers and opened.calibration(SETTING.conditions) == calibration
                model = LatencyModel(opened, SETTING.conditions, num_classes=10, calibration=calibration)
                assert model.seconds(PlainNet.parse(networks[-1])) > 0
                with pytest.raises(LatencyError, match=r"device #1\.db: attempt to write a readonly database"):
                    opened.add_calibration(SETTING.conditions, calibration)
            assert list(path.parent.iterdir()) == [path]
        path.chmod(0o644)
        path.write_text("no table")
        with pytest.raises(LatencyError, match="is no latency table: file is not a database"):
            LatencyTable.open(path)


def test_a_missing_table_is_told_with_the_runtime_that_is_asked_for(tmp_path):
    search = ["--zero_shot_score", "Params", "--fix_initialize", "--plainnet_struct", START, "--search_space", "XXBL"]
    search += ["--origin", "--budget_latency", "1", "--save_dir", str(tmp_path / "out")]
    search += ["--latency_source", "predict", "--latency_table", str(tmp_path / "none.db")]
    for options, made_by in (
        (["--latency_backend", "openvino"], "--build_table --backend openvino,"),
        ([], "--build_table,"),
    ):
        with pytest.raises(LatencyError, match=f"There is no latency table .*{made_by}"):
            evolution_search.main([*search, *options])


def test_a_table_of_onnx_runtime_is_built_and_searched_by(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(timed_networks, "_SECONDS_A_TURN", 1e-3)
    monkeypatch.setenv("GSNET_LATENCY", str(tmp_path / "cache"))
    build = ["--backend", "onnxruntime", *NEAR, "--networks", "9", "--calibration_networks", "6", "--json"]
    assert benchmark_network_latency.main(["--build_table", "--calibrate", *build]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runtime"] == "onnxruntime" and report["runtime_version"] and report["device"].endswith("1 thread")
    assert report["conditions"] == "batch 1, 16 pixels, fp32" and report["networks"] == 6
    assert [file.suffix for file in (tmp_path / "cache").iterdir() if file.is_dir()] == []

    search = [
        "--zero_shot_score",
        "Params",
        "--fix_initialize",
        "--plainnet_struct",
        SMALL,
        "--search_space",
        "ghostshuffle",
    ]
    search += [
        "--origin",
        "--budget_latency",
        "1",
        "--evolution_max_iter",
        "40",
        "--population_size",
        "8",
        "--max_layers",
        "5",
    ]
    search += [
        "--save_dir",
        str(tmp_path / "out"),
        "--latency_backend",
        "onnxruntime",
        "--budget_flops",
        "1e7",
        "--input_image_size",
        "16",
    ]
    clocks = []

    def timed(*arguments):
        clocks.append(arguments[1])
        return time_for(*arguments)

    monkeypatch.setattr(measurement, "time_for", timed)
    assert evolution_search.main(search) == 0
    # The winner is measured as the table was.
    assert set(clocks) == {time.process_time} and len(clocks) >= rounds.ROUNDS
    best = json.loads((tmp_path / "out/best.json").read_text())["latency"]
    assert (best["backend"], best["source"]) == ("onnxruntime", "predict")
    assert 0 < best["measured_seconds_per_image"] < 0.1 and 0 < best["seconds_per_image"] < 0.1
    assert "latency in onnxruntime by predict" in capsys.readouterr().out


class Waiting(runtimes.Runtime):
    """A runtime that waits 30 ms for the processor, as if another program had it, and then has nothing to do."""

    name = "waiting"
    suffixes = (".empty",)

    def write(self, network, file, size, output, *, half, texts=()):
        file.touch()

    def open(self, file, settings):
        wait = {"run": lambda self, images: time.sleep(0.03)}
        return type("Waits", (runtimes.Session,), wait)()


def test_other_programs_are_no_error_of_a_prediction(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(Waiting())
    options = {
        "batch_size": 1,
        "resolution": 16,
        "num_classes": 10,
        "style": Style(),
        "backend": "waiting",
        "repeats": 3,
    }
    network = PlainNet.parse(SMALL)
    assert measurement.measure_latency(network, **options).median >= 0.03
    # It has next to nothing of the processor, of which a turn is measured.
    monkeypatch.setattr(timed_networks, "_SECONDS_A_TURN", 1e-6)
    setting = Setting(Conditions("fp32", 1, 16), 10, backend="waiting")
    assert rounds.seconds_of_one(network, setting) < 0.015


def test_a_winner_is_timed_as_the_networks_of_its_table(monkeypatch):
    """By the least of five rounds and more, until the two least agree: not by a median, which other programs make longer."""
    times = [3.0, 9.0, 3.3, 7.0, 8.0, 9.0, 3.03, 1.0]
    left = iter(times)
    monkeypatch.setattr(rounds, "timer_of", lambda setting, folder: lambda network: next(left))
    settings = SearchSettings("Params", latency_batch_size=2, num_classes=10)
    assert latency_as_tables_have_it(settings, PlainNet.parse(SMALL)) == 3.0 / 2
    assert list(left) == [1.0]


def test_too_few_networks_are_refused_before_any_is_timed(tmp_path, monkeypatch, capsys):
    """Three block types bring one network each to the 12 that infer layers, and none to the 6 that calibrate."""
    monkeypatch.setattr(rounds, "timer_of", lambda *_: pytest.fail("timed before it was refused"))
    monkeypatch.setattr(visited, "_MOST_IN_VAIN", 3)
    path = tmp_path / "few.db"
    build = ["--build_table", "--calibrate", "--backend", "onnxruntime", *NEAR, "--latency_table", str(path)]
    for counts, words in (
        (
            ("8", "6"),
            "at least 12 .* --networks 8, with one for each of 3 block types, makes 11. Give --networks 9, or",
        ),
        (("9", "5"), "at least 6 calibrate .* makes 5. Give --calibration_networks 6, or more"),
        (("2", "1"), "12 tell .* 6 calibrate .* Give --networks 9 --calibration_networks 6, or more"),
        (
            ("9", "6", "--budget_flops", "1"),
            "--networks 9: search_space_ghostshuffle has only 1 such network and --calibration_networks 6: "
            "search_space_ghostshuffle has only 1 such network within --max_layers",
        ),
    ):
        with pytest.raises(InputError, match=words):
            numbers = ["--networks", counts[0], "--calibration_networks", counts[1], *counts[2:]]
            benchmark_network_latency.main([*build, *numbers])
    with pytest.raises(InputError, match="Give --networks 9 --calibration_networks 6, or more"):
        few = ["--networks", "8", "--calibration_networks", "5"]
        export.main(["--device_bundle", str(tmp_path / "bundle"), *NEAR, *few])
    assert "no structure to start from" not in capsys.readouterr().err
    with pytest.raises(InputError, match="Too few networks"):
        # Without a structure, which is said: networks of the space's own.
        benchmark_network_latency.main([*build[:5], "ghostshuffle", *build[8:], *few])
    assert "networks are changed from random ones of search_space_ghostshuffle" in capsys.readouterr().err
    fit = [*build[1:], "--calibration_networks", "6"]
    with pytest.raises(LatencyError, match="There is no latency table"):
        benchmark_network_latency.main(fit)
    assert list(tmp_path.iterdir()) == []
    open_at_hand(path, "cpu", "onnxruntime").close()
    with pytest.raises(LatencyError, match="holds no layer"):
        benchmark_network_latency.main(fit)


def test_as_many_networks_are_timed_as_asked_for(tmp_path, monkeypatch, networks, caplog):
    asked, others = ([PlainNet.parse(text) for text in part] for part in (networks[:6], networks[6:9]))
    broken = {asked[1].text, asked[4].text, others[0].text}
    calls = []

    def seconds_of_running(network):
        calls.append(network.text)
        if network.text in broken:
            raise LatencyError(f"onnxruntime cannot run {network}")
        return seconds_of(network.text)

    monkeypatch.setattr(rounds, "timer_of", lambda *_: seconds_of_running)
    running = {network.text for network in (*asked, *others)} - broken
    left = iter([True] * 8)
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime", "1.0"), fuses=True) as made:
        time = {"rounds": 3, "others": others, "quiet": True}
        assert time_networks(made, asked, SETTING, more=lambda: next(left, False), **time) > 0
        before = len(made.rounds(SETTING.conditions, CALIBRATION, 10, False))
        assert time_networks(made, asked, SETTING, **time) == 0
        assert made.rounds(SETTING.conditions, CALIBRATION, 10, False) == {
            (n, text) for n in range(3) for text in running
        }
        # In each run one that cannot run is tried in vain once; the second run times two others once more.
        assert 0 < before < 18 and len(calls) == 18 + 2 * len(broken) + 2
        assert caplog.text.count("Another network is timed in its place") == 2 * len(broken)
        with pytest.raises(LatencyError, match="cannot run"):
            time_networks(made, asked, SETTING, rounds=4, quiet=True)


def test_networks_are_timed_for_each_number_of_classes_and_with_squeeze_and_excitation(tmp_path, monkeypatch, networks):
    asked = [PlainNet.parse(text) for text in networks[:3]]
    calls = []
    monkeypatch.setattr(rounds, "timer_of", lambda *_: lambda network: calls.append(network.text) or 1e-3)
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime", "1.0"), fuses=True) as made:
        for setting in (SETTING, replace(SETTING, num_classes=1000), replace(SETTING, style=Style(use_se=True))):
            calls.clear()
            for _ in range(2):
                assert time_networks(made, asked, setting, rounds=2, quiet=True) == 0
            assert sorted(calls) == sorted([network.text for network in asked] * 2)
        timed = {(one.num_classes, one.use_se) for one in made.networks(SETTING.conditions, CALIBRATION)}
        assert timed == {(10, False), (1000, False), (10, True)}


def test_an_interrupt_of_timing_says_what_is_kept_and_how_to_go_on(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    calls = []

    def seconds_of_four(network):
        if len(calls) % 5 == 4:
            calls.append(None)
            raise KeyboardInterrupt
        calls.append(network.text)
        return seconds_of(network.text)

    monkeypatch.setattr(rounds, "timer_of", lambda *_: seconds_of_four)
    path = tmp_path / "board.db"
    options = ["--build_table", "--backend", "onnxruntime", *NEAR, "--networks", "12", "--latency_table", str(path)]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            benchmark_network_latency.main(options)
        end = f"stopped: what was measured so far is kept in {path}, and the same command goes on from there"
        assert capsys.readouterr().err.splitlines()[-1] == end
    assert len(set(calls) - {None}) == 8, "none twice"
    with LatencyTable.open(path) as table:
        assert len(table.rounds(Conditions("fp32", 1, 16), TABLE, 10, False)) == 8


def test_an_interrupt_of_writing_a_bundle_says_what_is_kept(tmp_path, monkeypatch, capsys, few_networks):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "written", interrupted)
    folder = tmp_path / "bundle"
    with pytest.raises(KeyboardInterrupt):
        export.main(["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"])
    end = f"stopped: the networks in {folder} are kept, and the same command writes the others"
    assert capsys.readouterr().err.splitlines()[-1] == end


def test_a_bundle_that_goes_on_keeps_what_it_lists_and_leaves_nothing_unfinished(tmp_path, monkeypatch, few_networks):
    folder = tmp_path / "bundle"
    options = ["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"]
    monkeypatch.setattr(timed_networks, "written", lambda network, *_: folder / f"{len(network.text)}.onnx")
    monkeypatch.setattr(bundle, "written", timed_networks.written)
    assert export.main(options) == 0
    before = (folder / NETWORKS).read_text()

    def fails(network, setting, program, folder):
        (folder / timed_networks.UNFINISHED).mkdir()
        raise RuntimeError("no operator for it\nand a page about that")

    monkeypatch.setattr(bundle, "written", fails)
    with pytest.raises(LatencyError, match=r"onnxruntime cannot run .*: no operator for it$"):
        export.main(options)
    assert (folder / NETWORKS).read_text() == before and not (folder / timed_networks.UNFINISHED).exists()
    for text in ("[1]", "no JSON", "{}"):
        (folder / NETWORKS).write_text(text)
        with pytest.raises(
            LatencyError, match=r"networks\.json is of no device bundle: give --device_bundle a new folder"
        ):
            export.main(options)


@pytest.mark.parametrize("suffixes", [(".onnx",), (".param", ".bin")])
def test_a_bundle_of_other_networks_leaves_those_before_out(tmp_path, monkeypatch, few_networks, capsys, suffixes):
    """Neither does the device time them, nor is it refused to go on with times of theirs, which stay readable."""
    kind = {".onnx": "onnx", ".param": "ncnn"}[suffixes[0]]
    folder = tmp_path / "bundle"

    def write(network, setting, program, where):
        name = f"{zlib.crc32(network.text.encode()):016x}"
        for suffix in suffixes:
            (where / f"{name}{suffix}").write_text(network.text)
        return where / f"{name}{suffixes[0]}"

    monkeypatch.setattr(bundle, "written", write)
    monkeypatch.setattr(runtimes.runtime("ncnn"), "require", lambda **_: None)
    options = ["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"]
    options += ["--format", kind]
    assert export.main(options) == 0
    first = json.loads((folder / NETWORKS).read_text())
    timed = {"format": 1, "networks": first, "times": []}
    (folder / TIMES).write_text(json.dumps(timed))
    mine = folder / f"mine{suffixes[0]}"
    mine.write_text("of the user's")
    # The same networks: everything stays.
    assert export.main(options) == 0
    assert json.loads((folder / TIMES).read_text()) == timed
    for seed in (1, 2):
        monkeypatch.setattr(
            "gsnet.latency.asked_networks.covering_networks",
            lambda *_, width=8 * seed: [PlainNet.parse(f"SuperConvK3BNRELU(3,{width},2,1)")],
        )
        assert export.main([*options, "--seed", str(seed)]) == 0
        now = json.loads((folder / NETWORKS).read_text())
        assert now != first
        stems = {Path(one["file"]).stem for one in now["networks"]} | {mine.stem}
        assert {file.stem for file in folder.iterdir() if file.suffix in suffixes} == stems
        assert not (folder / TIMES).exists()
        assert json.loads((folder / f"times_before_{seed}.json").read_text())["networks"] == first
        (folder / TIMES).write_text(json.dumps(timed))
    assert "times_before_2.json now" in capsys.readouterr().err


def test_a_bundle_without_networks_is_refused_on_the_device(tmp_path, networks):
    """As an export that was interrupted leaves it."""
    a_bundle(tmp_path, networks, ())
    ended = on_the_device(tmp_path)
    assert ended.returncode == 2 and "lists no networks: was the export of this folder interrupted?" in ended.stderr
    assert not (tmp_path / "times.json").exists()


def test_networks_whose_two_least_times_differ_are_timed_again(tmp_path, monkeypatch):
    """One is disturbed in its first rounds, one always; a kill in between costs nothing."""
    asked = [PlainNet.parse(f"SuperConvK3BNRELU(3,{width},1,1)") for width in (8, 16, 24)]
    disturbed, noisy, calm = asked
    seconds = {
        disturbed.text: iter([1.5, 1.3, 1.0, 1.01]),
        noisy.text: (1.1**-n for n in range(99)),
        calm.text: iter([2, 2.03]),
    }
    monkeypatch.setattr(rounds, "timer_of", lambda *_: lambda network: next(seconds[network.text]))
    left = iter([True] * 3)
    with LatencyTable.create(tmp_path / "t.db", Origin("a phone", "onnxruntime", "1.0"), fuses=True) as made:
        files_of(made.path).mkdir()
        time_networks(made, asked, SETTING, rounds=2, quiet=True)
        assert settle_networks(made, SETTING, more=lambda: next(left, False), quiet=True) > 0
        assert settle_networks(made, SETTING, quiet=True) == 0
        times_of = {
            network.structure: len(times) for network, times in made.timings(SETTING.conditions, CALIBRATION).items()
        }
        assert times_of == {disturbed.text: 4, noisy.text: MOST_ROUNDS, calm.text: 2}
        least = {network.structure: network.seconds for network in made.networks(SETTING.conditions, CALIBRATION)}
        assert least == {disturbed.text: 1.0, noisy.text: pytest.approx(1.1**-19), calm.text: 2}
        # What was written is there for the rounds of other networks, until all are timed.
        assert files_of(made.path).is_dir()
        remove_files(made)
        assert not files_of(made.path).exists()


def test_searches_by_two_tables_are_compared_where_both_winners_take_as_long():
    """A winner by torch that takes (budget / 8 ms) to the power of 1.5 as long: 8 ms is found from 12.5 ms."""
    trials = [{"torch_table_ms": "12.5"}]
    while len(trials) < 4:
        budget = runtime_searches.next_budget(trials) * 1e3
        trials.append({"budget_ms": str(budget), "ratio": str((budget / 8) ** 1.5)})
    assert [float(one["budget_ms"]) for one in trials[1:3]] == pytest.approx([12.5, 6.4])
    assert float(trials[-1]["budget_ms"]) == pytest.approx(8)
    page = runtime_searches.PAGE.read_text()
    assert runtime_searches.table_of(read_rows(runtime_searches.SAVED, runtime_searches.KEY)) in page


def on_the_device(folder, *options):
    """Run a bundle's file as on a device without torch, OpenVINO, and this package."""
    block = "import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'openvino', 'gsnet'])); sys.argv = sys.argv[1:]; "
    block += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", block, str(folder / SCRIPT), *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}, check=False
    )


@pytest.fixture
def few_networks(monkeypatch):
    """Two of them are as good as many where only the files count."""
    monkeypatch.setattr(asked_networks, "FEWEST_TO_INFER", 1)
    monkeypatch.setattr(asked_networks, "FEWEST_TO_CALIBRATE", 1)


def test_a_bundle_says_what_to_install_and_what_it_is_in_words(tmp_path, monkeypatch, few_networks, capsys):
    """Packages as pip calls them, and a budget as a search takes it."""
    monkeypatch.setattr(bundle, "written", lambda network, _, program, folder: folder / f"{len(network.text)}.onnx")
    folder = tmp_path / "bundle"
    options = ["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"]
    assert export.main(options) == 0
    packages = "onnxruntime, openvino or opencv-python-headless"
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        f"{folder}: 5 networks of batch 1, 16 pixels, fp32," in said
        and f"{packages}: {folder / 'README.md'} says" in said
        and "[" not in said
    )
    guide = (folder / "README.md").read_text()
    assert f"With Python 3.9 or newer, numpy and {packages}:" in guide
    # As it is shown, with what the dots stand for.
    (line,) = [line.strip() for line in guide.splitlines() if "evolution_search.py" in line]
    asked = ["--zero_shot_score", "Params", "--search_space", "ghostshuffle", "--plainnet_struct", SMALL]
    asked += ["--fix_initialize", "--save_dir", str(tmp_path / "out")]
    command = line.removeprefix("python evolution_search.py ").removesuffix(" ...").split()
    with pytest.raises(LatencyError, match=r"There is no latency table device\.db"):
        evolution_search.main([*command, *asked])
    assert export.main([*options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runtimes"] == ["onnxruntime", "openvino", "opencv"] and "text" not in report


def test_a_device_bundle_is_timed_without_torch_and_goes_on(tmp_path, few_networks):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "bundle"
    options = ["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"]
    assert export.main(options) == 0
    files = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.onnx")}
    # Rewritten as an export is: as torch has them, units of stride 1 slice their maps and transpose them to shuffle.
    operators = {node.op_type for name in files for node in onnx.load(folder / name).graph.node}
    assert {"Conv", "Add"} <= operators and not {"Slice", "Transpose"} & operators
    assert export.main(options) == 0
    assert files == {file.name: file.stat().st_mtime_ns for file in folder.glob("*.onnx")}
    listed = json.loads((folder / NETWORKS).read_text())["networks"]
    assert {one["file"] for one in listed} == set(files) and {one["role"] for one in listed} == {TABLE, CALIBRATION}

    quick = ("--seconds", "0.001", "--device_name", "a board")
    first = on_the_device(folder, *quick, "--rounds", "1")
    assert first.returncode == 0, first.stderr
    before = json.loads((folder / "times.json").read_text())
    second = on_the_device(folder, *quick, "--rounds", "2")
    assert second.stdout.count(".onnx") == len(listed), second.stderr
    after = json.loads((folder / "times.json").read_text())
    assert after["times"][: len(listed)] == before["times"] and len(after["times"]) == 2 * len(listed)
    assert (after["device"], after["runtime"], after["threads"]) == ("a board", "onnxruntime", 1)
    other = on_the_device(folder, *quick, "--threads", "2")
    assert other.returncode == 2 and "was written for threads 1" in other.stderr
    for option in ("--rounds", "--threads"):
        other = on_the_device(folder, option, "0")
        assert other.returncode == 2 and other.stderr.endswith(f"argument {option}: 0 is not at least 1\n")
    for text in ("-1", "nan"):
        other = on_the_device(folder, "--seconds", text)
        assert other.returncode == 2 and other.stderr.endswith(f"argument --seconds: {text} is not above 0\n")
    # Where nothing can be written is told before anything is timed, and nothing is left beside it.
    beside = sorted(tmp_path.iterdir())
    for place, sentence in (
        (folder, f"{folder} is a folder: give --output a file"),
        (folder / "no/times.json", "No such"),
    ):
        other = on_the_device(folder, *quick, "--output", str(place))
        assert (other.returncode, other.stdout) == (2, "") and sentence in other.stderr
    assert sorted(tmp_path.iterdir()) == beside
    (folder / NETWORKS).write_text(json.dumps({**json.loads((folder / NETWORKS).read_text()), "networks": listed[:1]}))
    other = on_the_device(folder, *quick)
    assert other.stderr.endswith("times.json was written for other networks: give another --output\n")
    (folder / "times.json").write_text("{")
    other = on_the_device(folder, *quick)
    assert other.returncode == 2 and "times.json cannot be read" in other.stderr
    (folder / "times.json").write_text(json.dumps(after))
    other = on_the_device(folder, "--runtime", "openvino")
    assert other.returncode == 2 and other.stderr.endswith(
        "install openvino, or give --runtime onnxruntime or opencv\n"
    )
    by_opencv = on_the_device(folder, *quick, "--runtime", "opencv", "--output", "opencv.json")
    assert by_opencv.returncode == 0, by_opencv.stderr
    assert json.loads((folder / "opencv.json").read_text())["version"] == cv2.__version__
    with pytest.raises(LatencyError, match="time at least 12"):
        benchmark_network_latency.main(
            ["--import_timings", str(folder / "times.json"), "--latency_table", str(tmp_path / "board.db")]
        )
    with pytest.raises(LatencyError, match="bundle for other conditions"):
        export.main([*options, "--batch_size", "2"])


def test_a_bundle_for_opencv_holds_the_files_that_an_export_for_it_writes(tmp_path, monkeypatch, few_networks):
    """Whose convolutions are widened to multiples of 8, where those for ONNX Runtime are to 16 (docs/runtimes.md)."""
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "bundle"
    monkeypatch.setattr("gsnet.latency.asked_networks.covering_networks", lambda *_: [PlainNet.parse(SMALL)])
    options = ["--device_bundle", str(folder), *NEAR, "--networks", "1", "--calibration_networks", "1"]
    assert export.main([*options, "--format", "opencv"]) == 0
    listed, *_ = json.loads((folder / NETWORKS).read_text())["networks"]
    network = timed_networks.module_of(PlainNet.parse(SMALL), SETTING)
    exported = {name: runtimes.runtime(name).rewritten(network, (16, 16)) for name in ("opencv", "onnxruntime")}
    widths = {name: sorted(one.out_channels for one in convolutions_of(module)) for name, module in exported.items()}
    model = onnx.load(folder / listed["file"])
    sizes = {one.name: one.dims[0] for one in model.graph.initializer}
    of_the_file = sorted(sizes[node.input[1]] for node in model.graph.node if node.op_type == "Conv")
    assert of_the_file == widths["opencv"] != widths["onnxruntime"]
    timed = on_the_device(folder, "--seconds", "0.001", "--rounds", "1")
    assert timed.returncode == 0, timed.stderr
    assert (
        read_timings(folder / TIMES, None).exported_for
        == json.loads((folder / TIMES).read_text())["runtime"]
        == "opencv"
    )
    other = on_the_device(folder, "--runtime", "onnxruntime")
    assert other.returncode == 2 and "invalid choice: 'onnxruntime'" in other.stderr
    with pytest.raises(LatencyError, match="bundle for other conditions"):
        export.main(options)


def convolutions_of(module):
    return [one for one in module.modules() if hasattr(one, "out_channels")]


def test_the_file_for_the_device_is_in_the_language_that_its_page_says():
    text = Path(device_script.__file__).read_text()
    version = tuple(map(int, re.search(r"Needs Python (\d+)\.(\d+)", text).groups()))
    ast.parse(text, feature_version=version)
    assert "With Python {}.{} or newer".format(*version) in bundle._GUIDE


# In the place of ONNX Runtime: some files cannot be loaded, and some not be run.
RUNTIME = """
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, file, *_, **__):
        self.text = open(file).read()
        if self.text == "unknown":
            raise RuntimeError("Fatal error:\\n  Conv is not an operator of this build")
    def get_inputs(self):
        return [SessionOptions]
    def run(self, *_):
        if self.text == "large":
            raise MemoryError
SessionOptions.name = "input"
"""


def a_bundle(folder, networks, contents):
    """A folder of files with these contents, and the file that times them."""
    told = times_of(networks)["networks"]
    listed = told["networks"][: len(contents)]
    (folder / NETWORKS).write_text(json.dumps({**told, "networks": listed}))
    (folder / SCRIPT).write_text(Path(device_script.__file__).read_text())
    (folder / "onnxruntime.py").write_text(RUNTIME)
    for one, content in zip(listed, contents, strict=True):
        (folder / one["file"]).write_text(content)


def test_networks_that_cannot_run_on_the_device_are_recorded_and_the_others_timed(tmp_path, networks):
    a_bundle(tmp_path, networks, ("good", "unknown", "large", "good"))
    quick = ("--seconds", "0.001", "--rounds", "2")
    ended = on_the_device(tmp_path, *quick)
    reason = "Fatal error: Conv is not an operator of this build"
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert f"1.onnx cannot run: {reason}\n" in ended.stderr and "2.onnx cannot run: MemoryError\n" in ended.stderr
    assert ended.stderr.count("cannot run:") == 2, "each is tried once"
    end = f"2 of 4 networks cannot run on this device, the others are timed: {tmp_path / 'times.json'}\n"
    assert ended.stderr.endswith(end)
    found = json.loads((tmp_path / "times.json").read_text())
    assert found["failed"] == {"1.onnx": reason, "2.onnx": "MemoryError"}
    assert sorted(one["file"] for one in found["times"]) == ["0.onnx"] * 2 + ["3.onnx"] * 2
    assert sorted(line.split()[2:4] for line in ended.stdout.splitlines()[-2:]) == [["2", "0"], ["2", "3"]]
    # Memory may have been short: who starts it again has them tried again, and what was timed stays.
    (tmp_path / "2.onnx").write_text("good")
    ended = on_the_device(tmp_path, *quick)
    assert ended.returncode == 1 and ended.stdout.count(" ms\n") == 2
    assert list(json.loads((tmp_path / "times.json").read_text())["failed"]) == ["1.onnx"]
    (tmp_path / "1.onnx").write_text("good")
    ended = on_the_device(tmp_path, *quick)
    assert ended.returncode == 0 and ended.stdout.endswith("all timed: " + str(tmp_path / "times.json") + "\n")


def test_times_of_a_device_end_in_a_table_with_the_quickest_first():
    """The least counts, beside by how much the next one is longer; a network that never ran has no line."""
    long = "SuperConvK3BNRELU(3,8,1,1)" * 3
    listed = [
        {"file": f"{name}.onnx", "structure": text} for name, text in (("a", long), ("b", "BN(3)"), ("c", "BN(3)"))
    ]
    times = [("a", 3e-3), ("b", 2e-3), ("a", 2.5e-3), ("a", 4e-3)]
    told = [{"file": f"{name}.onnx", "seconds": seconds} for name, seconds in times]
    lines = device_script.summary({"networks": {"networks": listed}, "times": told})
    assert lines[0].split() == ["least", "ms", "next", "rounds", "network"]
    assert lines[1].split() == ["2.000", "-", "1", "b", "BN(3)"]
    assert lines[2].split() == ["2.500", "+20.0%", "3", "a", f"{long[:57]}..."] and len(lines) == 3


def test_a_device_has_one_core_of_openvino(monkeypatch):
    """After two, on processors with AMX, an interrupt could end the process (tests/test_runtimes.py)."""
    cores = []

    class Core:
        def __init__(self):
            cores.append(self)

        def compile_model(self, file, *_):
            return SimpleNamespace(create_infer_request=lambda: SimpleNamespace(infer=lambda given: (file, given)))

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    device_script.openvino_core.cache_clear()
    runs = [device_script.open_openvino(Path(name), 1) for name in ("a.onnx", "b.onnx")]
    device_script.openvino_core.cache_clear()
    assert [run("images") for run in runs] == [("a.onnx", {0: "images"}), ("b.onnx", {0: "images"})] and len(cores) == 1


def test_an_interrupt_on_the_device_says_what_is_kept(tmp_path, networks):
    a_bundle(tmp_path, networks, ("good", "good"))
    stop = RUNTIME.replace('self.text == "large"', 'self.text == "stop"').replace("MemoryError", "KeyboardInterrupt")
    (tmp_path / "onnxruntime.py").write_text(stop)
    first = on_the_device(tmp_path, "--seconds", "0.001", "--rounds", "1")
    for file in tmp_path.glob("*.onnx"):
        file.write_text("stop")
    ended = on_the_device(tmp_path, "--seconds", "0.001", "--rounds", "2")
    assert first.returncode == 0 and ended.returncode == 130
    assert ended.stderr == f"stopped: {tmp_path / 'times.json'} keeps what was timed, and the same command goes on\n"
    assert len(json.loads((tmp_path / "times.json").read_text())["times"]) == 2


def test_networks_that_could_not_run_on_the_device_are_left_out_and_named(tmp_path, networks, capsys):
    file, path = tmp_path / "times.json", tmp_path / "board.db"
    times = times_of(networks)
    times["times"] = [one for one in times["times"] if one["file"] != "3.onnx"]
    # One that ran before it could not once keeps its times.
    file.write_text(json.dumps({**times, "failed": {"3.onnx": "no memory", "4.onnx": "no memory"}}))
    options = ["--import_timings", str(file), "--latency_table", str(path)]
    assert benchmark_network_latency.main([*options, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["failed"] == {networks[3]: "no memory"}
    sentence = f"left out: 1 network that could not run on the device: {networks[3]} (no memory)"
    assert sentence in told.err
    assert benchmark_network_latency.main(options) == 0
    told = capsys.readouterr()
    assert sentence in told.err and networks[3] not in told.out
    *_, line = told.out.splitlines()
    assert line.startswith("calibrated on 6 networks, by which a network takes ") and not re.search(
        r"\d\.\d{4}", told.out
    )
    with LatencyTable.open(path) as made:
        timed = {one.structure for one in made.networks(SETTING.conditions, TABLE)}
    assert timed == set(networks[:14]) - {networks[3]}


def test_a_table_that_cannot_take_its_name_leaves_nothing(tmp_path):
    (tmp_path / "board.db").mkdir()
    with pytest.raises(IsADirectoryError):
        LatencyTable.create(tmp_path / "board.db", Origin("a board"), fuses=True)
    assert [file.name for file in tmp_path.iterdir()] == ["board.db"]


def times_of(networks):
    """What a device's file holds after two rounds, the second of which was disturbed."""
    listed = [
        {"file": f"{place}.onnx", "structure": text, "role": TABLE if place < 14 else CALIBRATION}
        for place, text in enumerate(networks[:20])
    ]
    told = {"batch": 1, "resolution": 32, "suffix": ".onnx", "exported_for": "onnxruntime"}
    told |= {"num_classes": 10, "use_se": False, "networks": listed}
    times = [
        {"file": one["file"], "round": number, "seconds": seconds_of(one["structure"]) * (1 + number)}
        for number in (0, 1)
        for one in listed
    ]
    about = {"format": 1, "device": "a board", "threads": 2, "runtime": "openvino", "version": "2026.1"}
    return {**about, "precision": "fp32", "networks": told, "times": times}


def import_timings(file, path, device_name):
    """A table without a fit, for which the networks may be too few."""
    measured = read_timings(file, device_name)
    with measured.put_into(path):
        return measured


def test_timings_of_a_device_become_its_table(tmp_path, networks, capsys):
    file, path = tmp_path / "times.json", tmp_path / "board.db"
    file.write_text(json.dumps(times_of(networks)))
    options = ["--import_timings", str(file), "--latency_table", str(path)]
    assert benchmark_network_latency.main([*options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"] == 6
    with LatencyTable.open(path) as made:
        assert made.origin == Origin("a board, 2 threads", "openvino", "2026.1")
        timed = made.networks(SETTING.conditions, TABLE)
        assert {one.structure: one.seconds for one in timed} == pytest.approx({t: seconds_of(t) for t in networks[:14]})
        assert made.calibration(SETTING.conditions) is not None
    with pytest.raises(InputError, match="needs --latency_table"):
        benchmark_network_latency.main(options[:2])
    for broken in (
        "no JSON",
        "[]",
        json.dumps({**times_of(networks), "times": [{"file": "none", "round": 0, "seconds": 1}]}),
    ):
        file.write_text(broken)
        with pytest.raises(LatencyError, match=r"times\.json"):
            benchmark_network_latency.main(options)
    whole = times_of(networks)
    file.write_text(json.dumps({**whole, "times": [*whole["times"], {"file": "none", "round": 0, "seconds": 1}]}))
    with pytest.raises(LatencyError, match=r"times\.json"):
        import_timings(file, tmp_path / "new.db", None)
    assert not (tmp_path / "new.db").exists(), "a table of a part would be taken for a whole one"


def test_timings_that_are_too_few_leave_a_table_as_it_was(tmp_path, networks):
    """As a device that was stopped leaves them."""
    file, path = tmp_path / "times.json", tmp_path / "board.db"
    whole = times_of(networks)
    file.write_text(json.dumps({**whole, "times": whole["times"][:5]}))
    options = ["--import_timings", str(file), "--latency_table", str(path)]
    with pytest.raises(LatencyError, match="time at least 12"):
        benchmark_network_latency.main(options)
    assert list(tmp_path.iterdir()) == [file]
    file.write_text(json.dumps(whole))
    assert benchmark_network_latency.main(options) == 0
    before = content_of(path)
    # Of another batch size: nothing of it is known to the table.
    cut = {**whole, "networks": {**whole["networks"], "batch": 8}, "times": whole["times"][:5]}
    file.write_text(json.dumps(cut))
    with pytest.raises(LatencyError, match="time at least 12"):
        benchmark_network_latency.main(options)
    assert content_of(path) == before and {one.name for one in tmp_path.iterdir()} == {file.name, path.name}
    file.write_text(json.dumps({**cut, "times": whole["times"]}))
    assert benchmark_network_latency.main(options) == 0
    with LatencyTable.open(path) as table:
        assert [one.batch for one in table.calibrated()] == [1, 8]


def content_of(path):
    with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as connection:
        return list(connection.iterdump())


def test_what_is_no_file_of_timings_is_told_with_what_is(tmp_path):
    def refused(file):
        with pytest.raises(LatencyError) as caught:
            read_timings(file, None)
        return str(caught.value)

    wanted = f"{tmp_path} is a folder: give --import_timings "
    assert refused(tmp_path) == f"{wanted}the times.json of its time_networks.py"
    for name in (TIMES, BENCHNCNN_TIMES):
        (tmp_path / name).touch()
    assert refused(tmp_path) == f"{wanted}{tmp_path / TIMES} or {tmp_path / BENCHNCNN_TIMES}"
    for name in ("none.json", "none.txt"):
        assert refused(tmp_path / name).startswith(f"There is no {tmp_path / name}: give --import_timings what")


@pytest.mark.parametrize(
    ("files", "program", "rewrites"),
    [
        ("onnxruntime", "onnxruntime", True),
        ("onnxruntime", "openvino", True),
        ("onnxruntime", "opencv", True),
        ("openvino", "openvino", True),
        ("opencv", "opencv", True),
        ("ncnn", "ncnn", False),
    ],
)
def test_a_table_says_which_files_were_timed_and_lists_units_as_these_have_them(
    tmp_path, networks, capsys, files, program, rewrites
):
    """ONNX Runtime's are rewritten, whichever runtime reads them; those of ncnn are not."""
    times = times_of(networks) | {"runtime": program}
    times["networks"]["exported_for"] = files
    (tmp_path / "times.json").write_text(json.dumps(times))
    board = ["--latency_table", str(tmp_path / "board.db")]
    assert benchmark_network_latency.main(["--import_timings", str(tmp_path / "times.json"), *board]) == 0
    said = f"exported_for {files}"
    assert (said in capsys.readouterr().out) is (files != program)
    with LatencyTable.open(tmp_path / "board.db") as table:
        assert (table.rewrites, table.exported_for) == (rewrites, files)
    predict = ["--predict", "--arch", "PlainNet", "--plainnet_struct", START, "--input_image_size", "32", "--json"]
    assert benchmark_network_latency.main([*predict, *board, "--num_classes", "10"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exported_for"] == (None if files == program else files)
    sentence = f"of files that are exported for {files}, not of those for {program}"
    assert (sentence in report["rows"][0]["text"]) is (files != program)


def test_a_table_takes_times_of_its_own_files_alone(tmp_path, networks):
    path, times = tmp_path / "board.db", times_of(networks) | {"runtime": "opencv"}
    for files in ("opencv", "onnxruntime"):
        times["networks"]["exported_for"] = files
        (tmp_path / f"{files}.json").write_text(json.dumps(times))
    import_timings(tmp_path / "opencv.json", path, None)
    with pytest.raises(LatencyError, match="holds latencies of files that are exported for opencv, and this is files"):
        import_timings(tmp_path / "onnxruntime.json", path, None)


@pytest.mark.parametrize(("suffix", "files"), [(".onnx", "onnxruntime"), (".param", "ncnn")])
def test_an_older_bundle_is_of_the_files_that_its_suffix_says(tmp_path, networks, suffix, files):
    times = times_of(networks)
    del times["networks"]["exported_for"]
    times["networks"]["suffix"] = suffix
    (tmp_path / "times.json").write_text(json.dumps(times))
    assert read_timings(tmp_path / "times.json", None).exported_for == files


def test_two_processes_that_make_one_table_have_the_same(tmp_path, monkeypatch):
    """The second begins while the first writes its own, and names it first."""
    path, origin = tmp_path / "board.db", Origin("a board")
    write, others = table_file.sqlite3.connect, []

    def connect(*arguments, **options):
        if not others:
            others.append(None)
            others[0] = LatencyTable.create(path, origin, fuses=False)
        return write(*arguments, **options)

    monkeypatch.setattr(table_file, "sqlite3", SimpleNamespace(**vars(sqlite3) | {"connect": connect}))
    layer = Layer("ReLU", 1, 8, 4, 4, 8, 1, 1, 0)
    with LatencyTable.create(path, origin, fuses=False) as first, others[0] as second:
        first.add_layers("fp32", [(layer, 1e-3)])
        assert second.layers("fp32", 1) == {layer: 1e-3}
    assert [one.name for one in tmp_path.iterdir()] == ["board.db"]


def test_a_prediction_grows_with_the_number_of_classes_and_says_whence(tmp_path, networks, capsys):
    (tmp_path / "times.json").write_text(json.dumps(times_of(networks)))
    board = ["--latency_table", str(tmp_path / "board.db")]
    assert benchmark_network_latency.main(["--import_timings", str(tmp_path / "times.json"), *board, "--json"]) == 0
    capsys.readouterr()
    predict = ["--predict", "--arch", "PlainNet", "--plainnet_struct", START, "--input_image_size", "32", "--json"]
    found = []
    for classes in (10, 1000, 100_000):
        assert benchmark_network_latency.main([*predict, *board, "--num_classes", str(classes)]) == 0
        found.append(json.loads(capsys.readouterr().out)["rows"][0])
    seconds, spreads = ([row[name] for row in found] for name in ("seconds", "spread"))
    assert seconds[0] < seconds[1] < seconds[2] / 3 and spreads[2] > 0.5
    assert "classifier" not in found[0]["text"]
    assert "a classifier of 1000 is worked out from those of 10 classes" in found[1]["text"]


def test_a_search_says_whence_it_has_the_latency_of_other_classifiers(tmp_path, networks):
    layers = {layer for text in networks[:20] for layer in SETTING.layers(PlainNet.parse(text), True)}
    path = tmp_path / "board.db"
    with LatencyTable.create(path, Origin("a board", "onnxruntime", "1.0"), fuses=True) as made:
        made.add_layers("fp32", [(layer, seconds_of_a_layer(layer)) for layer in layers])
    told = {}
    for classes in (10, 100):
        options = {"space": "XXBL", "proxy": "Params", "budgets": {"latency": 1.0}, "iterations": 3}
        save_dir = tmp_path / str(classes)
        gsnet.search(START, **options, num_classes=classes, latency_table=path, save_dir=save_dir)
        told[classes] = (save_dir / "evolution_search.log").read_text()
    assert "classifier" not in told[10]
    assert f"latencies of {path}: a classifier of 100 is worked out from those of 10 classes" in told[100]


def test_a_prediction_for_another_size_says_what_the_table_was_calibrated_for(tmp_path, networks, capsys):
    (tmp_path / "times.json").write_text(json.dumps(times_of(networks)))
    board = ["--latency_table", str(tmp_path / "board.db")]
    assert benchmark_network_latency.main(["--import_timings", str(tmp_path / "times.json"), *board, "--json"]) == 0
    predict = ["--predict", "--arch", "PlainNet", "--plainnet_struct", START, "--num_classes", "10", "--json"]
    capsys.readouterr()
    assert benchmark_network_latency.main([*predict, *board, "--input_image_size", "64"]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert not row["calibrated"]
    assert "how far off is not known: the table is calibrated for batch 1, 32 pixels" in row["text"]


def test_a_network_of_both_roles_is_timed_once_and_counts_in_both(tmp_path, networks):
    times = times_of(networks)
    both = {**times["networks"]["networks"][0], "role": CALIBRATION}
    times["networks"]["networks"].append(both)
    (tmp_path / "times.json").write_text(json.dumps(times))
    setting = import_timings(tmp_path / "times.json", tmp_path / "board.db", None).setting
    with LatencyTable.open(tmp_path / "board.db") as table:
        for role, count in ((TABLE, 14), (CALIBRATION, 7)):
            seconds = {one.structure: one.seconds for one in table.networks(setting.conditions, role)}
            assert len(seconds) == count and seconds[networks[0]] == pytest.approx(seconds_of(networks[0]))


def test_a_network_of_both_roles_has_one_turn_a_round():
    listed = [{"file": name, "role": role} for name, role in (("a", TABLE), ("b", TABLE), ("a", CALIBRATION))]
    result = {"networks": {"networks": listed}, "times": [{"file": "b", "round": 1, "seconds": 1.0}]}
    assert sorted(device_script.turns_left(result, 2)) == [("a", 0), ("a", 1), ("b", 0)]


def test_timings_of_benchncnn_become_a_table_of_16_bits(tmp_path, networks):
    made = times_of(networks)["networks"]
    listed = [{**one, "file": one["file"].replace(".onnx", ".param")} for one in made["networks"]]
    told = {**made, "suffix": ".param", "exported_for": "ncnn", "networks": listed}
    (tmp_path / NETWORKS).write_text(json.dumps(told))
    lines = [
        f"1 4             {one['file']}  min = {3.25 + i:7.2f}  max =  9.99  avg =  5.00"
        for i, one in enumerate(listed)
    ]
    file = tmp_path / "benchncnn.txt"
    # A bundle that was made anew holds the files of the one before, which benchncnn times, too.
    before = "1 4             before.param  min =    1.00  max =  9.99  avg =  5.00"
    failed = [f"failed {name}" for name in ("3.param", "3.param", "before.param")]
    file.write_text("\n".join([before, *failed, *lines[:3], *lines[4:]]) + "\n1 4 cut o")
    measured = import_timings(file, tmp_path / "phone.db", "a phone")
    origin, setting = measured.origin, measured.setting
    assert measured.failed == {networks[3]: "benchncnn cannot run it"}
    assert origin == Origin("a phone, 4 threads", "ncnn") and setting.conditions == Conditions("fp16", 1, 32)
    with LatencyTable.open(tmp_path / "phone.db") as table:
        seconds = {one.structure: one.seconds for one in table.networks(setting.conditions, TABLE)}
    assert seconds[networks[1]] == pytest.approx(4.25e-3)
    # Of a batch of 8 ncnn takes the images one by one, and benchncnn one.
    (tmp_path / NETWORKS).write_text(json.dumps({**told, "batch": 8}))
    setting = import_timings(file, tmp_path / "phone8.db", "a phone").setting
    with LatencyTable.open(tmp_path / "phone8.db") as table:
        (of_eight,) = [o for o in table.networks(setting.conditions, TABLE) if o.structure == networks[1]]
    assert setting.conditions.batch == 8 and of_eight.seconds == pytest.approx(34e-3)
    (tmp_path / NETWORKS).write_text("{")
    with pytest.raises(LatencyError, match=r"networks\.json are not what a device bundle has"):
        import_timings(file, tmp_path / "phone8.db", "a phone")
    with pytest.raises(LatencyError, match="give --device_name"):
        import_timings(file, tmp_path / "phone.db", None)


def test_a_bundle_for_ncnn_says_how_benchncnn_is_called(tmp_path, monkeypatch, few_networks):
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    folder = tmp_path / "bundle"
    monkeypatch.setattr("gsnet.latency.asked_networks.covering_networks", lambda *_: [])
    options = [*SPACE, "--budget_flops", "1e7", "--max_layers", "4", "--networks", "1", "--calibration_networks", "1"]
    assert export.main(["--device_bundle", str(folder), *options, "--format", "ncnn"]) == 0
    assert 'param="$network" shape="[16,16,3]"' in (folder / BENCHNCNN).read_text()
    # A program that prints what benchncnn prints, for the shell script's part.
    line = 'echo "  ${6#param=}  min =    1.50  max =    2.00  avg =    1.70" >&2'
    (folder / "benchncnn").write_text(f'#!/bin/sh\necho "$*" >> calls\n{line}\n')
    (folder / "benchncnn").chmod(0o755)
    for _ in range(2):
        subprocess.run(["sh", BENCHNCNN], cwd=folder, check=True, capture_output=True)
    calls = (folder / "calls").read_text().splitlines()
    names = [file.name for file in folder.glob("*.param")]
    assert len(calls) == 5 * len(names) == 10
    assert calls[0].startswith("20 1 0 -1 0 param=") and calls[0].endswith("shape=[16,16,3]")
    setting = import_timings(folder / "benchncnn.txt", tmp_path / "phone.db", "a phone").setting
    with LatencyTable.open(tmp_path / "phone.db") as table:
        assert [one.seconds for one in table.networks(setting.conditions, TABLE)] == [1.5e-3]
    (folder / "benchncnn").write_text("#!/bin/sh\nexit 1\n")
    (folder / "benchncnn.txt").unlink()
    failed = subprocess.run(["sh", BENCHNCNN], cwd=folder, check=False, capture_output=True, text=True)
    every = [f"benchncnn cannot run {name}" for name in sorted(names)]
    end = f"{len(names)} networks cannot run on this device, the others are timed: benchncnn.txt"
    assert failed.returncode == 1 and failed.stderr.splitlines() == [*every, end]
    timed = on_the_device(folder, "--seconds", "0.001", "--rounds", "1")
    assert timed.stdout.count(".param") == 2, timed.stderr
    with pytest.raises(InputError, match="onnx, openvino, opencv or ncnn: --format litert is none of these"):
        export.main(["--device_bundle", str(folder), *SPACE, "--format", "litert"])
