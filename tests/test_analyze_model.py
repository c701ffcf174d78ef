"""analyze_model.py: golden totals, JSON, the comparison with ptflops, refusals."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

import PlainNet
from gsnet.commands import analyze_model
from gsnet.models.analysis import analyze_network, summary
from PlainNet import Style
from ZeroShotProxy.gradient_growth import GradientGrowth

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
STRUCTURES = {c["id"]: c for c in json.loads((ROOT / "tests/golden/structures.json").read_text())["structures"]}


def analyze(*options):
    command = [os.environ["WARM_PYTHON"], "analyze_model.py", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("identity", ["init_XX_cifar+SE", "zennet_imagenet1k_flops400M_res224", "GSmodel-L@640"])
def test_json_has_the_golden_totals(identity, tmp_path):
    case = STRUCTURES[identity]
    path = tmp_path / "structure.txt"
    path.write_text(case["string"].replace(")", ")\n"))
    options = ["--plainnet_struct_txt", path, "--arch", "Masternet.py:MasterNet", "--json"]
    options += ["--input_image_size", case["resolution"], "--num_classes", case["num_classes"]]
    result = analyze(*options, *(["--use_se"] if case["use_se"] else []))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["structure"] == case["string"]
    totals = [report[name] for name in ("params", "flops", "mac", "layers")]
    assert totals == [case["params"], case["macs"]["total"], case["mac"], case["layers"]]
    assert report["output_shape"] == case["pre_gap_shape_batch2"][1:]
    assert [(b["structure"], b["params"]) for b in report["blocks"][:-1]] == [
        (b["string"], b["params"]) for b in case["blocks"]
    ]
    assert sum(b["flops"] for b in report["blocks"]) == report["flops"]


@pytest.mark.parametrize("options", [[], ["--use_se"], ["--no_reslink"]], ids=lambda o: "+".join(o))
@pytest.mark.parametrize("identity", ["init_XX_cifar", "init_GS_2M", "mut_IDW_0"])
def test_ptflops_agrees_but_for_what_it_counts_in_addition(identity, options):
    result = analyze(
        *("--plainnet_struct", STRUCTURES[identity]["string"], "--input_image_size", 45, "--num_classes", 10), *options
    )
    assert result.returncode == 0, result.stderr
    assert "in BN" in result.stdout
    assert "the rest agrees exactly" in result.stdout
    # Not the figure of --explain's row, and so not under its name alone.
    assert "ptflops, default backend, modules alone (count_functional=False), counts" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Give one of --plainnet_struct"),
        (["--plainnet_struct", "ConvKX(3,8,3)"], "takes 4 numbers"),
        (["--plainnet_struct_txt", "absent.txt"], "absent.txt"),
        (
            ["--plainnet_struct", "best_structure.txt"],
            "best_structure.txt is a file, and the structure itself was expected",
        ),
        (["--arch", "resnet188"], "did you mean resnet18 or resnet18d"),
        (["--plainnet_struct", "ConvKX(3,8,3,1)", "--arch", "resnet18"], "has a structure of its own"),
        (["--arch", "gsnet_detector", "--input_image_size", "33"], "33 x 33 is not possible: both are multiples of 32"),
        (["--arch", "resnet18", "--explain"], "--explain counts structures, and resnet18 has none"),
        (["--arch", "zennet_cifar10_model_size1M"], "did you mean zennet_cifar10_model_size1M_res32"),
        (["--plainnet_struct", "ConvKX(3,8,3,1)", "--input_image_siz", "3"], "did you mean --input_image_size"),
        (["--plainnet_struct", "ConvKX(3,8,3,1)", "--num_classes", "0"], "not a whole number of at least 1"),
    ],
)
def test_refusals_are_one_sentence(options, words):
    result = analyze(*options)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert words in result.stderr and not result.stdout


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [("zennet_imagenet1k_flops400M_SE_res224", 1000, 7_466_024), ("zennet_cifar10_model_size1M_res32", 10, 994_674)],
)
def test_published_networks_have_their_published_parameters(name, classes, parameters):
    result = analyze("--arch", name, "--num_classes", str(classes), "--json")
    assert json.loads(result.stdout)["params"] == parameters


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "224 x 224 pixels (--input_image_size) and 1000 classes (--num_classes) by default"),
        (["--input_image_size", 32], "nothing says otherwise: 1000 classes (--num_classes) by default"),
        (["--num_classes", 10], "nothing says otherwise: 224 x 224 pixels (--input_image_size) by default"),
        (["--input_image_size", 32, "--num_classes", 10], ""),
    ],
)
def test_sizes_that_nothing_says_are_said_to_be_taken(given, said, capsys):
    structure = ("--plainnet_struct", STRUCTURES["init_XX_cifar"]["string"])
    assert analyze_model.main([*structure, "--no_ptflops", *map(str, given)]) == 0
    out = capsys.readouterr().out
    assert said in out and bool(said) == ("by default" in out)


def test_sizes_that_a_network_says_itself_are_no_defaults(capsys, tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, num_classes=7):\n"
        "        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))\n"
    )
    for arch, said in (("zennet_cifar10_model_size05M_res32", ""), ("resnet18", ""), (f"{file}:Net", "224 x 224")):
        assert analyze_model.main(["--arch", arch, "--no_ptflops"]) == 0
        out = capsys.readouterr().out
        assert ("by default" in out) == bool(said), arch
        assert "1000 classes (--num_classes)" not in out


def test_growth_is_that_which_a_search_limits(capsys):
    """In closed form, with the links that are asked for; not without batch normalisation, where there is none."""
    network = PlainNet.parse(STRUCTURES["init_XX_cifar"]["string"])
    for options, style in ((["--input_image_size", "32"], Style()), (["--no_reslink"], Style(no_reslink=True))):
        size = ["--input_image_size", "32", "--num_classes", "10"]
        assert analyze_model.main(["--plainnet_struct", str(network), *size, *options, "--json"]) == 0
        grown = json.loads(capsys.readouterr().out)["growth"]
        assert grown == pytest.approx(GradientGrowth(32, style).growth(network))
    analysis = analyze_network(network, 32, 10)
    assert f"growth of the gradient on its way back: {analysis.growth:.2f}" in str(analysis)
    assert f"  {analysis.growth:.2f}  " in summary(["net"], [analysis])
    without = analyze_network(network, 32, 10, Style(no_BN=True))
    assert without.growth is None and "growth" not in without.to_dict()
    assert "unknown, as gradient growth is that of networks with batch normalisation" in str(without)


def test_an_analysis_says_what_its_structure_is_built_with(capsys):
    asked = [
        "--plainnet_struct",
        STRUCTURES["init_XX_cifar"]["string"],
        "--input_image_size",
        "32",
        "--num_classes",
        "10",
    ]
    asked += ["--use_se", "--no_BN"]
    assert analyze_model.main([*asked, "--no_ptflops"]) == 0
    assert "10 classes, with squeeze-and-excitation, without batch normalisation\n" in capsys.readouterr().out
    assert analyze_model.main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["use_se"], found["no_BN"], found["no_reslink"]) == (True, True, False)


def test_growth_of_a_module_is_by_a_backward_pass(capsys, tmp_path):
    """A deep chain without links, and what has one map alone, which has no growth."""
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n\n\ndef layer(i, o):\n"
        "    return nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()\n\n\n"
        "class Deep(nn.Sequential):\n    def __init__(self, num_classes=3):\n"
        "        deep = [m for _ in range(16) for m in layer(32, 32)]\n"
        "        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, num_classes))\n"
        "        super().__init__(*layer(3, 32), *deep, *head)\n\n\n"
        "class Patches(nn.Sequential):\n    def __init__(self, num_classes=3):\n"
        "        super().__init__(nn.Conv2d(3, 8, 4, 4), nn.Flatten(), nn.Linear(128, num_classes))\n"
    )
    found = {}
    for name in ("Deep", "Patches"):
        assert analyze_model.main(["--arch", f"{file}:{name}", "--input_image_size", "16", "--json"]) == 0
        found[name] = json.loads(capsys.readouterr().out)
    # As its structure in closed form, and nearly pi / (pi - 1) a layer (Yang et al. 2019), of which there are sixteen.
    structure = PlainNet.parse("SuperConvK3BNRELU(3,32,1,1)" + "SuperConvK3BNRELU(32,32,1,1)" * 16)
    assert found["Deep"]["growth"] == pytest.approx(GradientGrowth(16).growth(structure), rel=0.1)
    assert found["Deep"]["growth"] == pytest.approx(16 * 0.5 * math.log(math.pi / (math.pi - 1)), rel=0.2)
    assert "growth" not in found["Patches"]
