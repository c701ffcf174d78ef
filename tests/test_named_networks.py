"""Networks by name, list, pattern and file in the scripts that take --arch, and what each says that it worked with."""

import json

import pytest
import torch
from torch import nn
from torchvision.models import MobileNet_V2_Weights, ResNet18_Weights

import gsnet
from gsnet.commands import (
    analyze_model,
    benchmark_network_latency,
    compute_score,
    export,
    train_image_classification,
    val,
)
from gsnet.detection import catalogue
from gsnet.interface.options import InputError
from gsnet.models import described, load_model, names_of
from gsnet.models.analysis import analyze_network
from gsnet.models.module_costs import analyze_module
from Masternet import MasterNet
from PlainNet import StructureError, parse

STRUCTURE = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
)
# Longer than a file's name may be.
LONG = f"SuperConvK3BNRELU(3,8,1,1){'SuperResK3K3(8,8,1,8,1)' * 10}"
SMALL = "zennet_cifar10_model_size05M_res32"


@pytest.fixture
def mine(tmp_path):
    """A class of the user's: a convolution of 3 to 4 channels at every second pixel, pooled, with a linear layer."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "class Mine(nn.Sequential):\n"
        "    def __init__(self, num_classes=5):\n"
        "        super().__init__(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(4, num_classes))\n"
    )
    return f"{file}:Mine"


def said(capsys, command, *arguments):
    assert command.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr()


def test_lists_and_patterns(tmp_path, monkeypatch):
    assert names_of("resnet18, mine.py:Mine") == ["resnet18", "mine.py:Mine"]
    assert names_of("zennet_cifar10_*,resnet18,zennet_cifar10_*05M*") == [
        "zennet_cifar10_model_size05M_res32",
        "zennet_cifar10_model_size1M_res32",
        "zennet_cifar10_model_size2M_res32",
        "resnet18",
    ]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best_structure.txt").write_text(STRUCTURE)
    monkeypatch.chdir(tmp_path)
    assert names_of("*/best_structure.txt") == ["a/best_structure.txt", "b/best_structure.txt"]
    with pytest.raises(InputError, match="No network's name matches 'nothing"):
        names_of("nothing*")
    with pytest.raises(InputError, match="names several networks"):
        load_model("resnet18,resnet34")


# Parameters and multiply-accumulates that torchvision publishes with its weights.
@pytest.mark.parametrize(("arch", "weights"), [("resnet18", ResNet18_Weights), ("mobilenet_v2", MobileNet_V2_Weights)])
def test_costs_of_torchvisions_networks_are_the_published_ones(capsys, arch, weights):
    found = json.loads(said(capsys, analyze_model, "--arch", arch, "--json").out)
    assert found["params"] == weights.DEFAULT.meta["num_params"]
    assert found["flops"] / 1e9 == pytest.approx(weights.DEFAULT.meta["_ops"], abs=6e-4)
    assert (found["resolution"], found["classes"], found["arch"]) == (224, 1000, arch)
    for name in ("params", "flops", "mac"):
        assert sum(block[name] for block in found["blocks"]) == found[name]


def test_a_module_costs_what_its_structure_says():
    value = analyze_network(parse(STRUCTURE), 32, 10)
    module = analyze_module(MasterNet(num_classes=10, plainnet_struct=STRUCTURE), "net", 32)
    assert module.total == value.total


ENCODER = """
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.ways = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU())

    def forward(self, maps):
        return maps + self.ways(maps)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(8, 1, 1))
        self.layers = nn.Sequential(Layer(), Layer(), Layer())

    def forward(self, maps):
        return torch.cat([self.layers(maps + self.place), maps], 1)


class Own(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.encoder = Encoder()
        self.head = nn.Linear(16, num_classes)

    def forward(self, images):
        return self.head(self.encoder(self.stem(images)).mean((2, 3)))
"""


def test_what_holds_most_of_a_network_has_a_row_for_each_of_its_layers(capsys, tmp_path):
    """As torchvision's ViT, whose encoder has all layers; a layer, which has a container too, stays whole."""
    own = tmp_path / "own.py"
    own.write_text(ENCODER)
    options = ("--arch", f"{own}:Own", "--input_image_size", 4, "--no_growth", "--no_ptflops")
    text = said(capsys, analyze_model, *options).out
    rows = [line.split()[:2] for line in text.splitlines()[1:7]]
    layers = [[f"encoder.layers.{i}", "Layer"] for i in range(3)]
    assert rows == [["stem", "Conv2d"], *layers, ["head", "Linear"], ["outside", "its"]]
    # The map of 16 channels that is joined is no layer's output.
    assert f"largest output of a convolution or linear layer {8 * 4 * 4} elements" in text
    found = json.loads(said(capsys, analyze_model, *options, "--json").out)
    assert [block["params"] for block in found["blocks"]] == [32, 72, 72, 72, 85, 8]


# One image of three patches of sixteen numbers: their map, four projections, and twice three times three products a head.
ATTENTION = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, (4, 12), (4, 12))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, num_classes)

    def forward(self, images):
        maps = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.attention(maps, maps, maps, need_weights=False)[0].mean(1))
"""
AS_FUNCTION = (
    "self.attention(maps, maps, maps, need_weights=False)[0]",
    "nn.functional.scaled_dot_product_attention(maps, maps, maps)",
)


def test_attention_is_counted(capsys, tmp_path):
    """As a module, in agreement with ptflops, and as a function; the growth that there is not is said to be missing."""
    patches, projections, products, head = 3 * 16 * 144, 4 * 3 * 16 * 16, 2 * 3 * 3 * 16, 16 * 5
    for code, flops in ((ATTENTION, projections + products), (ATTENTION.replace(*AS_FUNCTION), products)):
        own = tmp_path / f"own{flops}.py"
        own.write_text(code)
        text = said(capsys, analyze_model, "--arch", f"{own}:Own", "--input_image_size", 12).out
        assert f"  {patches + flops + head:,}  " in text.split("total")[1]
        assert "back: unknown, as one block alone gives a map" in text
        assert ("agrees exactly" in text) == (code == ATTENTION), text
    assert "ptflops leaves out products that are functions" in text
    assert torch.backends.mha.get_fastpath_enabled()
    found = json.loads(said(capsys, analyze_model, "--arch", f"{own}:Own", "--input_image_size", 12, "--json").out)
    assert found["mac"] == (432 + 48 + 2304) + (48 + 48 + 9) + (9 + 48 + 48) + (16 + 5 + 80)


def test_what_is_not_counted_is_said(capsys, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\n\n\nclass Own(nn.Module):\n    def __init__(self, num_classes=5):\n"
        "        super().__init__()\n        self.rows = nn.LSTM(24, num_classes, batch_first=True)\n\n"
        "    def forward(self, images):\n        return self.rows(images.transpose(1, 2).flatten(2))[0].mean(1)\n"
    )
    asked = ("--arch", f"{own}:Own", "--input_image_size", 8)
    text = said(capsys, analyze_model, *asked, "--no_ptflops", "--no_growth").out
    assert "leave these operations out: aten::mkldnn_rnn_layer" in text
    assert "unknown, as it was left out (--no_growth)" in text


def test_a_users_own_class_is_analysed(capsys, mine):
    found = json.loads(said(capsys, analyze_model, "--arch", mine, "--input_image_size", 8, "--json").out)
    # 4 x 4 outputs of 27 weights in 4 channels, and 4 x 5 weights; read, written and weights of both layers.
    assert (found["params"], found["flops"]) == (108 + 25, 16 * 108 + 20)
    assert found["mac"] == (3 * 64 + 4 * 16 + 108) + (4 + 5 + 20)
    assert (found["resolution"], found["classes"]) == (8, 5)
    text = said(capsys, analyze_model, "--arch", mine, "--input_image_size", 8).out
    assert "at 8 x 8 pixels (however normalised), 5 classes" in text and "the rest agrees exactly" in text


def test_several_networks_are_a_row_each(capsys, mine):
    arch = f"{SMALL},{mine},nothing"
    out = said(capsys, analyze_model, "--arch", arch).out
    assert "32 x 32       10" in out and "error: There is no network 'nothing'" in out
    rows = json.loads(said(capsys, analyze_model, "--arch", arch, "--json").out)["networks"]
    assert [row["arch"] for row in rows] == [SMALL, mine, "nothing"]
    assert analyze_model.main(["--arch", "nothing,other"]) == 2


def test_scores_of_networks_by_name(capsys, mine):
    common = ("--zero_shot_score", "GradNorm", "--input_image_size", 16, "--batch_size", 4, "--json")
    lines = said(capsys, compute_score, "--arch", f"{SMALL},{mine}", *common).out.splitlines()
    assert [json.loads(line)["structure"] for line in lines] == [SMALL, mine]
    text = said(capsys, compute_score, "--arch", SMALL, "--zero_shot_score", "Params").out
    assert "at 32 x 32 pixels, 10 classes" in text
    assert compute_score.main(["--arch", f"nothing,{SMALL}", "--zero_shot_score", "Params"]) == 1
    assert "cannot score nothing: There is no network" in capsys.readouterr().err


def test_latencies_of_networks_by_name(capsys, mine):
    common = ("--repeat_times", 2, "--input_image_size", 16, "--json")
    found = json.loads(said(capsys, benchmark_network_latency, "--arch", f"{mine},nothing", *common).out)["networks"]
    assert (found[0]["resolution"], found[0]["classes"], found[0]["images"]) == (16, 5, "standard normal noise")
    assert "There is no network" in found[1]["error"]
    # Two passes give the median no interval, which JSON would have as NaN.
    assert found[0]["rows"][0]["interval"] is None
    assert "nan" not in said(capsys, benchmark_network_latency, "--arch", mine, *common[:-1]).out


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("mine.py:Mine", "mine.py:Mine has no structure, by which the detector finds its maps"),
        ("resnet18", "resnet18 has no structure"),
        ("mine.py:Mine,resnet18", "names several networks, and one is wanted here"),
        ("zennet_cifar*", "names several networks"),
        ("zennet", "There is no published network"),
    ],
)
def test_what_no_detector_can_stand_on(arch, words):
    with pytest.raises(InputError, match=words):
        catalogue.structure_of(arch)


def test_several_networks_where_one_is_wanted(mine):
    with pytest.raises(InputError, match="names several networks, and one is wanted here"):
        load_model(f"{mine},resnet18")


def test_export_says_what_images_it_expects(capsys, mine, tmp_path):
    common = (
        "--untrained",
        "--input_image_size",
        16,
        "--format",
        "safetensors",
        "--output",
        tmp_path / "net",
        "--json",
    )
    found = json.loads(said(capsys, export, "--arch", mine, *common).out)
    assert (found["resolution"], found["classes"], found["mean"]) == (16, 5, None)
    found = json.loads(said(capsys, export, "--arch", "resnet18", *common, "--num_classes", 3).out)
    assert (found["classes"], found["mean"], found["std"]) == (3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--build_table", "--operations"), "--operations does nothing with --build_table: leave it out"),
        (("--arch", "resnet18", "--own_precision", "--fp16"), "--fp16 does nothing beside --own_precision"),
        (("--build_table", "--calibration_networks", "3"), "--calibration_networks does nothing with --build_table"),
        (("--calibrate", "--export_onnx", "f"), "--export_onnx does nothing with --calibrate"),
        (("--import_tinynas", "f", "--fp16"), "--fp16 does nothing with --import_tinynas"),
        (("--predict", "--arch", SMALL, "--weights", "f"), "--weights does nothing with --predict"),
        (("--arch", SMALL, "--search_space", "f"), "--search_space does nothing where a network is timed"),
        (("--arch", SMALL, "--batch_size", "2", "--batch_size_list", "1,2"), "--batch_size does nothing beside"),
    ],
)
def test_options_that_a_way_of_working_ignores_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        benchmark_network_latency.main(list(options))


def test_structures_for_what_has_none_are_refused(mine):
    with pytest.raises(InputError, match="has a structure of its own"):
        load_model("resnet18", plainnet_struct=STRUCTURE)
    with pytest.raises(InputError, match="takes no plainnet_struct"):
        load_model(mine, plainnet_struct=STRUCTURE)
    with pytest.raises(InputError, match="--use_se is for structures"):
        load_model("resnet18", use_se=True)
    with pytest.raises(InputError, match="leave --use_se and --unit out"):
        load_model(mine, use_se=True)
    assert isinstance(load_model(mine, num_classes=2), nn.Module)


def test_a_structure_is_a_network(capsys):
    """`--arch TEXT` was split at its commas, and a long one was a file whose name is too long."""
    size = ("--input_image_size", "32", "--num_classes", "10")
    apart = ("--arch", "PlainNet", "--plainnet_struct", LONG)
    figures = said(capsys, analyze_model, *apart, *size, "--json").out
    assert said(capsys, analyze_model, "--arch", LONG, *size, "--json").out == figures
    score = ("--zero_shot_score", "ZenClosedForm", *size, "--json")
    scored = [json.loads(said(capsys, compute_score, *named, *score).out) for named in (apart, ("--arch", LONG))]
    assert scored[0]["score"] == scored[1]["score"]
    checked = ("--untrained", "--dataset", "fake", "--limit", "2", "--batch_size", "2", "--workers", "0", *size)
    for named in (("--arch", LONG), ("--plainnet_struct", LONG)):
        assert "top1" in json.loads(said(capsys, val, *named, *checked, "--json").out)


@pytest.mark.parametrize(
    ("command", "more"),
    [(analyze_model, ()), (export, ("--untrained",)), (val, ("--untrained", "--dataset", "fake", "--limit", "2"))],
)
def test_a_structure_with_a_fault_is_shown_where_it_is(command, more):
    with pytest.raises((StructureError, InputError), match=r"SuperConvK3BNRELU\(3,8,1,1"):
        command.main(["--arch", "SuperConvK3BNRELU(3,8,1,1", *more])


def test_a_folder_may_be_called_as_a_block_is(tmp_path, monkeypatch, capsys):
    (tmp_path / "run(2)").mkdir()
    (tmp_path / "run(2)" / "best.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert names_of("run(2)") == ["run(2)"]
    assert names_of(LONG) == [LONG]


def test_two_structures_are_one_too_many():
    with pytest.raises(InputError, match="has a structure of its own: leave --plainnet_struct out"):
        analyze_model.main(["--arch", STRUCTURE, "--plainnet_struct", LONG])


def test_a_structure_begins_alike_however_it_is_given(tmp_path):
    """As text it was built with torch's own weights, where a file with it began with those of training."""
    file = tmp_path / "mine.txt"
    file.write_text(LONG)
    states = []
    for arch, structure in ((str(file), None), (LONG, None), ("PlainNet", LONG)):
        torch.manual_seed(0)
        states.append(load_model(arch, num_classes=10, plainnet_struct=structure).state_dict())
    for state in states[1:]:
        assert all(torch.equal(value, states[0][name]) for name, value in state.items())
    with pytest.raises(InputError, match=r"No weights of .* or --untrained"):
        load_model(LONG, pretrained=True)


def test_a_structure_is_exported_and_trained_from(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    size = ("--input_image_size", "32", "--num_classes", "10")
    assert export.main(["--arch", LONG, "--untrained", "--format", "safetensors", *size]) == 0
    assert described("network.safetensors").description.normalised_structure() == LONG
    trained = ("--dataset", "fake", "--fake_images", "4", "--epochs", "1", "--batch_size", "2", "--workers", "0", *size)
    assert train_image_classification.main(["--arch", LONG, *trained, "--save_dir", "here"]) == 0
    assert described("here").description.normalised_structure() == LONG


def test_lists_may_have_structures_among_the_names():
    assert names_of(f"resnet18, {LONG},{STRUCTURE}") == ["resnet18", LONG, STRUCTURE]
    assert names_of(f"{STRUCTURE},resnet18") == [STRUCTURE, "resnet18"]


def test_python_takes_the_path_of_a_structure_as_the_scripts_do(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text(STRUCTURE)
    assert str(gsnet.parse(str(file))) == str(gsnet.parse(file)) == STRUCTURE
    with pytest.raises(OSError, match="No such file"):
        gsnet.analyze(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match=r"gsnet\.parse takes structure files"):
        gsnet.load(file)
    with pytest.raises(InputError, match="path is empty"):
        gsnet.load("")


def test_a_structure_is_no_path_to_load():
    with pytest.raises(InputError, match=r"is a structure, which gsnet\.parse takes"):
        gsnet.load(LONG)
