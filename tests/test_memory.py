"""What a network needs in memory: as an analysis of the exported graph says that knows nothing of structures."""

import argparse
import csv
import json
import re

import pytest

import gsnet
import PlainNet
from gsnet.commands import analyze_model, evolution_search
from gsnet.interface.options import InputError, size_in_bytes
from PlainNet import Style
from PlainNet.memory import memory_of
from tests.onnx_liveness import BY_HAND, GOLDEN, STYLES, analysis, exported

START = "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"


def test_networks_need_what_the_graphs_that_are_exported_of_them_need():
    with GOLDEN.open() as file:
        rows = [*csv.DictReader(file)]
    assert len({row["structure"] for row in rows}) == 44
    for row in rows:
        style, resolution = Style(**STYLES[row["style"]]), int(row["resolution"])
        found = memory_of(PlainNet.parse(row["structure"]), resolution, 10, style)
        assert found == tuple(int(row[name]) for name in ("peak", "weights", "vectors")), row["structure"]


def test_the_exporter_still_writes_these_graphs(tmp_path):
    structure = BY_HAND[4]
    graph = exported(structure, 16, "plain", tmp_path / "network.onnx")
    assert memory_of(PlainNet.parse(structure), 16, 10) == analysis(graph)


def test_a_network_counted_by_hand(capsys):
    """Image 3 x 16, convolution 8 x 16 with 216 weights and 8 biases, ReLU, and 8 x 10 + 10 of the classifier."""
    structure = "SuperConvK3BNRELU(3,8,1,1)"
    memory = memory_of(PlainNet.parse(structure), 4, 10)
    # While ReLU runs, what it reads and what it writes live; the image does no more.
    assert memory == (2 * 128, 216 + 80, 8 + 10)
    assert [memory.peak_bytes(precision) for precision in ("fp32", "fp16", "int8")] == [1024, 512, 256]
    # Biases have 32 bits beside weights of 8.
    assert [memory.weight_bytes(precision) for precision in ("fp32", "fp16", "int8")] == [1256, 628, 296 + 72]
    options = ["--plainnet_struct", structure, "--input_image_size", "4", "--num_classes", "10"]
    assert analyze_model.main([*options, "--no_ptflops"]) == 0
    table = capsys.readouterr().out
    assert "maps that live at once: 1.0 KiB in fp32, 0.5 KiB in fp16, 0.2 KiB in int8" in table
    assert analyze_model.main([*options, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["peak_memory"] == {"fp32": 1024, "fp16": 512, "int8": 256}
    assert figures["weights"] == {"fp32": 1256, "fp16": 628, "int8": 368}


@pytest.mark.parametrize(("text", "value"), [("262144", 2**18), ("256KiB", 2**18), ("1.5MB", 1.5e6), ("320 kB", 320e3)])
def test_sizes_have_units(text, value):
    assert size_in_bytes(text) == value


@pytest.mark.parametrize("text", ["256K", "0", "1mb", "-3kB"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(repr(text))):
        size_in_bytes(text)


def test_a_search_keeps_within_the_budgets(tmp_path, capsys):
    """From Python and from the script; history, front, report, description and pictures know both figures."""
    options = {"space": "ghostshuffle", "proxy": "ZenClosedForm", "population_size": 32, "iterations": 300}
    free = gsnet.search(START, **options).best.network
    needed = memory_of(free, 32, 10)
    peak, weights = needed.peak_bytes("int8") * 0.8, needed.weight_bytes("int8") * 0.5
    budgets = {"peak_memory": peak, "weights": f"{weights}B"}
    found = gsnet.search(START, **options, budgets=budgets, memory_precision="int8")
    assert found.outcomes["over budget: peak_memory"] > 0 and found.outcomes["over budget: weights"] > 0
    columns = [found.history[name] for name in ("structure", "outcome", "peak_memory", "weights")]
    for text, outcome, *figures in zip(*columns, strict=True):
        if outcome == "scored":
            memory = memory_of(PlainNet.parse(text), 32, 10)
            assert figures == [memory.peak_bytes("int8"), memory.weight_bytes("int8")]
            assert figures[0] <= peak and figures[1] <= weights
    command = ["--zero_shot_score", "ZenClosedForm", "--origin", "--fix_initialize", "--search_space", "ghostshuffle"]
    command += ["--plainnet_struct", START, "--population_size", "32", "--evolution_max_iter", "300"]
    command += [
        "--budget_peak_memory",
        f"{peak / 1024}KiB",
        "--budget_weights",
        f"{weights}",
        "--memory_precision",
        "int8",
    ]
    assert evolution_search.main([*command, "--objectives", "score,peak_memory", "--save_dir", str(tmp_path)]) == 0
    assert re.search(r"peak_memory [\d.]+ KiB, weights [\d.]+ KiB in int8", capsys.readouterr().out)
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["description"]["search"]["memory_precision"] == "int8"
    assert best["description"]["search"]["budgets"] == {"peak_memory": peak, "weights": weights}
    # Those that bound it as well as those that it is over.
    assert {"peak_memory", "weights"} <= set((tmp_path / "pareto.csv").read_text().splitlines()[0].split(","))
    with pytest.raises(InputError, match="--memory_precision does nothing without --budget_peak_memory"):
        evolution_search.main([*command[:-6], "--memory_precision", "int8", "--save_dir", str(tmp_path / "other")])
