"""Latency on the computer at hand: timing a network, a table of a few layers, and a search that predicts by it."""

import csv
import json
import math
import os
import subprocess
from pathlib import Path

import onnx
import pytest
import torch

import PlainNet
from gsnet import runtimes
from gsnet.commands import benchmark_network_latency
from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.options import InputError
from gsnet.latency.layers import list_layers
from gsnet.latency.probe import measure_chain
from gsnet.latency.records import Origin
from gsnet.latency.table import LatencyTable
from gsnet.models.exporting import export
from gsnet.runtimes.formats import readers
from Masternet import MasterNet
from PlainNet import Style

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
SPACE = ["--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", STRUCTURE]


def script(name, *options, **environment):
    command = [os.environ["WARM_PYTHON"], name, *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, check=False)


def benchmark(*options, **environment):
    result = script("benchmark_network_latency.py", *options, "--json", **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_every_layer_of_every_kind_can_be_timed():
    structure = (
        "SuperConvK3BNRELU(3,8,1,1)SuperResIDWE2K5(8,12,2,8,1)SuperGhostShuffleK3(12,16,1,8,2)ConvKXG4(16,8,3,1)"
    )
    structure += "Swish(8)MaxPool(8,3,2)"
    for style in (Style(), Style(use_se=True)):
        layers = list_layers(PlainNet.parse(structure), batch=2, resolution=16, num_classes=5, style=style)
        seconds = measure_chain(layers)
        assert set(seconds) == set(layers)
        assert all(value is not None and 0 < value < 1 for value in seconds.values())


def test_timing_a_network():
    options = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--input_image_size", 32, "--repeat_times", 20]
    report = benchmark(*options, "--batch_size_list", "1,2")
    assert [row["batch"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert 0 < row["lower_quartile"] <= row["median"] <= row["upper_quartile"]
        assert row["images_per_second"] * row["median"] / row["batch"] == pytest.approx(1)
        assert 8 <= row["repeats"] <= 20
    wrong = script("benchmark_network_latency.py", *options, "--backend", "onnxruntime", "--fp16")
    said = ["timing in onnxruntime", "benchmark_network_latency.py: onnxruntime runs fp32 here, not bf16"]
    assert (wrong.returncode, wrong.stderr.splitlines()) == (2, said)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with the same network in several formats, which say what they are of."""
    folder = tmp_path_factory.mktemp("exported")
    texts = {KEY: NetworkDescription(structure=STRUCTURE, resolution=32, classes=5).to_json()}
    network = MasterNet(num_classes=5, plainnet_struct=STRUCTURE).eval()
    for name, kind, half in (
        ("net.onnx", "onnx", False),
        ("net.pt", "torchscript", True),
        ("net.param", "ncnn", False),
    ):
        export(network, folder / name, kind, (32, 32), metadata=texts, half=half)
    fixed = runtimes.runtime("onnxruntime")
    fixed.write_to_time(network, folder / "four.onnx", (32, 32), 4)
    return folder


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # Side and classes are the file's own, the runtime that of its suffix, the precision what it was written in.
        ("net.onnx", [], {"backend": "onnxruntime", "precision": "fp32", "resolution": 32, "classes": 5}),
        ("net.onnx", ["--backend", "opencv"], {"backend": "opencv", "resolution": 32, "classes": 5}),
        ("net.pt", [], {"backend": "torch", "precision": "fp16", "resolution": 32, "classes": 5}),
        ("net.pt", ["--input_image_size", 48], {"backend": "torch", "resolution": 48}),
        ("net.param", ["--threads", 1], {"backend": "ncnn", "precision": "fp32", "resolution": 32}),
        # It says nothing but the shape that it takes: four images.
        ("four.onnx", [], {"backend": "onnxruntime", "resolution": 32, "classes": None}),
    ],
)
def test_an_exported_file_is_timed_as_it_is(exported, capsys, monkeypatch, name, options, expected):
    # Nothing is built.
    monkeypatch.setattr("gsnet.models.load_model", lambda *of, **how: pytest.fail("a module was built"))
    arguments = ["--arch", exported / name, "--repeat_times", 2, *options, "--json"]
    assert benchmark_network_latency.main([*map(str, arguments)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["arch"] == str(exported / name) and report["max_difference"] is None
    assert {key: report[key] for key in expected} == expected
    (row,) = report["rows"]
    assert row["batch"] == (4 if name == "four.onnx" else 1) and 0 < row["median"] < 1


def test_an_exported_file_in_all_runtimes_that_read_it(exported, capsys):
    options = [
        "--arch",
        str(exported / "net.onnx"),
        "--backend",
        "all",
        "--batch_size_list",
        "1,2",
        "--repeat_times",
        "2",
    ]
    assert benchmark_network_latency.main([*options, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)["backends"]
    assert {"onnxruntime", "opencv"} <= {report["backend"] for report in reports} <= {*readers(".onnx")}
    assert all([row["batch"] for row in report["rows"]] == [1, 2] for report in reports)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("net.onnx", ["--backend", "ncnn"], "is read by onnxruntime, opencv or openvino, not by ncnn"),
        ("net.onnx", ["--use_se"], "is exported already, and is timed as it is: leave --use_se out"),
        ("net.onnx", ["--input_image_size", "64"], "takes images of 32 x 32 pixels alone"),
        ("four.onnx", ["--batch_size", "2"], "takes 4 images at a time: give --batch_size 4"),
        ("torn.onnx", [], "onnxruntime cannot run"),
        # It wants float16, which is an error of the library's own.
        ("half.onnx", [], r"onnxruntime cannot run .*half\.onnx: "),
    ],
)
def test_what_an_exported_file_does_not_bear_is_said(exported, name, options, words):
    (exported / "torn.onnx").write_text("torn")
    images, logits = (
        onnx.helper.make_tensor_value_info(one, onnx.TensorProto.FLOAT16, [1, 3, 8, 8]) for one in ("images", "logits")
    )
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["images"], ["logits"])], "half", [images], [logits])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, exported / "half.onnx")
    with pytest.raises(InputError, match=words):
        benchmark_network_latency.main(["--arch", str(exported / name), *options])


def test_a_file_that_does_not_say_its_side_asks_for_it(tmp_path, capsys):
    file = tmp_path / "net.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(3, 2, 3), torch.zeros(1, 3, 8, 8)), str(file))
    with pytest.raises(InputError, match=r"does not say how large its images are: give --input_image_size"):
        benchmark_network_latency.main(["--arch", str(file)])
    options = ["--arch", str(file), "--input_image_size", "8", "--repeat_times", "2", "--json"]
    assert benchmark_network_latency.main(options) == 0
    assert json.loads(capsys.readouterr().out)["resolution"] == 8


def test_the_structure_that_an_exported_file_says_is_timed_too(exported):
    report = benchmark("--arch", exported / "net.onnx", "--untrained", "--repeat_times", 2)
    assert (report["backend"], report["classes"]) == ("torch", 5)


def test_a_table_is_built_continued_calibrated_and_searched_by(tmp_path):
    environment = {"GSNET_LATENCY": str(tmp_path / "cache")}
    options = [*SPACE, "--input_image_size", 32, "--budget_flops", 1e7, "--max_layers", 8, "--networks", 12]
    built = benchmark("--build_table", *options, **environment)
    again = benchmark("--build_table", "--calibrate", *options, "--calibration_networks", 6, **environment)
    assert again["layers"] == built["layers"] > 50
    assert again["networks"] == 6
    predicted = benchmark("--predict", "--arch", "PlainNet", *SPACE[2:], "--input_image_size", 32, "--num_classes", 10,
                          **environment)  # fmt: skip
    assert predicted["rows"][0]["calibrated"] and predicted["rows"][0]["seconds"] > 0

    folder = tmp_path / "out"
    limit = 4 * predicted["rows"][0]["seconds"]
    search = [*SPACE, "--zero_shot_score", "Params", "--fix_initialize", "--origin", "--evolution_max_iter", 200]
    search += ["--save_dir", folder, "--budget_latency", limit, "--budget_flops", 1e7, "--max_layers", 8]
    search += ["--population_size", 16, "--objectives", "score,latency"]
    result = script("evolution_search.py", *search, **environment)
    assert result.returncode == 0, result.stderr
    best = json.loads((folder / "best.json").read_text())["latency"]
    assert best["source"] == "predict"
    assert 0 < best["seconds_per_image"] <= limit
    measured, bar = best["measured_seconds_per_image"], best["error_bar"]
    assert measured > 0 and bar > 0
    beyond = abs(math.log(measured / best["seconds_per_image"])) > bar
    assert best["measured_beyond_error_bar"] == beyond == ("contradicts the prediction" in result.stdout)
    assert best["measured_over_budget"] == (measured > limit) == ("breaks the budget" in result.stdout)
    for name in ("history.csv", "pareto.csv"):
        rows = list(csv.DictReader((folder / name).open()))
        assert any(row["latency"] for row in rows)
        if name == "history.csv":
            assert all(float(row["latency"]) <= limit for row in rows if row["outcome"] == "scored")

    foreign = tmp_path / "foreign.db"
    LatencyTable.create(foreign, Origin("a phone"), fuses=False).close()
    refused = script("benchmark_network_latency.py", "--build_table", *options, "--latency_table", foreign)
    assert refused.returncode == 2
    assert "holds latencies of a phone" in refused.stderr
    missing = script("evolution_search.py", *search, "--latency_table", tmp_path / "none.db", "--overwrite")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_missing_layers_are_measured_once(tmp_path):
    table = tmp_path / "t.db"
    options = ["--predict", "--measure_missing", "--arch", "PlainNet", "--plainnet_struct", STRUCTURE]
    options += ["--input_image_size", 32, "--latency_table", table]
    assert benchmark(*options)["rows"][0]["seconds"] > 0
    with LatencyTable.open(table) as opened:
        first = opened.layers("fp32", 1)
    assert benchmark(*options)["rows"][0]["seconds"] > 0
    with LatencyTable.open(table) as opened:
        assert opened.layers("fp32", 1) == first


def test_a_search_fills_a_table_on_demand(tmp_path):
    table, folder = tmp_path / "t.db", tmp_path / "out"
    search = [*SPACE, "--zero_shot_score", "Params", "--fix_initialize", "--origin", "--evolution_max_iter", 60]
    search += ["--save_dir", folder, "--budget_latency", 1, "--budget_flops", 1e7, "--max_layers", 5]
    search += ["--population_size", 16, "--latency_table", table]
    missing = script("evolution_search.py", *search)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    result = script("evolution_search.py", *search, "--measure_missing", "--seed", 1)
    assert result.returncode == 0, result.stderr
    latency = json.loads((folder / "best.json").read_text())["latency"]
    assert latency["source"] == "table" and latency["table"] == str(table)
    with LatencyTable.open(table) as opened:
        kinds = {layer.kind for layer in opened.layers("fp32", 1)}
    assert {"Regular", "Depthwise", "BN", "Shuffle", "Linear"} <= kinds
    refused = script("evolution_search.py", *search, "--overwrite", "--measure_missing", "--latency_source", "measure")
    assert refused.returncode == 2


def test_onnx_runtime_gives_what_torch_gives(tmp_path):
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed (requirements-extra.txt)")
    file = tmp_path / "network.onnx"
    report = benchmark("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--input_image_size", 32, "--repeat_times",
                       9, "--backend", "onnxruntime", "--batch_size_list", "1,2", "--export_onnx", file)  # fmt: skip
    assert report["backend"] == "onnxruntime" and 0 <= report["max_difference"] < 1e-4
    assert report["onnx_max_difference"] == report["max_difference"]
    assert [row["batch"] for row in report["rows"]] == [1, 2]
    assert all(row["median"] > 0 for row in report["rows"])
    import onnx

    onnx.checker.check_model(onnx.load(file))
