"""What other counters print, worked out from the structure: the counters' own figures, and what --explain says."""

import csv
import json
import subprocess
from pathlib import Path

import pytest

import PlainNet
from benchmarks.counters import SUBJECTS
from gsnet.models.counters import COUNTERS, explain
from PlainNet import PLAIN, StructureError, Style
from PlainNet.block import Block
from PlainNet.operations import operations

ROOT = Path(__file__).parent.parent
GOLDEN = json.loads((ROOT / "tests/golden/counters.json").read_text())
STRUCTURES = json.loads((ROOT / "tests/golden/structures.json").read_text())["structures"]
RUNNING = [case for case in STRUCTURES if case["macs"]]


def by_name(name):
    return next(counter for counter in COUNTERS if counter.name == name)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_figures_of_the_counters_themselves(case):
    style = Style(**case["style"])
    network = PlainNet.parse(case["structure"])
    ours = {c.name: c.total(operations(network, case["resolution"], case["classes"], style)) for c in COUNTERS}
    assert {name: ours[name] for name in case["figures"]} == case["figures"]


def published_figures():
    with (ROOT / "docs/counters.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["figure"]]
    ours = {"zennet", "gsmode", "quicks"}
    return [row for row in rows if row["network"][:6] in ours]


@pytest.mark.parametrize("name", sorted({row["network"] for row in published_figures()}))
def test_the_pages_figures_of_our_networks(name):
    subject = next(subject for subject in SUBJECTS if subject.name == name)
    network, style = subject.value()
    found = tuple(operations(network, subject.resolution, subject.classes, style))
    for row in published_figures():
        if row["network"] == name:
            assert by_name(row["counter"]).total(found) == int(row["figure"]), row["counter"]


@pytest.mark.parametrize("case", RUNNING, ids=lambda case: case["id"])
def test_operations_add_up_to_the_costs(case):
    network = PlainNet.parse(case["string"])
    style = Style(use_se=case["use_se"])
    found = list(operations(network, case["resolution"], case["num_classes"], style))
    assert sum(operation.macs for operation in found) == case["macs"]["total"]
    biases = sum(operation.outputs for operation in found if operation.bias and operation.kind == "linear")
    weights = sum(operation.weights * (2 if operation.kind == "norm" else 1) for operation in found)
    assert weights + biases <= case["params"]


def test_a_block_without_a_rule_is_named():
    class Strange(Block):
        text = "Strange(3)"

    with pytest.raises(StructureError, match=r"Strange\(3\): no list of operations is known for Strange"):
        list(PlainNet.operations.of_block(Strange(), 3, 8, PLAIN))


def test_the_command_explains(warm_python):
    options = ["--plainnet_struct", "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)", "--input_image_size", "32"]
    command = [str(warm_python), "analyze_model.py", *options, "--num_classes", "10", "--explain"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    network = PlainNet.parse(options[1])
    table = explain(operations(network, 32, 10)).splitlines()
    assert lines[-len(table) :] == table
    assert f"{network.cost(32, 10).flops:,}" in table[1] and "BN" in lines[-1]
