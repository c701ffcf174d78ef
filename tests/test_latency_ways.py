"""Latency tables and bundles of networks that an earlier version rewrote in another way: they say so, and nothing is mixed."""

import hashlib
import json
import sqlite3

import pytest
import torch
from torch import nn

import PlainNet
from gsnet.commands import benchmark_network_latency, compare, evolution_search
from gsnet.latency.building import open_at_hand
from gsnet.latency.bundle_folder import check_folder
from gsnet.latency.device import device_identity
from gsnet.latency.errors import LatencyError
from gsnet.latency.layers import list_layers
from gsnet.latency.records import Conditions, Origin
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable, say_what_it_is_of
from gsnet.latency.timed_networks import written
from gsnet.latency.timings import read_timings
from gsnet.runtimes import Runtime, registry, runtime, way_of_rewriting
from gsnet.runtimes.fusing import fused
from gsnet.runtimes.rewriting import AS_IT_IS, MULTIPLES, SOME_WAY, WAY
from Masternet import MasterNet

PLAIN = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
SHUFFLED = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
OTHER = WAY + 1
SENTENCE = "of networks as an earlier version wrote them for"
REFUSAL = "networks as another version wrote them, and this is one whose networks take another time"


def a_table(path, text, name, way, device="a board, 1 thread"):
    origin = Origin(device, name, runtime(name).version())
    with LatencyTable.create(path, origin, fuses=True, way=way, exported_for=name) as table:
        rewrites = way != AS_IT_IS
        listed = list_layers(
            PlainNet.parse(text), batch=1, resolution=32, num_classes=10, fuses=True, rewrites=rewrites
        )
        table.add_layers("fp32", [(layer, 1e-5) for layer in set(listed)])
    return path


@pytest.mark.parametrize(
    ("text", "name", "way", "told"),
    [
        (SHUFFLED, "onnxruntime", SOME_WAY, True),
        (SHUFFLED, "opencv", OTHER, True),
        # Networks were written for OpenVINO as torch has them before they were rewritten for it.
        (SHUFFLED, "openvino", AS_IT_IS, True),
        (SHUFFLED, "onnxruntime", WAY, False),
        (SHUFFLED, "ncnn", AS_IT_IS, False),
        # Of a residual network the same is written in every way.
        (PLAIN, "onnxruntime", SOME_WAY, False),
        (PLAIN, "openvino", AS_IT_IS, False),
    ],
)
def test_who_goes_by_a_table_is_told_that_exports_are_others_now(tmp_path, capsys, text, name, way, told):
    if runtime(name).missing(writing=False):
        pytest.skip(f"{name} is not installed (requirements-runtimes.txt)")
    path = str(a_table(tmp_path / "a.db", text, name, way))
    sentence = f"{SENTENCE} {name}"
    network = ["--arch", "PlainNet", "--plainnet_struct", text, "--input_image_size", "32", "--num_classes", "10"]
    assert benchmark_network_latency.main(["--predict", *network, "--latency_table", path, "--json"]) == 0
    assert (sentence in json.loads(capsys.readouterr().out)["rows"][0]["text"]) is told
    assert compare.main([text, "--input_image_size", "32", "--num_classes", "10", "--latency_table", path]) == 0
    assert (sentence in capsys.readouterr().out) is told
    search = ["--zero_shot_score", "Params", "--fix_initialize", "--plainnet_struct", text, "--input_image_size", "32"]
    search += ["--search_space", "ghostshuffle" if text == SHUFFLED else "XXBL", "--origin", "--num_classes", "10"]
    search += ["--latency_table", path, "--budget_latency", "1", "--evolution_max_iter", "1", "--max_layers", "9"]
    assert evolution_search.main([*search, "--save_dir", str(tmp_path / "out")]) == 0
    assert (sentence in (tmp_path / "out" / "evolution_search.log").read_text()) is told


def test_what_is_timed_now_is_put_to_no_times_of_other_networks(tmp_path, caplog):
    pytest.importorskip("onnxruntime")
    here = device_identity("cpu", 1)
    path = a_table(tmp_path / "other.db", SHUFFLED, "onnxruntime", OTHER, here)
    with pytest.raises(LatencyError, match=REFUSAL):
        open_at_hand(path, "cpu", "onnxruntime")
    for way in (AS_IT_IS, OTHER, SOME_WAY):
        with open_at_hand(
            a_table(tmp_path / f"{way}.db", PLAIN, "onnxruntime", way, here), "cpu", "onnxruntime"
        ) as table:
            assert (table.way, table.rewrites) == (WAY, True), "nothing of it would be another"
        with LatencyTable.open(table.path) as table:
            assert table.way == WAY
    # Of an older table it is not known, and said.
    with open_at_hand(
        a_table(tmp_path / "unknown.db", SHUFFLED, "onnxruntime", SOME_WAY, here), "cpu", "onnxruntime"
    ) as table:
        assert table.way == SOME_WAY
        say_what_it_is_of(table)
    assert f"unknown.db holds latencies {SENTENCE} onnxruntime" in caplog.text


def test_tables_of_before_say_no_way(tmp_path):
    path = a_table(tmp_path / "a.db", SHUFFLED, "ncnn", AS_IT_IS)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'rewrites'")
    with LatencyTable.open(path) as table:
        assert table.way == AS_IT_IS and not table.rewrites


def test_a_table_of_a_runtime_that_is_not_known_here_is_of_no_way(tmp_path):
    """As that of a plugin that is not given."""
    with LatencyTable.create(tmp_path / "a.db", Origin("a board", "mine"), fuses=True, way=SOME_WAY) as table:
        layers = list_layers(PlainNet.parse(SHUFFLED), batch=1, resolution=32, num_classes=10)
        table.add_layers("fp32", [(layer, 1e-5) for layer in set(layers)])
        assert table.warnings == []


class Mine(Runtime):
    name = "mine"
    suffixes = (".mine",)

    def write(self, network, file, size, output, *, half, texts=()):
        file.write_text("mine")

    def open(self, file, settings):
        raise RuntimeError


def test_a_runtime_of_ones_own_is_rewritten_for_as_it_says(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {"mine": Mine()})
    assert way_of_rewriting("mine") == AS_IT_IS
    monkeypatch.setattr(Mine, "multiple", 4)
    assert way_of_rewriting("mine") == WAY


def test_the_files_of_an_unfinished_table_are_of_its_way(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {"mine": Mine()})
    setting = Setting(Conditions("fp32", 1, 32), 10, backend="mine")
    files = [written(PlainNet.parse(PLAIN), setting, Mine(), tmp_path)]
    monkeypatch.setattr(Mine, "multiple", 4)
    for way in (WAY, OTHER):
        monkeypatch.setattr(registry, "WAY", way)
        files.append(written(PlainNet.parse(PLAIN), setting, Mine(), tmp_path))
    assert len(set(files)) == 3


def test_a_bundle_says_in_which_way_its_networks_are_written(tmp_path):
    told = {"batch": 1, "resolution": 32, "num_classes": 10, "use_se": False, "networks": []}
    files = {"suffix": ".onnx", "exported_for": "onnxruntime"}
    listing = tmp_path / "networks.json"
    about = {
        "format": 1,
        "device": "a board",
        "threads": 1,
        "runtime": "onnxruntime",
        "version": "1",
        "precision": "fp32",
    }
    for before, way in (({}, SOME_WAY), ({"way": OTHER}, OTHER), ({"way": WAY}, WAY)):
        listing.write_text(json.dumps({**told, **files, **before}))
        (tmp_path / "times.json").write_text(
            json.dumps({**about, "networks": {**told, **files, **before}, "times": []})
        )
        assert read_timings(tmp_path / "times.json", None).way == way
        if way == WAY:
            check_folder(tmp_path, {**told, **files, "way": WAY})
            continue
        with pytest.raises(LatencyError, match="bundle of another version, whose networks take another time"):
            check_folder(tmp_path, {**told, **files, "way": WAY})
    # ncnn's never were rewritten, and older bundles of it go on.
    files = {"suffix": ".param", "exported_for": "ncnn"}
    listing.write_text(json.dumps({**told, **files}))
    check_folder(tmp_path, {**told, **files, "way": AS_IT_IS})


# Of the ways so far, the networks below as they are rewritten.
GRAPHS = {2: "37fea4494fba0b01"}
NETWORKS = (
    "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,1,16,2)SuperGhostShuffleK5(32,64,2,16,3)SuperConvK1BNRELU(64,32,1,1)",
    "SuperConvK3BNRELU(3,88,2,1)SuperGhostShuffleK7(88,200,1,64,2)SuperGhostShuffleK3(200,264,2,136,2)SuperConvK1BNRELU(264,64,1,1)",
)


def graph_of(network):
    """What is called, in order, of which widths."""
    called = []
    for node in network.graph.nodes:
        module = network.get_submodule(node.target) if node.op == "call_module" else None
        shape = [getattr(module, name, None) for name in ("in_channels", "out_channels", "kernel_size", "groups")]
        called.append(f"{node.op} {type(module).__name__ if module else getattr(node.target, '__name__', '')} {shape}")
    return called


def test_other_graphs_have_another_way():
    """A guard against a change of the rewriting that forgets WAY: tables of before would predict wrong latencies in silence."""
    digest = hashlib.sha256()
    for text in NETWORKS:
        for size in (16, 64):
            torch.manual_seed(0)
            network = MasterNet(num_classes=10, plainnet_struct=text).eval()
            for multiple in sorted(set(MULTIPLES.values())):
                rewritten = fused(network, (size, size), multiple)
                assert isinstance(rewritten, nn.Module) and rewritten is not network
                digest.update("\n".join(graph_of(rewritten)).encode())
    assert digest.hexdigest()[:16] == GRAPHS.get(WAY), (
        "raise gsnet.runtimes.rewriting.WAY, and note the new graphs here"
    )
