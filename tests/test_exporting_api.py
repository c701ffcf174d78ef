"""`gsnet.export`: the files that the command writes, from Python."""

import copy
import json

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch import nn

import gsnet
from gsnet.api.exporting import RENAMED, ExportOptions
from gsnet.commands import export as command
from gsnet.detection.export_either import add_export_options
from gsnet.interface.script_options import script_parser
from Masternet import MasterNet

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    network = MasterNet(num_classes=3, plainnet_struct=STRUCTURE)
    # Statistics that are not those of a fresh one.
    network(torch.randn(8, 3, 16, 16) * 3 + 1)
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save({"state_dict": network.state_dict()}, file)
    return file


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def content(file):
    """All that is in a file; safetensors itself writes the texts of its header in any order."""
    data = file.read_bytes()
    if file.suffix != ".safetensors":
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_the_file_is_the_commands(kind, weights, tmp_path):
    flags = ["--arch", STRUCTURE, "--weights", str(weights), "--num_classes", "3", "--input_image_size", "16"]
    by_command, by_python = tmp_path / f"command.{kind}", tmp_path / "new folder" / f"python.{kind}"
    assert command.main([*flags, "--format", kind, "--output", str(by_command), "--fp16"]) == 0
    found = gsnet.export(
        gsnet.parse(STRUCTURE), by_python, format=kind, resolution=16, num_classes=3, weights=weights, half=True
    )
    assert content(by_python) == content(by_command)
    assert (found.file, found.files, found.format) == (by_python, (by_python,), kind)
    assert found.size == by_python.stat().st_size
    assert 0 < found.difference < 2e-2
    assert (found.input["resolution"], found.input["classes"], found.forms) == (16, 3, ())
    assert str(by_python) in str(found)


def test_what_python_has_of_a_network_is_named_by_it(weights, tmp_path):
    file = tmp_path / "first.safetensors"
    how = {"format": "safetensors", "resolution": 16, "num_classes": 3}
    gsnet.export(STRUCTURE, file, weights=weights, **how)
    found = gsnet.search(
        STRUCTURE,
        space="XXBL",
        proxy="Params",
        iterations=20,
        resolution=16,
        num_classes=3,
        save_dir=tmp_path / "search",
    )
    for number, same in enumerate((file, str(file), gsnet.load(file))):
        again = gsnet.export(same, tmp_path / f"{number}.safetensors", format="safetensors")
        assert content(again.file) == content(file)
    by_weights = gsnet.export(STRUCTURE, tmp_path / "w.safetensors", weights=gsnet.load(file), format="safetensors")
    assert gsnet.load(by_weights.file).module().state_dict().keys() == gsnet.load(file).module().state_dict().keys()
    for number, same in enumerate((found, found.best)):
        exported = gsnet.export(same, tmp_path / f"s{number}.safetensors", untrained=True, **how)
        assert str(gsnet.load(exported.file).network) == found.best.structure
    # Of the folder it also says what found it.
    assert gsnet.load(tmp_path / "s0.safetensors").description.search["zero_shot_score"] == "Params"


def test_a_module_stays_as_it_is(network, tmp_path):
    module = copy.deepcopy(network).double().train()
    found = gsnet.export(module, tmp_path / "net.onnx", resolution=16)
    assert module.training and next(module.parameters()).dtype is torch.float64
    loaded = gsnet.load(found.file)
    assert str(loaded.network) == STRUCTURE and loaded.description.classes == 3
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module()(images), network(images), rtol=1e-4, atol=1e-5)


def test_a_module_of_another_kind_is_written_too(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    found = gsnet.export(module, tmp_path / "net.pt", format="torchscript", resolution=12)
    images = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(found.file)(images), module(images))
    assert found.input["classes"] == 5


def test_int8_has_a_table_of_both_forms(network, pictures, tmp_path):
    # Random weights are nothing that integers keep well.
    found = gsnet.export(
        network, tmp_path / "net.onnx", resolution=16, int8=True, calibration=pictures, output_error=5.0
    )
    table = pandas.DataFrame(found.forms)
    assert list(table.name) == ["fp32", "int8"]
    assert table["size"][1] == found.size == found.file.stat().st_size
    assert table.output_error[0] < 1e-4 < table.output_error[1] == found.difference
    assert "output error" in str(found)


@pytest.mark.parametrize("ending", [".onnx", ".pt"])
def test_the_file_of_a_module_says_its_classes_and_how_images_reach_it(network, pictures, tmp_path, ending):
    """Names are the given ones in the order of the logits, which are those of the image normalised by hand."""
    said = {"class_names": ["ant", "bee", "cat"], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    form = "onnx" if ending == ".onnx" else "torchscript"
    file = gsnet.export(network, tmp_path / f"net{ending}", format=form, resolution=16, **said).file
    classifier = gsnet.Classifier.load(file)
    assert classifier.class_names == ("ant", "bee", "cat")
    assert (classifier.expected.mean, classifier.expected.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    # An image of one colour stays one, however it is cut.
    colour = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    means, deviations = (torch.tensor(said[name])[None, :, None, None] for name in ("mean", "std"))
    image = (torch.tensor(colour).permute(2, 0, 1)[None] / 255 - means) / deviations
    expected = network(image).softmax(1)[0].detach().numpy()
    np.testing.assert_allclose(classifier(colour).probabilities, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"class_names": ["a", "b"]}, "^class_names has 2 names, and the module 3 classes$"),
        ({"class_names": ["a", "b", "a"]}, "^class_names has a more than once$"),
        ({"class_names": "names.txt"}, "^class_names is 'names.txt': it must be a sequence of names$"),
        ({"mean": [0.5, 0.5, 0.5]}, "^mean goes with std: give both$"),
        ({"mean": 0.5, "std": 0.5}, "^mean is 0.5: it must be three numbers"),
        ({"class_names": ["a", "b", "c"], "format": "litert"}, "^class_names does nothing with format litert"),
    ],
)
def test_what_is_wrongly_said_of_a_module_is_one_sentence(network, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gsnet.InputError, match=sentence):
        gsnet.export(network, resolution=16, **options)
    assert not list(tmp_path.iterdir())


def test_a_network_that_says_itself_what_it_is_takes_no_class_names(weights, tmp_path):
    with pytest.raises(gsnet.InputError, match=r"^class_names is of torch modules, and Super.* is none: leave it out"):
        gsnet.export(STRUCTURE, tmp_path / "net.onnx", weights=weights, resolution=16, class_names=["a", "b", "c"])


def test_what_is_exported_already_is_no_network_to_export(weights, tmp_path):
    file = gsnet.export(STRUCTURE, tmp_path / "net.onnx", weights=weights, resolution=16, num_classes=3).file
    for named in (file, gsnet.load(file), gsnet.load(file).module()):
        with pytest.raises(gsnet.InputError, match=r"net\.onnx is exported already"):
            gsnet.export(named, tmp_path / "again.onnx", resolution=16)
    assert [one.name for one in tmp_path.iterdir() if "again" in one.name] == []


def test_every_flag_of_the_command_is_a_keyword():
    parser = script_parser("", ())
    add_export_options(parser)
    flags = {name.lstrip("-") for action in parser._actions for name in action.option_strings}
    flags -= {"h", "help", "plugin", "config", *RENAMED, "num_classes", "weights", "int8", "calibration", "format"}
    assert flags == set(ExportOptions.__annotations__) - {"class_names", "mean", "std"}


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (STRUCTURE, {}, "give a checkpoint with weights FILE, or untrained=True"),
        (STRUCTURE, {"untrained": True, "weights": "net.pth"}, "untrained=True and weights contradict each other"),
        (STRUCTURE, {"untrained": "yes"}, "^untrained is 'yes': it must be True or False$"),
        (STRUCTURE, {"half": True, "int8": True, "calibration": "."}, "int8=True and half=True contradict each other"),
        (STRUCTURE, {"int8": True}, "int8=True needs calibration FOLDER"),
        (STRUCTURE, {"calibration": "."}, "calibration does nothing without int8=True"),
        (STRUCTURE, {"fuse": False, "format": "ncnn"}, "fuse=False does nothing with format ncnn"),
        (STRUCTURE, {"resolution": 0}, "^resolution: '?0"),
        (STRUCTURE, {"format": "onxx"}, "^format: invalid choice: 'onxx'"),
        (STRUCTURE, {"file": ""}, "^file: an empty text is no path"),
        ("resnet18,resnet34", {}, "names several networks"),
        ("missing/folder", {}, "There is no file or folder missing/folder"),
        ("", {}, "^'' is no network"),
        (3, {}, "^3 is no network"),
        (nn.Flatten(), {}, "^A module does not say which images it takes: give resolution$"),
        (nn.Flatten(), {"weights": "net.pth"}, "^weights does nothing with a module"),
    ],
)
def test_wrong_input_is_one_sentence_of_python(network, options, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gsnet.InputError, match=sentence):
        gsnet.export(network, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "meant"), [("imgsz", "resolution"), ("fp16", "half"), ("top1_los", "top1_loss")])
def test_an_option_that_there_is_not_is_a_type_error(name, meant):
    with pytest.raises(TypeError, match=f"An export has no option '{name}'; did you mean {meant}\\?"):
        gsnet.export(STRUCTURE, **{name: 1})
