"""`gsnet.validate`: the figures of val.py, from Python."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gsnet
from gsnet.api.validating import RENAMED, ValidationOptions, validate
from gsnet.commands import train_image_classification, val
from gsnet.validation.options import folder_parser

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


class Brightest(nn.Module):
    """The brightest of the channels blue, green, red: logit 2 for it, 0 for the others."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return nn.functional.one_hot(x.mean(dim=(2, 3)).flip(1).argmax(1), 3) * self.scale


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A folder of 11 plain pictures, of which three have a wrong colour: two reds that are green, a blue that is red."""
    root = tmp_path_factory.mktemp("colours")
    content = {"blue": ["blue"] * 3 + ["red"], "green": ["green"] * 2, "red": ["red"] * 3 + ["green"] * 2}
    for split in ("train", "val"):
        for name, pictures in content.items():
            (root / split / name).mkdir(parents=True)
            for i, colour in enumerate(pictures):
                Image.new("RGB", (12, 8), COLOURS[colour]).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def trained(colours, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "run"
    how = ["--plainnet_struct", STRUCTURE, "--dataset", "image_folder", "--data_dir", str(colours), "--workers", "0"]
    how += ["--input_image_size", "8", "--epochs", "3", "--batch_size", "4", "--save_dir", str(folder)]
    assert train_image_classification.main(how) == 0
    return folder


def test_figures_worked_out_by_hand(colours, tmp_path):
    module = Brightest().double().train()
    found = gsnet.validate(module, colours, resolution=8, workers=0, confusion=tmp_path / "c.png")
    assert (found.images, found.top1, found.top5) == (11, pytest.approx(100 * 8 / 11), 100)
    # Right: -log(e^2 / (e^2 + 2)); wrong: log(e^2 + 2).
    right, wrong = math.log(1 + 2 / math.e**2), math.log(math.e**2 + 2)
    assert found.loss == pytest.approx((8 * right + 3 * wrong) / 11, rel=1e-5)
    assert found.class_names == ("blue", "green", "red")
    # Nothing names the data set.
    assert found.dataset == "image_folder"
    assert found.per_class == (75, 100, 60)
    np.testing.assert_array_equal(found.confusion, [[3, 0, 1], [0, 2, 0], [0, 2, 3]])
    assert module.training and module.scale.dtype is torch.float64
    assert "top-1 72.727%" in repr(found) and (tmp_path / "c.png").exists()


def test_a_network_has_the_figures_that_the_command_prints(trained, colours, tmp_path, capsys):
    assert val.main(["--arch", str(trained), "--per_class", "--flip", "--limit", "7", "--workers", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    file = gsnet.export(trained, tmp_path / "net.safetensors", format="safetensors").file
    # The file says nothing of the training's folder.
    for network, where in ((trained, None), (str(trained), None), (gsnet.load(trained), None), (file, colours)):
        found = gsnet.validate(
            network, where, flip=True, limit=7, workers=0, batch_size=told["batch_size"], dataset=told["dataset"]
        )
        for name in ("images", "top1", "top5", "loss", "dataset", "input", "batch_size"):
            assert getattr(found, name) == told[name]
        assert list(found.per_class) == told["per_class"] and list(found.class_names) == told["class_names"]


def test_a_structure_with_weights_and_names_of_its_own(trained, colours):
    how = {"resolution": 8, "weights": gsnet.load(trained), "workers": 0, "dataset": "image_folder"}
    whole = gsnet.validate(trained, workers=0)
    assert gsnet.validate(gsnet.parse(STRUCTURE), colours, **how).top1 == whole.top1
    # The file of names that the command takes, and the names themselves, number the folders.
    by_name = gsnet.validate(Brightest(), colours, resolution=8, workers=0, class_names=["red", "green", "blue"])
    assert by_name.class_names == ("red", "green", "blue")
    # Blue and red have changed places, of which one picture of blue is now what it is called.
    assert by_name.per_class == (0, 100, 25)


def test_another_number_of_folders_than_of_classes_is_said(colours, caplog):
    class Four(Brightest):
        def forward(self, images):
            logits = super().forward(images)
            return torch.cat((logits, logits[:, :1]), dim=1)

    gsnet.validate(Four(), colours, resolution=8, workers=0, limit=2)
    assert (
        "Four has 4 classes, and there are 3 folders of pictures, which count as its first ones (class 0 is blue)"
        in (caplog.text)
    )
    caplog.clear()
    gsnet.validate(Brightest(), colours, resolution=8, workers=0, limit=2)
    assert "folders" not in caplog.text


def test_a_programs_random_numbers_stay_its_own(trained):
    before = torch.random.get_rng_state()
    gsnet.validate(trained, workers=0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_flag_of_the_command_is_a_keyword():
    flags = {name.lstrip("-") for action in folder_parser("")._actions for name in action.option_strings}
    # What prints, other names of the same, and what a Classifier does.
    flags -= {"h", "help", "plugin", "config", "json", "csv", "per_class", "predict", "gpu", "data", "class_map"}
    assert flags == (set(ValidationOptions.__annotations__) | set(validate.__annotations__) | set(RENAMED)) - {
        *("network", "resolution", "half", "options", "return")
    }


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (STRUCTURE, {"dataset": "fake"}, "give a checkpoint with weights FILE, or untrained=True"),
        (STRUCTURE, {"untrained": True, "data_dir": "none"}, "none"),
        (STRUCTURE, {"untrained": 1}, "^untrained is 1: it must be True or False$"),
        (STRUCTURE, {"half": True, "apex": True}, "^apex=True: not allowed with half=True$"),
        (STRUCTURE, {"limit": 0}, "^limit: '?0"),
        (STRUCTURE, {"device": "nowhere"}, "leave device out"),
        (STRUCTURE, {"class_names": ["a", "a"]}, "^class_names has a more than once$"),
        (STRUCTURE, {"class_names": [1, 2]}, "^class_names has 1, which is no name$"),
        (STRUCTURE, {"class_names": ["a"], "num_classes": 2}, "^class_names has 1 name for num_classes 2$"),
        (STRUCTURE, {"class_names": "none.txt"}, "^class_names: none.txt"),
        ("a,b", {}, "names several networks"),
        ("missing/folder", {}, "There is no file or folder missing/folder"),
        (None, {}, "^None is no network"),
        (Brightest(), {}, "^A module does not say which images it takes: give resolution$"),
        (Brightest(), {"resolution": 8, "weights": "net.pth"}, "^weights does nothing with a module"),
        (Brightest(), {"resolution": 8, "class_names": ["a"]}, "^class_names has 1 names, and the module 3 classes$"),
    ],
)
def test_wrong_input_is_one_sentence_of_python(network, options, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gsnet.InputError, match=sentence):
        gsnet.validate(network, **options)


@pytest.mark.parametrize(("name", "meant"), [("imgsz", "resolution"), ("batch", "batch_size"), ("data", "data_dir")])
def test_an_option_that_there_is_not_is_a_type_error(name, meant):
    with pytest.raises(TypeError, match=f"A validation has no option '{name}'; did you mean {meant}\\?"):
        gsnet.validate(STRUCTURE, **{name: 1})
