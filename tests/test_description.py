"""Networks that say of themselves what they are: searched, trained and exported ones, by the path of their folder alone."""

import csv
import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import gsnet
import ZenNet
from gsnet.commands import (
    analyze_model,
    benchmark_network_latency,
    compare,
    compute_score,
    evolution_search,
    export,
    train_image_classification,
    val,
)
from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError, device_name
from gsnet.models import described, expected_input, load_model, structure_of
from gsnet.models.described import Described, chosen

START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,1)SuperGhostShuffleK3(16,16,2,16,1)"
    "SuperConvK1BNRELU(16,32,1,1)"
)
DESCRIPTION = NetworkDescription(START, resolution=32, classes=10, use_se=True, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))


def run(command, *arguments):
    assert command.main([str(argument) for argument in arguments]) == 0


def told(capsys, command, *arguments):
    """What a command prints with --json."""
    capsys.readouterr()
    run(command, *arguments, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, noise_images):
    """A search with squeeze-and-excitation at 24 pixels, and two epochs of training of what it found."""
    folder = tmp_path_factory.mktemp("mine")
    run(
        evolution_search,
        *("--zero_shot_score", "ZenClosedForm", "--origin", "--fix_initialize", "--plainnet_struct", START),
        *("--search_space", "ghostshuffle", "--evolution_max_iter", 60, "--population_size", 8, "--use_se"),
        *("--budget_model_size", "50e3", "--max_layers", 8, "--input_image_size", 24, "--save_dir", folder),
    )
    data = ("--dataset", "cifar10", "--data_dir", noise_images, "--batch_size", 16, "--workers", 0)
    settings = (
        "--epochs",
        2,
        "--ema",
        0.9,
        "--bn_eps",
        0.01,
        "--weight_init",
        "custom",
        "--save_dir",
        folder / "training",
    )
    run(train_image_classification, "--arch", folder, *data, *settings)
    return folder


def test_a_searchs_folder_is_analysed_as_the_search_did(folder, capsys):
    best = json.loads((folder / "best.json").read_text())
    for arch in (
        ("--arch", folder),
        ("--plainnet_struct_txt", folder / "best_structure.txt"),
        ("--arch", folder / "training"),
    ):
        found = told(capsys, analyze_model, *arch)
        wanted = ("structure", "params", "flops", "mac", "layers")
        assert {name: found[name] for name in wanted} == {name: best[name] for name in wanted}
        assert (found["resolution"], found["classes"]) == (24, 10)
    for row in told(capsys, compare, folder, folder / "training")["networks"]:
        found = (row["structure"], row["parameters"], row["flops"], row["memory_access"], row["layers"])
        assert found == tuple(best[name] for name in wanted)
    score = told(capsys, compute_score, "--arch", folder, "--zero_shot_score", "ZenClosedForm")
    assert score["score"] == pytest.approx(best["score"])
    found = told(capsys, benchmark_network_latency, "--arch", folder, "--repeat_times", 2)
    assert (found["resolution"], found["classes"]) == (24, 10)


def test_validation_repeats_the_trainings_last_digit(folder, capsys):
    with (folder / "training/log.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = torch.load(folder / "training/best-params_rank0.pth", weights_only=True)
    for arch, epoch in ((folder / "training", best["epoch"]), (folder / "training/latest-params_rank0.pth", 1)):
        for option in ("--arch", "--weights"):
            found = told(capsys, val, option, arch, "--workers", 0)
            assert found["loss"] == float(rows[epoch]["val_loss"])
            assert (found["top1"], found["top5"]) == tuple(float(rows[epoch][f"val_acc{n}"]) for n in (1, 5))
            assert (found["dataset"], found["resolution"], found["images"]) == ("cifar10", 24, 10)


@pytest.mark.parametrize("kind", ["safetensors", "torchscript"])
def test_exported_files_say_what_they_are(folder, tmp_path, capsys, kind):
    file = tmp_path / {"safetensors": "a.safetensors", "torchscript": "a.pt"}[kind]
    run(export, "--arch", folder / "training", "--format", kind, "--output", file)
    assert described(file).description == described(folder / "training").description
    if kind == "safetensors":
        wanted = told(capsys, val, "--arch", folder / "training", "--workers", 0, "--dataset", "cifar10")
        found = told(capsys, val, "--arch", file, "--workers", 0, "--data_dir", described(folder / "training").data_dir)
        assert found["top1"] == wanted["top1"] and found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    assert told(capsys, analyze_model, "--arch", file)["resolution"] == 24


def test_exported_weights_have_no_accuracy_of_others(folder, tmp_path):
    """Random ones, those of a file that says nothing of itself, and those that see images of another size."""
    file, other = tmp_path / "a.safetensors", tmp_path / "other.pth"
    torch.save(load_model(str(folder / "training")).state_dict(), other)
    own = described(folder / "training").description
    for options in (("--untrained",), ("--weights", other), ("--input_image_size", 32)):
        run(export, "--arch", folder / "training", "--format", "safetensors", "--output", file, *options)
        found = described(file).description
        assert found.accuracy == {} and own.accuracy
        assert found.dataset == (None if "--input_image_size" not in options else own.dataset)
        assert (found.structure, found.search) == (own.structure, own.search)


def test_a_file_in_int8_has_no_accuracy_of_its_network(folder, tmp_path, capsys):
    """What a network got right in float32 its integers may not; it is another file of the same network."""
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    file, pictures = tmp_path / "a.onnx", tmp_path / "pictures"
    pictures.mkdir()
    for number, noise in enumerate(np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)):
        Image.fromarray(noise).save(pictures / f"{number}.png")
    int8 = ("--int8", "--calibration", pictures, "--output_error", 10)
    written = told(capsys, export, "--arch", folder / "training", "--output", file, *int8)
    own, found = described(folder / "training").description, described(file).description
    assert own.accuracy and found.accuracy == {}
    assert (found.structure, found.dataset) == (own.structure, own.dataset)
    assert written["arch"] == str(folder / "training")


def test_a_search_of_before_is_known_by_its_settings(folder, tmp_path):
    """Without the description, as older versions wrote best.json."""
    best = json.loads((folder / "best.json").read_text())
    del best["description"]
    (tmp_path / "best.json").write_text(json.dumps(best))
    config = json.loads((folder / "config.json").read_text())
    script, *arguments = "gsnet/evolution_search.py", "--plugin=/home/somebody/my block.py", "--save_dir", "save/a"
    config["arguments"] = [f"/home/somebody/{script}", *arguments, "--latency_table", "/home/somebody/a phone.db"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    now, before = described(folder).description, described(tmp_path).description
    names = ("structure", "resolution", "classes", "use_se", "no_BN", "seed")
    assert [getattr(before, n) for n in names] == [getattr(now, n) for n in names]
    assert structure_of(str(tmp_path)) == structure_of(str(folder))
    # Where the script and its files lay is left out of what may be published.
    command = "evolution_search.py '--plugin=my block.py' --save_dir save/a --latency_table 'a phone.db'"
    assert before.search["command"] == command


def test_what_is_given_wins_and_is_said(folder, capsys):
    analyze_model.main(["--arch", str(folder), "--json", "--input_image_size", "32", "--num_classes", "5"])
    written = capsys.readouterr()
    found = json.loads(written.out)
    assert (found["resolution"], found["classes"]) == (32, 5)
    assert "at 32 x 32 pixels, as asked for: it says itself that its images are 24 x 24 pixels" in written.err
    structure_of(str(folder), unit="deployed")
    words = "with the deployed GhostShuffle unit, as asked for: it says itself that it is with the searched GhostShuffle unit"
    assert words in capsys.readouterr().err
    chosen(Described(NetworkDescription(START, resolution=32, classes=10), folder), use_se=True)
    words = "with squeeze-and-excitation, as asked for: it says itself that it is without squeeze-and-excitation"
    assert words in capsys.readouterr().err


def test_errors_are_one_sentence(folder, tmp_path, capsys):
    with pytest.raises(InputError, match=r"has no weights; one was trained in .*training"):
        val.main(["--arch", str(folder), "--dataset", "fake"])
    for command in (val, analyze_model, compute_score):
        with pytest.raises(InputError, match=r"There is no file or folder .*nothing"):
            command.main(["--arch", str(tmp_path / "nothing")])
    with pytest.raises(InputError, match="holds no results"):
        val.main(["--arch", str(tmp_path)])
    with pytest.raises(InputError, match=r"best\.json is a part of the results folder .*: name the folder"):
        analyze_model.main(["--arch", str(folder / "best.json")])
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "others.pth")
    for option in ("--arch", "--weights"):
        with pytest.raises(InputError, match="does not say what it is of: name"):
            val.main([option, str(tmp_path / "others.pth")])
    other = "SuperConvK3BNRELU(3,8,1,1)"
    with pytest.raises(InputError, match="is of another structure than --arch PlainNet"):
        load_model("PlainNet", plainnet_struct=other, weights=str(folder / "training"))
    with pytest.raises(InputError, match="have 10 classes, not 5"):
        val.main(["--arch", str(folder / "training"), "--num_classes", "5"])
    assert "the classifier starts anew" not in capsys.readouterr().err
    with pytest.raises(InputError, match=r"has no weights; one was trained in .*training"):
        val.main(["--arch", str(folder), "--dataset", "fake", "--num_classes", "5"])
    torch.save({"description": DESCRIPTION.to_dict() | {"new": 1}}, tmp_path / "later.pth")
    with pytest.raises(InputError, match=r"later\.pth: .* of a later version"):
        described(tmp_path / "later.pth")
    torch.save({"description": replace(DESCRIPTION, dataset="mine").to_dict()}, tmp_path / "mine.pth")
    with pytest.raises(InputError, match=r"was trained on mine, which is not known here: load its --plugin"):
        val.main(["--arch", str(tmp_path / "mine.pth")])
    torch.save({"description": replace(DESCRIPTION, structure=None, arch="x.py:Net").to_dict()}, tmp_path / "own.pth")
    with pytest.raises(InputError, match="run only where it is named"):
        load_model(str(tmp_path / "own.pth"))


def test_a_training_of_ones_own_class_says_what_to_give_beside_it(tmp_path):
    """The class's file is run only where it is named: each function says the very arguments that do it."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, num_classes=10):\n        super().__init__()\n"
        "        self.fc = nn.Linear(3, num_classes)\n\n    def forward(self, x):\n        return self.fc(x.mean((2, 3)))\n"
    )
    name, file = f"{tmp_path}/mine.py:Net", tmp_path / "own.pth"
    network = load_model(name)
    description = replace(DESCRIPTION, structure=None, use_se=False, arch=name, bn_eps=None, bn_momentum=None)
    torch.save({"state_dict": network.state_dict(), "description": description.to_dict()}, file)
    words = f"only where it is named: give the class, or {name!r}, in its place, with weights={str(file)!r}"
    validate = partial(gsnet.validate, dataset="fake", workers=0, limit=4)
    for function in (validate, gsnet.export, gsnet.Classifier.load):
        with pytest.raises(InputError, match=re.escape(words) + "$"):
            function(str(file))
    assert validate(name, weights=str(file)).images == 4
    with pytest.raises(InputError, match=re.escape(f"named: give --arch {name} and --weights {file}") + "$"):
        val.main(["--arch", str(file), "--dataset", "fake"])
    (tmp_path / "mine.py").unlink()
    with pytest.raises(InputError, match=re.escape("give the class, or 'FILE.py:Net', in its place")):
        validate(str(file))


def test_a_description_comes_back_from_its_text():
    assert NetworkDescription.from_json(DESCRIPTION.to_json()) == DESCRIPTION
    assert DESCRIPTION.style.use_se
    for wrong in ({"classes": 0}, {"resolution": "x"}, {"mean": [1, 2]}, {"unit": "x"}, {"structure": "X("}):
        with pytest.raises(InputError, match="A description of a network"):
            NetworkDescription.from_dict(DESCRIPTION.to_dict() | wrong)


def test_weights_without_batch_normalisation_and_of_other_classes(folder, caplog):
    """A head of other classes starts anew where a training begins; batch normalisation's eps is the training's."""
    caplog.set_level("INFO")
    network = load_model(str(folder / "training"), num_classes=3, pretrained=True).eval()
    assert network(torch.zeros(1, 3, 24, 24)).shape == (1, 3)
    assert "the classifier starts anew, with 3 classes instead of 10" in caplog.text
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.01}
    seen = expected_input(str(folder / "training"))
    assert (seen.resolution, seen.crop_mode, seen.assumed) == (24, "squash", False)


def test_python_loads_what_the_scripts_do(folder):
    assert gsnet.load(folder).settings.use_se and gsnet.load(folder).finished
    trained = gsnet.load(folder / "training")
    assert trained.description.accuracy["images"] == 10 and trained.expected.mean == (0.4914, 0.4822, 0.4465)
    assert trained.network == gsnet.parse(folder) == gsnet.load(folder).best.network
    best = json.loads((folder / "best.json").read_text())
    for path in (folder, str(folder), folder / "training"):
        assert gsnet.analyze(path).flops == best["flops"] and gsnet.analyze(path).parameters == best["params"]
    assert gsnet.score(folder, "ZenClosedForm") == pytest.approx(best["score"])
    state = trained.module().state_dict()
    saved = torch.load(folder / "training/best-params_rank0.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(state[key], saved[key]) for key in saved)
    with pytest.raises(gsnet.InputError, match="There is no file or folder"):
        gsnet.load(folder / "nothing.pth")
    with pytest.raises(gsnet.InputError, match=r"resnet18 is no structure, and no file .* gsnet\.compare takes names"):
        gsnet.analyze("resnet18")


def test_a_training_that_was_loaded_is_compared_with_its_results(folder):
    loaded, named = gsnet.compare(gsnet.load(folder / "training")), gsnet.compare(folder / "training")
    assert (
        loaded.to_dict() == named.to_dict() and named["epochs"] == [2] and named["arch"] == [str(folder / "training")]
    )


def test_several_networks_are_rows_of_a_table_also_those_that_fail(folder, noise_images, tmp_path, capsys):
    """Every script takes a wildcard over folders, goes on after a network that fails, and writes what it found."""
    torch.save({"state_dict": {}}, folder / "training/other.pth")
    arch = f"{folder}/*,{folder}/training/other.pth"
    commands = {
        val: ("--data_dir", noise_images, "--dataset", "cifar10", "--workers", 0),
        analyze_model: (),
        benchmark_network_latency: ("--repeat_times", 2, "--device", "cpu"),
    }
    for command, options in commands.items():
        rows = told(capsys, command, "--arch", arch, *options, "--csv", tmp_path / "rows.csv")["networks"]
        assert "does not say what it is of" in rows[-1]["error"], command
        with (tmp_path / "rows.csv").open() as file:
            table = list(csv.DictReader(file))
        assert [row["arch"] for row in table] == [row["arch"] for row in rows]
        trained = next(row for row in table if row["arch"] == str(folder / "training"))
        assert trained["resolution"] == "24" and not trained["error"] and table[-1]["error"] == rows[-1]["error"]
    assert compute_score.main(["--arch", arch, "--zero_shot_score", "Params", "--device", "cpu"]) == 1
    # Of meta's tensors there are shapes alone.
    for device in ("cuda:77", "meta"):
        with pytest.raises(InputError, match=f"torch has no device '{device}' here"):
            compute_score.main(["--arch", str(folder), "--zero_shot_score", "Params", "--device", device])
    assert device_name(None, "cpu:0") == device_name(None, torch.device("cpu")) == "cpu"
    with pytest.raises(InputError, match=r"torch has no device 0\.5 here"):
        device_name(None, 0.5)


def test_a_published_folder_is_loaded_by_timm(folder, tmp_path, capsys):
    target = tmp_path / "network"
    with pytest.raises(InputError, match="holds other results"):
        run(export, "--arch", folder / "training", "--format", "safetensors", "--folder", folder)
    run(export, "--arch", folder / "training", "--format", "safetensors", "--folder", target, "--license", "apache-2.0")
    ZenNet.register_with_timm()
    theirs = timm.create_model(f"local-dir:{target}", pretrained=True).eval()
    ours = load_model(str(folder / "training"), pretrained=True).eval()
    images = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(theirs(images), ours(images))
    seen = timm.data.resolve_model_data_config(theirs)
    assert (list(seen["input_size"]), list(seen["mean"]), seen["crop_pct"]) == (
        [3, 24, 24],
        [0.4914, 0.4822, 0.4465],
        1.0,
    )
    card = (target / "README.md").read_text()
    best = json.loads((folder / "best.json").read_text())
    for words in (f"| parameters | {best['params']:,} |", "parameters 50,000", "layers 8", 'license: "apache-2.0"'):
        assert words in card
    assert told(capsys, analyze_model, "--arch", target)["flops"] == best["flops"]
