"""Validation: figures that can be worked out by hand, an independent count on real images, and every way to fail."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.utils.misc import natural_key
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import ResNet18_Weights, resnet18

from gsnet.commands import export, train_image_classification, ts_train_image_classification, val, val_cifar
from gsnet.interface.options import InputError
from gsnet.models import expected_input, load_model
from gsnet.models.expected import whole_image
from gsnet.training.tasks import Classification
from gsnet.validation import test_images as images_of
from gsnet.validation import validate
from gsnet.validation.class_names import class_names, say_order_of_folders
from gsnet.validation.command import _expected
from gsnet.validation.images import data_set_seen
from gsnet.validation.options import option_parser
from gsnet.validation.precision import warn_of_slow_half
from gsnet.validation.predict import predict
from gsnet.validation.report import Row, confusion_figure, text_of
from gsnet.validation.tally import Tally
from Masternet import MasterNet

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT / ".." / "shared" / "data"))
ARCHIVE = DATA / "cifar10_jpeg_2000_1000.tar.gz"
STRUCTURE = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
NETWORK = """
from torch import nn

class Brightest(nn.Module):
    '''The brightest of the channels blue, green, red: logit 2 for it, 0 for the others.'''
    def forward(self, x):
        means = x.float().mean(dim=(2, 3)).flip(1)
        return (nn.functional.one_hot(means.argmax(1), 3) * 2).to(x.dtype)
"""


@pytest.fixture
def colours(tmp_path):
    """A folder of 11 plain pictures, of which three have a wrong colour: two reds that are green, a blue that is red."""
    (tmp_path / "brightest.py").write_text(NETWORK)
    content = {"blue": ["blue"] * 3 + ["red"], "green": ["green"] * 2, "red": ["red"] * 3 + ["green"] * 2}
    for name, pictures in content.items():
        folder = tmp_path / "data" / "val" / name
        folder.mkdir(parents=True)
        for i, colour in enumerate(pictures):
            Image.new("RGB", (48, 32), COLOURS[colour]).save(folder / f"{i}.png")
    return tmp_path


def run_json(script, capsys, *arguments):
    assert script.main([*map(str, arguments), "--workers", "0", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("options", [[], ["--fp16"], ["--apex"], ["--channels_last", "--batch_size", "4"]])
def test_figures_worked_out_by_hand(colours, capsys, options):
    arch = f"{colours / 'brightest.py'}:Brightest"
    arguments = ["--arch", arch, "--untrained", "--data_dir", colours / "data", "--input_image_size", 32]
    found = run_json(val, capsys, *arguments, "--per_class", "--confusion", colours / "c.png", *options)
    assert found["images"] == 11
    assert found["top1"] == pytest.approx(100 * 8 / 11)
    assert found["top5"] == 100
    # Cross-entropy of logits 2, 0, 0: log(e^2 + 2) less the logit of the label.
    assert found["loss"] == pytest.approx(math.log(math.exp(2) + 2) - 2 * 8 / 11, abs=1e-6)
    assert found["per_class"] == [75.0, 100.0, 60.0]
    assert Image.open(colours / "c.png").size[0] > 500


def test_a_tally_of_batches_is_that_of_their_images():
    rising = torch.arange(6.0)
    tally = Tally("cpu")
    first = tally.add(rising.expand(3, 6), torch.tensor([5, 5, 0]))
    tally.add(rising.flip(0).expand(2, 6), torch.tensor([4, 5]))
    found = tally.accuracy()
    assert first.tolist() == [5, 5, 5]
    assert (found.images, found.top1, found.top5) == (5, 40, 60)
    own = (5, 5, 0, 1, 0)
    assert found.loss == pytest.approx(math.log(sum(map(math.exp, range(6)))) - sum(own) / 5, rel=1e-6)
    with pytest.raises(InputError, match="no validation images"):
        Tally("cpu").accuracy()


def test_limit_spreads_over_the_classes(colours, capsys):
    arch = f"{colours / 'brightest.py'}:Brightest"
    found = run_json(val, capsys, "--arch", arch, "--untrained", "--data_dir", colours / "data", "--limit", 3)
    # Images 0, 3 and 7 of 11: a blue one, the blue one that is red, a red one.
    assert (found["images"], found["top1"]) == (3, pytest.approx(100 * 2 / 3))


def test_processes_share_the_images_and_count_each_once(colours):
    """Eleven images and two processes: neither share is padded, and only the first process reports."""
    arch = f"{colours / 'brightest.py'}:Brightest"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "val.py", "--arch", arch]
    command += ["--untrained", "--data_dir", str(colours / "data"), "--workers", "0", "--json", "--per_class"]
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["images"], found["top1"]) == (11, pytest.approx(100 * 8 / 11))
    assert found["loss"] == pytest.approx(math.log(math.exp(2) + 2) - 2 * 8 / 11, abs=1e-6)
    assert found["per_class"] == [75.0, 100.0, 60.0]


def test_pictures_are_classified_and_named(colours, capsys):
    arch = f"{colours / 'brightest.py'}:Brightest"
    picture = colours / "data" / "val" / "red" / "4.png"
    options = ["--arch", arch, "--untrained", "--data_dir", str(colours / "data"), "--predict", str(picture)]
    assert val.main([*options, "--json"]) == 0
    guesses = json.loads(capsys.readouterr().out)[str(picture)]
    assert (guesses[0]["label"], guesses[0]["name"]) == (1, "green")
    assert guesses[0]["probability"] == pytest.approx(math.exp(2) / (math.exp(2) + 2))
    assert val.main(options) == 0
    assert capsys.readouterr().out.startswith(f"{picture}: green 78.7%, ")
    with pytest.raises(InputError, match="is no picture that can be read"):
        val.main([*options[:-1], str(colours / "brightest.py")])


def test_class_names():
    assert class_names(1000)[207] == "golden retriever"
    assert class_names(10, dataset="cifar10")[3] == "cat"
    # A network of ten classes of one's own knows no cats.
    assert class_names(10)[3] == "class 3"
    assert class_names(3) == ["class 0", "class 1", "class 2"]


def test_the_training_folder_names_the_classes(tmp_path):
    for name in ("train/a", "train/b", "train/c", "val/b", "val/c"):
        (tmp_path / name).mkdir(parents=True)
    assert class_names(3, tmp_path) == ["a", "b", "c"]
    # A network of two classes was not trained on this folder: which two it knows, val does not say.
    assert class_names(2, tmp_path) == ["class 0", "class 1"]
    (tmp_path / "flat/train").mkdir(parents=True)
    assert class_names(1, tmp_path / "flat") == ["class 0"]


def test_text_report(colours, capsys):
    arch = f"{colours / 'brightest.py'}:Brightest"
    options = ["--arch", arch, "--untrained", "--data", str(colours / "data"), "--workers", "0", "--per_class"]
    table, picture = colours / "rows.csv", colours / "c.png"
    assert val.main([*options, "--csv", str(table), "--confusion", str(picture)]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [f"{picture}: true against predicted classes", f"{table}: the table"]
    assert table.is_file() and picture.is_file()
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"*** arch={arch}, top1 72.727%, top5 100.000%, loss ")
    assert "11 images of image_folder" in lines[0]
    seen = "shorter side to 256 (bicubic), centre 224 x 224; mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225; 3 classes"
    assert lines[1] == f"at 224 x 224 pixels: {seen}"
    assert lines[2:] == ["blue: 75.00%", "green: 100.00%", "red: 60.00%"]


def test_a_folder_that_nothing_names_is_imagenet_by_its_classes_alone(colours):
    expected = expected_input("zennet_imagenet1k_latency01ms_res224")
    names = ["blue", "green", "red", *(f"other {i}" for i in range(997))]
    of_three, of_thousand = (images_of("imagenet", expected, colours / "data", known=known) for known in ((), names))
    assert data_set_seen("imagenet", of_three) == "image_folder"
    assert data_set_seen("imagenet", of_thousand) == "imagenet"


def test_imagenet_images_are_resized_cropped_and_interpolated(tmp_path):
    # A picture of 480 x 960 with a bright square in the middle half: what is left after the crop is known.
    picture = np.zeros((480, 960, 3), np.uint8)
    picture[120:360, 360:600] = 255
    (tmp_path / "val" / "only").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "val" / "only" / "a.png")
    expected = expected_input("zennet_imagenet1k_latency01ms_res224")
    image, label = images_of("imagenet", expected, tmp_path)[0]
    assert (image.shape, label) == ((3, 320, 320), 0)
    # Shorter side 480 to ceil(320 / 0.875) = 366: the square is 240 * 366 / 480 = 183 wide in the middle of 320.
    bright = image[0, 160] > 0
    assert int(bright.sum()) == pytest.approx(183, abs=1)
    assert float(image[0, 160, 160]) == pytest.approx((1 - 0.485) / 0.229, rel=1e-5)
    assert float(image[2, 0, 0]) == pytest.approx(-0.406 / 0.225, rel=1e-5)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Some real pictures of CIFAR-10's ten classes."""
    if not ARCHIVE.is_file():
        pytest.skip(f"no {ARCHIVE.name} in GSNET_DATA")
    folder = tmp_path_factory.mktemp("sample")
    with tarfile.open(ARCHIVE) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and "/00" in m.name and m.name[-5] in "02468"]
        archive.extractall(folder, [m for m in members if m.name.endswith(".jpg")], filter="data")
    return folder / "cifar10"


def test_a_trained_network_has_the_accuracy_of_its_training_log(sample, tmp_path, capsys):
    structure = tmp_path / "best_structure.txt"
    structure.write_text(STRUCTURE)
    common = ["--arch", str(structure), "--dataset", "cifar10", "--data_dir", str(sample)]
    options = ["--input_image_size", "32", "--epochs", "3", "--batch_size", "50", "--lr", "0.05", "--workers", "0"]
    folder = tmp_path / "training"
    assert train_image_classification.main([*common, *options, "--save_dir", str(folder)]) == 0
    with (folder / "log.csv").open() as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["val_acc1"]))
    found = run_json(val_cifar, capsys, *common, "--weights", folder / "best-params_rank0.pth")
    assert found["top1"] == float(best["val_acc1"])
    assert found["top5"] == float(best["val_acc5"])
    assert found["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-5)


def test_accuracy_on_real_images_is_the_independent_count(sample, tmp_path, capsys):
    data = sample
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])

    def read(split):
        files = sorted((data / split).glob("*/*.jpg"))
        names = sorted({file.parent.name for file in files})
        pixels = np.stack([(np.asarray(Image.open(f)) / 255 - mean) / std for f in files]).astype(np.float32)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.tensor([names.index(f.parent.name) for f in files])

    torch.manual_seed(0)
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURE)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    images, labels = read("train")
    for batch in torch.randperm(len(labels)).repeat(4).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "trained.pth")
    (tmp_path / "best_structure.txt").write_text(STRUCTURE)

    images, labels = read("test")
    with torch.no_grad():
        logits = network.eval()(images)
    right = 100 * float((logits.argmax(1) == labels).double().mean())
    arguments = ["--arch", tmp_path / "best_structure.txt", "--weights", tmp_path / "trained.pth", "--data_dir", data]
    found = run_json(val_cifar, capsys, *arguments, "--dataset", "cifar10", "--batch_size", 37)
    assert found["images"] == len(labels)
    assert found["top1"] == pytest.approx(right)
    assert right > 15
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)


class Greedy(nn.Module):
    """Runs out of memory with more than three images."""

    def forward(self, x):
        if len(x) > 3:
            raise torch.OutOfMemoryError("no room")
        return x.mean(dim=(2, 3))


def test_batches_are_halved_where_memory_runs_out(caplog):
    images = TensorDataset(torch.rand(10, 3, 4, 4), torch.zeros(10, dtype=torch.long))
    with caplog.at_level("WARNING"):
        result = validate(Greedy(), images, resolution=4, batch_size=8)
    assert (result.images, result.batch_size) == (10, 2)
    assert [r.getMessage() for r in caplog.records] == [
        "Out of memory: starting again with batches of 4",
        "Out of memory: starting again with batches of 2",
    ]


def test_several_networks_are_rows_and_an_error_is_a_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path))
    arguments = [
        "--arch",
        "myresnet[13]*",
        "--dataset",
        "fake",
        "--limit",
        "4",
        "--num_classes",
        "10",
        "--workers",
        "0",
    ]
    arguments += ["--input_image_size", "32"]
    assert val.main([*arguments, "--json"]) == 2
    rows = json.loads(capsys.readouterr().out)["networks"]
    assert [row["arch"] for row in rows] == ["myresnet18", "myresnet34", "myresnet101", "myresnet152"]
    assert all("No weights of myresnet" in row["error"] for row in rows)
    assert val.main([*arguments[2:], "--arch", "myresnet18*", "--untrained"]) == 0
    assert capsys.readouterr().out.startswith("*** arch=myresnet18, top1 ")
    assert val_cifar.main(["--arch", "zennet_cifar*", "--data_dir", str(tmp_path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[0].startswith("network ")
    assert sum("cifar-100-python" in line for line in lines) == 3


def test_a_size_that_a_network_does_not_take_is_a_row_too(capsys):
    pytest.importorskip("timm", reason="timm is not installed")
    names = ["densenet121", "vit_tiny_patch16_224", "resnet18"]
    how = ("--untrained", "--dataset", "fake", "--limit", "2", "--workers", "0", "--input_image_size", "16")
    assert val.main(["--arch", ",".join(names), *how, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["networks"]
    assert [row["arch"] for row in rows] == names and "top1" in rows[2]
    for row in rows[:2]:
        assert row["error"].startswith(f"{row['arch']} cannot run on an image of 3 channels and 16 x 16 pixels (")
    with pytest.raises(InputError, match="vit_tiny_patch16_224 cannot run on an image of 3 channels and 16 x 16"):
        val.main(["--arch", names[1], *how])


@pytest.mark.parametrize(("name", "how"), [("resnet18", "bilinear"), ("efficientnet_b0", "bicubic")])
def test_another_size_is_reached_by_the_interpolation_of_the_networks_authors(name, how):
    """torchvision's page of weights: ResNet18 is tested with bilinear interpolation, EfficientNet-B0 with bicubic."""
    options = option_parser("", 1).parse_args(["--arch", name, "--input_image_size", "160"])
    expected = _expected(options, name, "imagenet")
    assert (expected.resolution, expected.resize, expected.interpolation) == (160, 183, how)


def test_an_exported_file_takes_images_of_its_size_in_float32(tmp_path):
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    file = tmp_path / "net.onnx"
    made = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--untrained", "--input_image_size", "8"]
    assert export.main([*made, "--num_classes", "3", "--format", "onnx", "--output", str(file)]) == 0
    data = ["--dataset", "fake", "--limit", "2", "--workers", "0"]
    assert val.main(["--arch", str(file), *data]) == 0
    told = r"net\.onnx cannot run on images of 3 channels and 16 x 16 pixels \(it takes batches of N x 3 x 8 x 8 numbers, not"
    with pytest.raises(InputError, match=told):
        val.main(["--arch", str(file), *data, "--input_image_size", "16"])
    for option in ("--fp16", "--apex"):
        with pytest.raises(InputError, match=f"computes in float32, as it was exported: leave {option} out"):
            val.main(["--arch", str(file), *data, option])


def test_cells_of_a_table_stand_apart():
    figures = {"dataset": "a_long_data_set", "images": 3, "top1": 1.0, "top5": 2.0, "loss": 0.5, "input": "whole"}
    rows = [Row("a", figures | {"images_per_second": 9.0}), Row("b", None, "broken")]
    head, first, second, *_ = text_of(rows, as_json=False).splitlines()
    assert head.split() == ["network", "data", "set", "images", "top-1", "top-5", "loss", "images/s"]
    assert first.split() == ["a", "a_long_data_set", "3", "1.000%", "2.000%", "0.5000", "9.0"]
    assert (len(head), second) == (len(first), "b        error: broken")


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (val, ["--arch", "resnet18", "--data_dir", "absent"], "There is no folder absent"),
        (val, ["--arch", ".", "--data_dir", "absent"], r"\. holds no results"),
        (val_cifar, ["--arch", "resnet18"], "does not say which data set: give --dataset"),
        (val_cifar, ["--arch", "resnet18", "--dataset", "cifar10", "--data_dir", "absent"], "holds neither"),
        (val, ["--arch", "nothing*", "--dataset", "fake"], "No network's name matches"),
        (val, ["--arch", "resnet*", "--dataset", "fake", "--weights", "x"], "belong to a single network"),
        (val, ["--arch", "resent18", "--dataset", "fake"], "did you mean"),
        (val, ["--arch", "resnet18", "--gpu", "77"], "There is no GPU 77"),
        (val, ["--arch", "resnet18", "--device", "abacus"], "torch has no device 'abacus' here"),
        (val, ["--arch", "resnet18", "--device", "meta"], "torch has no device 'meta' here"),
        (val, ["--arch", "resnet18", "--device", "cuda", "--gpu", "0"], "contradict"),
        (val, ["--arch", "resnet18", "--dataset", "image_folder"], "no usual folder: name it with --data_dir"),
        (val, ["--arch", "resnet18", "--dataset", "fake", "--weights", "absent.pth"], "There is no file absent.pth"),
    ],
)
def test_bad_input(script, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        script.main([*arguments, "--workers", "0"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("output", "found"), [("(x.mean((2, 3)), x)", "a tuple"), ("x", r"a tensor \(.*, 3, 8, 8\)")])
def test_a_class_without_logits_is_told_in_a_sentence(colours, tmp_path, output, found):
    """Before, a map of 8 x 8 was exported as eight classes, and a pair ended in a traceback."""
    file = tmp_path / "mine.py"
    file.write_text(
        f"from torch import nn\n\nclass Mine(nn.Module):\n    def forward(self, x):\n        return {output}\n"
    )
    arch = ("--arch", f"{file}:Mine", "--untrained", "--input_image_size", "8")
    data = ("--dataset", "image_folder", "--data_dir", str(colours / "data"), "--workers", "0")
    for script, more in ((val, data), (val, ("--flip", *data)), (export, ("--output", str(tmp_path / "mine.onnx")))):
        with pytest.raises(InputError, match=f"gives {found} for a batch of images, and no logits"):
            script.main([*arch, *more])
    task = Classification(load_model(arch[1], num_classes=3))
    with pytest.raises(InputError, match=f"gives {found} for a batch of images, and no logits"):
        task(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3))


def test_figures_that_are_no_numbers_are_null_in_json(colours, tmp_path, capsys):
    file = tmp_path / "mine.py"
    forward = "        return x.mean((2, 3)) * float('nan')\n"
    file.write_text(f"from torch import nn\n\nclass Mine(nn.Module):\n    def forward(self, x):\n{forward}")
    arch = ("--arch", f"{file}:Mine", "--untrained", "--input_image_size", "8", "--json")
    assert val.main([*arch, "--dataset", "image_folder", "--data_dir", str(colours / "data"), "--workers", "0"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out, parse_constant=pytest.fail)["loss"] is None
    assert "no finite numbers" in printed.err
    picture = str(colours / "data/val/red/0.png")
    assert val.main([*arch, "--dataset", "imagenet", "--predict", picture]) == 0
    guesses = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)[picture]
    assert [guess["probability"] for guess in guesses] == [None] * 3


def test_more_labels_than_logits():
    images = TensorDataset(torch.rand(2, 3, 4, 4), torch.tensor([0, 7]))
    with pytest.raises(InputError, match="has label 7, but the network only 3 classes"):
        validate(Greedy(), images, resolution=4)


def test_a_user_who_meets_dead_links_reads_one_sentence(tmp_path):
    command = ["val.py", "--fp16", "--arch", "zennet_imagenet1k_latency01ms_res224", "--dataset", "fake"]
    result = subprocess.run(
        [sys.executable, *command, "--weights_url", "http://127.0.0.1:9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"ZENNET_HOME": str(tmp_path)},
    )
    assert result.returncode == 2
    assert str(tmp_path / "iccv2021_zennet_imagenet1k_latency01ms_res224") in result.stderr
    assert result.stderr.count("\n") == 1


def test_published_weights_of_other_classes_are_no_figure(monkeypatch):
    source = ResNet18_Weights.DEFAULT
    monkeypatch.setattr(type(source), "get_state_dict", lambda self, **_: resnet18().state_dict())
    with pytest.raises(InputError, match="have 1000 classes, not 10: give a checkpoint"):
        val.main(["--arch", "resnet18", "--dataset", "fake", "--num_classes", "10", "--workers", "0"])


def test_pictures_are_classified_with_the_classes_of_the_networks_name(colours, capsys):
    picture = colours / "data" / "val" / "red" / "4.png"
    arch = "zennet_cifar100_model_size05M_res32"
    assert val_cifar.main(["--arch", arch, "--untrained", "--predict", str(picture), "--json"]) == 0
    assert {guess["name"].split()[0] for guess in json.loads(capsys.readouterr().out)[str(picture)]} == {"class"}


def test_of_a_folder_all_pictures_are_classified(colours, capsys, tmp_path):
    network = ["--arch", "zennet_cifar100_model_size05M_res32", "--untrained", "--predict"]
    folder = tmp_path / "red"
    shutil.copytree(colours / "data/val/red", folder)
    (folder / "notes.txt").write_text("no picture")
    # As macOS leaves beside every picture on disks of others.
    (folder / "._0.png").write_text("no picture")
    assert val_cifar.main([*network, str(folder), str(folder / "0.png"), "--json"]) == 0
    pictures = [str(folder / f"{i}.png") for i in range(len(list(folder.glob("[0-9]*.png"))))]
    said = capsys.readouterr()
    assert list(json.loads(said.out)) == [*pictures, "input"]
    assert f"{folder}: passed over: 1 file (.txt 1)" in said.err
    with pytest.raises(InputError, match=r"has no pictures \(jpg, .*\), but .*folder"):
        val_cifar.main([*network, str(tmp_path)])


def test_pictures_are_classified_without_what_gradients_need(colours):
    picture = colours / "data/val/red/0.png"
    seen = []

    class Network(nn.Module):
        def forward(self, images):
            seen.append(torch.is_inference_mode_enabled())
            return images.mean(dim=(2, 3))

    predict(Network(), [picture], whole_image(8, 3))
    assert seen == [True]


def test_a_network_that_names_its_classes_counts_by_them(tmp_path, capsys):
    """Pictures of blue and red, for a network that learnt green and red: to count blue as 0 would be a wrong figure."""
    for name, classes in {"learnt": ("green", "red"), "others": ("blue", "red"), "one": ("red",)}.items():
        for place in (f"{name}/{split}/{of}" for split in ("train", "val") for of in classes):
            (tmp_path / place).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (8, 8), COLOURS[place.split("/")[-1]]).save(tmp_path / place / f"{i}.png")
    how = ["--plainnet_struct", "SuperConvK3BNRELU(3,8,1,1)", "--dataset", "image_folder", "--input_image_size", "8"]
    how += ["--epochs", "4", "--batch_size", "4", "--workers", "0"]
    folder = str(tmp_path / "training")
    assert train_image_classification.main([*how, "--data_dir", str(tmp_path / "learnt"), "--save_dir", folder]) == 0
    capsys.readouterr()
    found = run_json(val, capsys, "--arch", folder, "--data_dir", tmp_path / "one", "--per_class")
    assert (found["class_names"], found["per_class"][0]) == (["green", "red"], None)
    others = ["--data_dir", str(tmp_path / "others")]
    with pytest.raises(InputError, match=r"class blue, which the network \(classes green, red\) does not know"):
        val.main(["--arch", folder, *others, "--workers", "0"])
    predicting = ["--predict", str(tmp_path / "one/val/red/0.png")]
    with pytest.raises(InputError, match="--data_dir does nothing with --predict of a network that names its classes"):
        val.main(["--arch", folder, *others, *predicting])
    assert val.main(["--arch", folder, *predicting]) == 0
    out = capsys.readouterr().out
    assert "red" in out and "blue" not in out
    teacher = ["--teacher_arch", folder, "--teacher_pretrained", "--teacher_logit_weight", "1"]
    with pytest.raises(InputError, match="learnt other classes: class 0 is green there and blue in"):
        ts_train_image_classification.main([*how, *others, *teacher, "--save_dir", str(tmp_path / "student")])


@pytest.fixture
def counted_by_timm(tmp_path):
    """A folder whose classes timm counts in the order 1, 2, 10, and a network that learnt them so."""
    (tmp_path / "brightest.py").write_text(NETWORK)
    for name, colour in zip(("1", "2", "10"), COLOURS.values(), strict=True):
        for split in ("train", "val"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / split / name / "0.png")
    return tmp_path


def test_class_names_of_a_file_decide_how_folders_count(counted_by_timm, capsys):
    """By the alphabet 10 would be the second class, which is what the network calls 2."""
    (counted_by_timm / "names.txt").write_text("1\n2\n10\n")
    options = ["--arch", f"{counted_by_timm / 'brightest.py'}:Brightest", "--untrained", "--dataset", "image_folder"]
    options += ["--data_dir", counted_by_timm / "data"]
    assert run_json(val, capsys, *options)["top1"] == pytest.approx(100 / 3)
    found = run_json(val, capsys, *options, "--class_names", counted_by_timm / "names.txt", "--per_class")
    assert (found["top1"], found["class_names"]) == (100, ["1", "2", "10"])
    guesses = ["--predict", counted_by_timm / "data/val/10/0.png", "--class_names", counted_by_timm / "names.txt"]
    with pytest.raises(InputError, match="--data_dir does nothing with --predict and --class_names: leave it out"):
        val.main([str(one) for one in (*options, *guesses)])
    assert val.main([str(one) for one in (*options[:-2], *guesses)]) == 0
    assert "0.png: 10 78.7%" in capsys.readouterr().out


def test_names_given_for_a_network_that_names_its_classes(tmp_path, capsys):
    for place in (f"{split}/{of}" for split in ("train", "val") for of in ("1", "10", "2")):
        (tmp_path / "data" / place).mkdir(parents=True)
        Image.new("RGB", (8, 8), COLOURS["red"]).save(tmp_path / "data" / place / "0.png")
    how = ["--plainnet_struct", "SuperConvK3BNRELU(3,8,1,1)", "--dataset", "image_folder", "--input_image_size", "8"]
    how += ["--data_dir", str(tmp_path / "data"), "--epochs", "1", "--batch_size", "3", "--workers", "0"]
    assert train_image_classification.main([*how, "--save_dir", str(tmp_path / "training")]) == 0
    capsys.readouterr()
    names, given = tmp_path / "names.txt", ["--arch", tmp_path / "training", "--workers", "0"]
    for content, said in (
        ("1\n10\n2\n", ""),
        ("1\n2\n10\n", "class_names has another order: class 1 is 10 there and 2 as given, which counts"),
    ):
        names.write_text(content)
        assert val.main([*map(str, given), "--class_names", str(names), "--per_class", "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["class_names"] == content.split()
        assert said in err and bool(said) == ("says its classes itself" in err)
    predicting = [*map(str, given[:2]), "--predict", str(tmp_path / "data/val/2/0.png"), "--class_names", str(names)]
    assert val.main(predicting) == 0 and "another order" in capsys.readouterr().err
    names.write_text("one\nten\ntwo\n")
    assert val.main(predicting) == 0
    assert "class_names has other names: class 0 is 1 there and one as given" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"has the classes 1, 10, 2, which the network .* rename the folders, or take"):
        val.main([*map(str, given), "--class_names", str(names)])
    names.write_text("1\n2\n")
    for more in ([], predicting[2:4]):
        with pytest.raises(InputError, match=r"--class_names has 2 names, and .*training has 3 classes: give a file"):
            val.main([*map(str, given[:2]), "--class_names", str(names), *more])
    with pytest.raises(InputError, match="--class_names has 2 names, and resnet18 has 1000 classes"):
        val.main(["--arch", "resnet18", "--dataset", "image_folder", "--class_names", str(names)])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("1\n2\n1\n", "has 1 more than once"), ("\n", "has no names"), ("1\n2\n", "2 names for --num_classes 3")],
)
def test_files_of_names_that_name_no_classes(tmp_path, capsys, content, sentence):
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(SystemExit, match="2"):
        val.main(["--arch", "x", "--num_classes", "3", "--class_names", str(tmp_path / "names.txt")])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "names", [("1", "2", "10"), ("Zebra", "ant", "bee"), ("a1", "a_1", "a01"), ("x", "x2", "x10y3", "2")]
)
def test_another_order_of_timm_is_said(counted_by_timm, names, caplog):
    """For every checkpoint without names: its author's folders may have counted as timm has it."""
    say_order_of_folders(sorted(names), "mine")
    theirs = sorted(sorted(names), key=natural_key)
    assert (f"timm has another: {', '.join(theirs)}." in caplog.text) == (theirs != sorted(names))


def test_weights_that_do_not_say_their_classes_are_warned_of(counted_by_timm, capsys):
    file = counted_by_timm / "mine.py"
    forward = "    def forward(self, x):\n        return self.last(x.mean((2, 3)))\n"
    made = "    def __init__(self):\n        super().__init__()\n        self.last = nn.Linear(3, 3)\n\n"
    file.write_text(f"from torch import nn\n\nclass Mine(nn.Module):\n{made}{forward}")
    torch.save({"last.weight": torch.eye(3), "last.bias": torch.zeros(3)}, counted_by_timm / "weights.pth")
    options = ["--arch", f"{file}:Mine", "--weights", counted_by_timm / "weights.pth", "--dataset", "image_folder"]
    options += ["--data_dir", counted_by_timm / "data", "--workers", "0"]
    assert val.main([str(one) for one in options]) == 0
    assert "order of the alphabet: 1, 10, 2. timm has another: 1, 2, 10." in capsys.readouterr().err


def test_folders_that_nothing_numbers_are_refused(tmp_path):
    """With val/b alone, b would count as the first of the network's three classes."""
    (tmp_path / "val/b").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "val/b/0.png")
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    expected = whole_image(8, 3)
    with pytest.raises(InputError, match="has 1 class folders, the network 3 classes"):
        validate(network, images_of("image_folder", expected, tmp_path), resolution=8)
    for name in "abc":
        (tmp_path / "train" / name).mkdir(parents=True)
    found = validate(network, images_of("image_folder", expected, tmp_path), resolution=8)
    assert found.confusion.sum(dim=1).tolist() == [0, 1, 0]


def test_broken_pictures_do_not_count(tmp_path, noise_images, capsys):
    """Nine of ten images are left, and every one is in a batch of its own."""
    shutil.copytree(noise_images, tmp_path / "data")
    (tmp_path / "data/test/7/0.png").write_bytes(b"")
    arguments = [
        "--arch",
        "Masternet.py:MasterNet",
        "--plainnet_struct",
        STRUCTURE,
        "--untrained",
        "--num_classes",
        "10",
    ]
    arguments += ["--dataset", "image_folder", "--data_dir", str(tmp_path / "data"), "--input_image_size", "16"]
    arguments += ["--batch_size", "1"]
    with pytest.raises(InputError, match=r"7/0.png is no picture .* go on without it with --skip_broken 1$"):
        val.main([*arguments, "--workers", "0"])
    assert run_json(val, capsys, *arguments, "--skip_broken", "1")["images"] == 9


@pytest.mark.parametrize(("classes", "most"), [(3, 50_000), (10, 1_000), (30, 99_999)])
def test_a_confusion_matrix_has_counts_that_fit_their_cells(classes, most):
    confusion = torch.arange(classes**2).reshape(classes, classes)
    confusion[0, 0] = most
    figure = confusion_figure(confusion, [f"class {i}" for i in range(classes)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / classes
    assert [int(text.get_text()) for text in axes.texts] == confusion.flatten().tolist()
    assert axes.texts[0].get_window_extent().width < cell and axes.texts[0].get_fontsize() > 4


def test_a_confusion_matrix_of_many_classes_is_colours_alone():
    assert not confusion_figure(torch.eye(100), [f"class {i}" for i in range(100)]).axes[0].texts


@pytest.mark.parametrize(
    ("device", "dtype", "said"),
    [
        (
            "cpu",
            torch.bfloat16,
            "This processor has no arithmetic in bfloat16: half precision takes longer than float32",
        ),
        (
            "cpu",
            torch.float16,
            "This processor has no arithmetic in float16: it takes longer than float32 and bfloat16",
        ),
        ("cuda:0", torch.bfloat16, "This GPU has no arithmetic in bfloat16: float16 is faster"),
        ("cuda:0", torch.float16, ""),
    ],
)
def test_who_asks_for_half_precision_of_an_old_device_is_told_that_it_is_slow(monkeypatch, caplog, device, dtype, said):
    for old in (True, False):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda old=old: "AVX2" if old else "AVX512")
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", lambda old=old: not old, raising=False)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, old=old: including_emulation or not old
        )
        caplog.clear()
        warn_of_slow_half(device, dtype)
        told = said if old else ""
        assert told in caplog.text and bool(caplog.text) == bool(told)


def test_a_file_without_an_end_is_no_list_of_names(capsys):
    with pytest.raises(SystemExit, match="2"):
        val.main(["--arch", "resnet18", "--class_names", "/dev/zero"])
    assert "/dev/zero is longer than 16,777,216 characters" in capsys.readouterr().err
