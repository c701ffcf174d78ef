"""What a user's own file forgets, mistypes or raises is one sentence that names the place, wherever it comes out."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

import gsnet
import PlainNet
from gsnet.interface.running import run
from gsnet import runtimes
from gsnet.commands import (
    analyze_model,
    compute_score,
    export,
    train_image_classification,
    ts_train_image_classification,
    val,
)
from gsnet.evolution.judging import SearchFailed
from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError
from gsnet.models import described
from gsnet.models.module_costs import analyze_module
from gsnet.models.own import class_network
from gsnet.runtimes import registry
from gsnet.runtimes.comparison import checked_session
from gsnet.runtimes.eager import Torch
from ZeroShotProxy import ProxyFailure

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCK, _, _, PROXY = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[-4:]
MOBILE = "SuperConvK3BNRELU(3,8,1,1)SuperMobileK3(8,16,2,48,2)"


def written(folder, text, old="", new=""):
    """A plugin of a text in which one thing was mistaken for another."""
    assert old in text
    file = folder / "own.py"
    file.write_text(text.replace(old, new))
    return file


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"SuperMobileK3": SuperMobileK3}', '"SuperMobilK3": SuperMobileK3}', "register it under the name of its class"),
        ('"SuperMobileK3": SuperMobileK3}', '"SuperMobileK3": SuperMobilK3}', r"own\.py, line \d+, in register_netblocks"),
        ("    return netblocks_dict | ", "    netblocks_dict | ", "must return the dictionary of blocks that it gets"),
        ('"SuperMobileK3": SuperMobileK3}', '"Nine": 9}', "Nine must be a class with PlainNet.SuperBlock"),
        ("@dataclass(frozen=True)", "", r"write @dataclass\(frozen=True\) above it"),
        ("@dataclass(frozen=True)", "@dataclass", r"write @dataclass\(frozen=True\) above it"),
        ("def layer(", "def layr(", r"must define layer\(self, in_channels, stride, first, style\)"),
        ("(self, in_channels, stride, first, style)", "(self, in_channels, stride)", r"must define layer\(self, in_channels,"),
        ("    stride: int\n", "", "stride is missing"),
        ("    sub_layers: int\n", "    sub_layers: int\n    kernel: int\n", "sub_layers as its last field, not kernel"),
        ("(SuperBlock)", "(Block)", r"must define cost\(size, style\), or have PlainNet.SuperBlock as base"),
    ],
)  # fmt: skip
def test_what_is_no_block_is_said_when_its_file_is_loaded(old, new, told, tmp_path, registries):
    with pytest.raises(InputError, match=told):
        gsnet.load_plugin(written(tmp_path, "from PlainNet import Block\n" + BLOCK, old, new))
    assert "SuperMobileK3" not in PlainNet.registered_blocks()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("wide = self.bottleneck_channels", "wide = self.bottleneck", r"own\.py, line \d+, in layer: AttributeE"),
        ("        return residual", "        residual", "must return a tuple of blocks, at least one, not None"),
        ("return residual(body, style) if", "return RELU(wide) if wide or", "must return a tuple of blocks"),
        ("self.out_channels, 1, 1, style)", "self.out_channels + 1, 1, 1, style)", "give 16, but reads 8 and gives 17"),
        ("depthwise_bn(wide, 3", "depthwise_bn(wide // 2, 3", "blocks that do not fit: ConvDW(24,3,2) expects 24 channels"),
        ("self.bottleneck_channels", "self.bottleneck_channels / 2", "channels must be a whole number"),
        ("3, stride, style)", "3, 1, style)", "smaller by its stride, 2, but its blocks make 256 pixels to 256"),
    ],
)  # fmt: skip
def test_a_layer_that_is_not_what_its_block_says_is_told(old, new, told, tmp_path, registries):
    gsnet.load_plugin(written(tmp_path, BLOCK, old, new))
    told = told if "line" in told else re.escape(told)
    for question in (lambda n: n.cost(32), lambda n: gsnet.score(n, "ZenClosedForm", resolution=32)):
        with pytest.raises((PlainNet.StructureError, ProxyFailure), match=rf"SuperMobileK3\(8,16,2,48,1\): .*{told}"):
            question(gsnet.parse(MOBILE))


def test_a_block_that_nobody_registered_is_told(tmp_path, registries, caplog):
    gsnet.load_plugin(written(tmp_path, BLOCK, "def register_netblocks_dict", "def register_netblock_dict"))
    assert "defines SuperMobileK3, but registers no block: give it register_netblocks_dict" in caplog.text
    caplog.clear()
    (tmp_path / "more").mkdir()
    gsnet.load_plugin(written(tmp_path / "more", PROXY))
    assert not caplog.text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Needs.VALUE", "'value'", "Width must be Needs.VALUE or Needs.MODULE or Needs.GRADIENT, not 'value'"),
        ("(network: Network, context: ScoringContext)", "(network)", r"must take a network and a context"),
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_said_when_its_file_is_loaded(old, new, told, tmp_path, registries):
    with pytest.raises(InputError, match=told):
        gsnet.load_plugin(written(tmp_path, PROXY, old, new))


@pytest.mark.parametrize("needs", ["VALUE", "MODULE"])
def test_a_proxy_that_fails_for_some_networks_does_not_end_a_search(needs, tmp_path, registries, monkeypatch, capsys):
    body = (
        'if network.num_classes == 9 or "K5" in str(network): raise KeyError("odd")\n    return 1.0 + len(str(network))'
    )
    if needs == "VALUE":
        body = body.replace("network.num_classes", "context.settings.num_classes")
    own = written(
        tmp_path, PROXY.replace("Needs.VALUE", f"Needs.{needs}"), PROXY.partition('better."""\n    ')[2], body
    )
    gsnet.load_plugin(own)
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,8,2,8,1)"
    with pytest.raises(ProxyFailure, match=r"own\.py, line \d+, in width_score: KeyError: 'odd'"):
        gsnet.score(start, "Width", resolution=8, num_classes=9)
    monkeypatch.setattr(sys, "argv", ["compute_score.py"])
    asked = ["--plainnet_struct", start, "--zero_shot_score", "Width", "--num_classes", "9", "--input_image_size", "8"]
    assert run(lambda: compute_score.main(asked)) == 1
    assert "Width cannot score" in capsys.readouterr().err
    if needs == "VALUE":
        found = gsnet.search(start, space="XXBL", proxy="Width", iterations=40, population_size=8, resolution=8)
        assert {"failed", "scored"} <= set(found.history["outcome"]) and found.iterations == 40


def test_a_function_of_a_programs_own_fails_as_it_does():
    def proxy(network):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gsnet.search("SuperConvK3BNRELU(3,8,1,1)", space="XXBL", proxy=proxy, iterations=3)


class Session(runtimes.Session):
    def __init__(self, output):
        self.output = output

    def run(self, images):
        return self.output(images)


class Mine(runtimes.Runtime):
    name = "mine"
    suffixes = (".pt",)
    opened: object = None

    def write(self, network, file, size, output, *, half, texts=()):
        Torch().write(network, file, size, output, half=half)

    def open(self, file, settings):
        return self.opened


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Mine, r"must be an object of a subclass of gsnet.runtimes.Runtime, not .*: Mine\(\) is meant"),
        (type("NoName", (Mine,), {"name": ""})(), "NoName has no name"),
        (type("OneText", (Mine,), {"suffixes": ".pt"})(), r"must have suffixes, a tuple .*, not '\.pt'"),
        (type("NoFile", (Mine,), {"suffixes": ()})(), r"must have suffixes, a tuple"),
        (
            type("Old", (Mine,), {"write": lambda self, network, file, size: None})(),
            r"must define write\(self, network, file",
        ),
        (type("Bare", (Mine,), {"open": lambda self, file: None})(), r"must define open\(self, file, settings\)"),
    ],
)
def test_what_is_no_runtime_is_said_when_it_is_registered(made, told):
    with pytest.raises(ValueError, match=told):
        runtimes.register(made)


@pytest.mark.parametrize(
    ("opened", "told"),
    [
        (None, "mine must open a gsnet.runtimes.Session, not None"),
        (Session(lambda images: [images]), r"an array of shape \(1, 4\) for 1 images, and gives a list"),
        (Session(lambda images: None), "and gives a NoneType"),
        (Session(lambda images: images[0, 0, 0]), r"and gives one of shape \(8,\)"),
        (Session(lambda images: images[:, 0, 0, :3]), r"and gives one of shape \(1, 3\)"),
        # Which numpy would compare with each of four.
        (Session(lambda images: images[:, 0, 0, :1]), r"and gives one of shape \(1, 1\)"),
        (type("Deaf", (Session,), {"run": lambda self: None})(None), r"Deaf must define run\(self, images\)"),
    ],
)
def test_what_a_runtime_of_ones_own_gives_is_looked_at(opened, told, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(type("Opening", (Mine,), {"opened": opened})())
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4)).eval()
    with pytest.raises(runtimes.RuntimesError, match=told):
        checked_session("mine", network, (8, 8), runtimes.Settings())


NETWORK = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.convolution = nn.Conv2d(3, num_classes, 3)

    def forward(self, images):
        return self.convolution(images).mean((2, 3))
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("self.convolution = ", "self.n = self.no; self.convolution = ", r"cannot be made: .*own\.py, line 9, in __init__"),
        ("def forward", "def foward", r"Own has no forward\(self, images\)"),
        ("self.convolution(", "self.convolve(", r"own\.py, line 12, in forward: AttributeError"),
        ("Conv2d(3", "Conv2d(4", r"own\.py, line 12, in forward: RuntimeError: Given groups=1"),
    ],
)  # fmt: skip
def test_a_network_of_ones_own_that_fails_names_file_and_line(
    old, new, told, tmp_path, registries, monkeypatch, capsys
):
    own = written(tmp_path, NETWORK, old, new)
    asked = ["--arch", f"{own}:Own", "--input_image_size", "8", "--num_classes", "3"]
    judged = [*asked, "--untrained", "--dataset", "fake", "--workers", "0"]
    for main, options in ((analyze_model.main, asked), (val.main, judged)):
        monkeypatch.setattr(sys, "argv", ["script.py"])
        assert run(lambda main=main, options=options: main(options)) == 2
        (sentence,) = capsys.readouterr().err.strip().splitlines()
        assert sentence.startswith("script.py: ") and re.search(told, sentence)


def test_classes_of_what_is_no_vector_of_logits_are_its_channels(tmp_path, registries):
    own = written(
        tmp_path, NETWORK, "return self.convolution(images).mean((2, 3))", "return {'out': self.convolution(images)}"
    )
    analysis = analyze_module(class_network(f"{own}:Own", 3, None, PlainNet.Style()), "own", 8)
    assert analysis.num_classes == 3 and analysis.blocks[-1].output_shape == (3, 6, 6)


READER = """
import torch
from PIL import Image
from gsnet.data import register_data_set


class Leaves(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 20

    def __getitem__(self, place):
        return self.transform(Image.new("RGB", (9, 9))), place % 7


def read(settings, train, transform):
    return Leaves(transform)


register_data_set("leaves", classes=7, read=read)
"""


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("place % 7", "place % 8", r"Image \d+ that the reader of leaves gives has the label 7, but .* from 0 to 6"),
        (
            "place % 7",
            "place % 6",
            "reader of leaves gives has the label 5, but a label must be a whole number from 0 to 4",
        ),
        ("place % 7", "'oak'", "must have a whole number as label, not 'oak'"),
        (", place % 7", "", "must be a pair of an image and a label, not of type Image"),
        ('self.transform(Image.new("RGB", (9, 9)))', "Image.new('RGB', (9, 9))", "what transform"),
        ("return Leaves", "Leaves", "must return a torch Dataset with __len__ and __getitem__, not None"),
        ("def __len__", "def length", "must return a torch Dataset with __len__"),
        ("settings, train, transform):", "settings):", r"must take read\(settings, train, transform\)"),
        ("place % 7", "self.labels[place]", r"own\.py, line 15, in __getitem__: AttributeError"),
    ],
)
def test_what_a_reader_of_ones_own_gives_is_looked_at(
    old, new, told, workers, tmp_path, registries, monkeypatch, capsys
):
    own = written(tmp_path, READER, old, new)
    (tmp_path / "small.txt").write_text("SuperConvK3BNRELU(3,8,2,1)")
    options = ["--arch", str(tmp_path / "small.txt"), "--dataset", "leaves", "--input_image_size", "8", "--epochs", "1"]
    options += ["--warmup", "0", "--batch_size", "4", "--workers", workers, "--save_dir", str(tmp_path / "made")]
    # Of fewer classes than the data set says that it has.
    options += ["--num_classes", "5"] * (new == "place % 6")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert run(lambda: train_image_classification.main([*options, "--plugin", str(own)])) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py: ")]
    assert len(said) == 1 and re.search(told, said[0])


@pytest.mark.parametrize(
    ("who", "old", "new", "told"),
    [
        ("The network", "num_classes, 3)", "4, 3)", "gives logits of 4 classes, but 10 are asked for"),
        ("The teacher", "num_classes, 3)", "4, 3)", "gives logits of 4 classes, but 10 are asked for"),
        ("The teacher", ".mean((2, 3))", "", "gives a tensor (8, 10, 6, 6) for a batch of images, and no logits"),
        ("The teacher", "return ", "return None, ", "gives a tuple for a batch of images, and no logits"),
    ],
)  # fmt: skip
def test_logits_of_ones_own_network_are_those_that_are_asked_for(who, old, new, told, tmp_path, registries):
    arch = f"{written(tmp_path, NETWORK, old, new)}:Own"
    (tmp_path / "small.txt").write_text("SuperConvK3BNRELU(3,8,2,1)")
    options = ["--dataset", "fake", "--fake_images", "16", "--input_image_size", "8", "--epochs", "1", "--warmup", "0"]
    options += ["--batch_size", "8", "--workers", "0", "--save_dir", str(tmp_path / "made")]
    main = train_image_classification.main
    if who == "The teacher":
        main = ts_train_image_classification.main
        options += ["--teacher_arch", arch, "--teacher_untrained", "--teacher_logit_weight", "1"]
        arch = str(tmp_path / "small.txt")
    with pytest.raises(InputError, match=f"^{re.escape(f'{who} {told}')}"):
        main(["--arch", arch, *options])


TUPLES = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
)


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = TUPLES

    def forward(self, images):
        return self.one(images), self.one(images)


@pytest.mark.parametrize("proxy", ["GradNorm", "Syncflow", "TE-NAS-NTK", "ZiCo", "Jacov", "WRCor", "Dextr", "VKDNW"])
def test_a_module_without_logits_is_a_reason_and_no_traceback(proxy):
    with pytest.raises(ProxyFailure, match=r"the network gives a tuple for a batch of images, and no logits"):
        gsnet.score(Pair(), proxy, resolution=8, batch_size=2)
    found = gsnet.compare(Pair(), "SuperConvK3BNRELU(3,8,2,1)", proxies=proxy, resolution=8, num_classes=4)
    assert [bool(reason) for reason in found["error"]] == [True, False]


def fails_after_start(network):
    return "wide"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"proxy": fails_after_start}, "failed; of the failed 1 for this reason: the score is 'wide', which is no number"),
        ({"budgets": {"mine": (fails_after_start, 3)}}, "mine of a network is 'wide', which is no number"),
        ({"callback": 3}, "callback is 3: it must be a function"),
    ],
)  # fmt: skip
def test_functions_that_give_no_number_are_told_with_the_reason(wrong, told):
    with pytest.raises((gsnet.SearchError, SearchFailed, InputError), match=told):
        gsnet.search("SuperConvK3BNRELU(3,8,1,1)", space="XXBL", **{"proxy": "Flops", "iterations": 10} | wrong)


def test_what_is_no_path_is_not_loaded():
    with pytest.raises(InputError, match="path is 3: it must be that of a results folder"):
        gsnet.load(3)


def test_a_network_of_a_block_of_ones_own_asks_for_its_file(tmp_path, registries):
    described = NetworkDescription(structure=MOBILE, resolution=32, classes=10)
    text = described.to_json()
    with pytest.raises(
        InputError, match=r"if the block is of a file of your own, name it: --plugin FILE\.py\): No block"
    ):
        NetworkDescription.from_json(text)
    gsnet.load_plugin(written(tmp_path, BLOCK))
    assert NetworkDescription.from_json(text) == described


def test_failures_of_a_plugins_proxy_are_the_same_in_scoring_processes(tmp_path, registries):
    body = 'if "K5" in str(network): raise KeyError("odd")\n    return 1.0 + len(str(network))'
    gsnet.load_plugin(written(tmp_path, PROXY, PROXY.partition('better."""\n    ')[2], body))
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,8,2,8,1)"
    options = {"space": "XXBL", "proxy": "Width", "iterations": 40, "population_size": 8, "round_size": 8}
    alone, several = (gsnet.search(start, **options, workers=workers) for workers in (1, 2))
    assert "failed" in alone.history["outcome"]
    for column in ("structure", "outcome", "reason", "score"):
        assert alone.history[column] == several.history[column]


NORMALISED = NETWORK.replace("3)", "3)\n        self.norm = nn.BatchNorm2d(num_classes)", 1).replace(
    "self.convolution(images)", "self.norm(self.convolution(images))"
)


def test_weights_of_a_class_of_ones_own_say_what_they_are(tmp_path, noise_images, registries, capsys):
    """What they learnt, with which constants and where, beside the class that they are loaded into."""
    own, folder = f"{written(tmp_path, NORMALISED)}:Own", tmp_path / "training"
    data = ("--dataset", "image_folder", "--data_dir", str(noise_images), "--input_image_size", "8")
    how = ("--epochs", "2", "--batch_size", "8", "--workers_per_gpu", "0", "--lr", "0.1", "--bn_eps", "0.5")
    assert train_image_classification.main([*data, *how, "--arch", own, "--save_dir", str(folder)]) == 0
    best = torch.load(folder / "best-params_rank0.pth", weights_only=True)["description"]
    capsys.readouterr()
    assert val.main(["--arch", own, "--weights", str(folder), "--workers", "0", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["dataset"] == "image_folder" and figures["resolution"] == 8
    assert {name: figures[name] for name in ("top1", "loss")} == {n: best["accuracy"][n] for n in ("top1", "loss")}
    # Pictures of some of the classes count as the training counted them.
    few = tmp_path / "few"
    for name in ("3", "7"):
        shutil.copytree(noise_images / "test" / name, few / "val" / name)
    asked = ["--arch", own, "--weights", str(folder), "--workers", "0", "--data_dir", str(few), "--json", "--per_class"]
    assert val.main(asked) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["class_names"] == [str(number) for number in range(10)]
    assert [number for number, share in enumerate(figures["per_class"]) if share is not None] == [3, 7]
    file = tmp_path / "own.pt"
    made = ["--arch", own, "--weights", str(folder), "--format", "torchscript", "--output", str(file)]
    assert export.main(made) == 0
    told = described(str(file)).description
    assert told.class_names == tuple(figures["class_names"]) and told.accuracy == best["accuracy"]
