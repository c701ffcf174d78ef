"""Exported networks: read back by the libraries that others would use, and giving the same predictions."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

import PlainNet
from gsnet.commands import convert, export
from gsnet.interface.options import InputError
from gsnet.latency.records import Origin
from gsnet.latency.table import LatencyTable
from gsnet.models import exporting, load_model, structure_of
from gsnet.validation.export_command import file_of, usual_name
from Masternet import MasterNet
from PlainNet import Style

ROOT = Path(__file__).parent.parent
STRUCTURE = (
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,2)SuperResK3K3(16,16,1,8,1)SuperConvK1BNRELU(16,32,1,1)"
)


def trained_like():
    """A network whose BN statistics are not those of a fresh one."""
    torch.manual_seed(3)
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURE, use_se=True)
    network(torch.randn(8, 3, 16, 16) * 3 + 1)
    return network.eval()


def options(tmp_path, kind):
    torch.save({"state_dict": trained_like().state_dict()}, tmp_path / "net.pth")
    return [
        *("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--use_se", "--num_classes", "10"),
        *("--weights", str(tmp_path / "net.pth"), "--input_image_size", "16"),
        *("--format", kind, "--output", str(tmp_path / "out")),
    ]


@torch.inference_mode()
def test_torchscript(tmp_path):
    assert export.main(options(tmp_path, "torchscript")) == 0
    images = torch.randn(5, 3, 16, 16)
    torch.testing.assert_close(torch.jit.load(tmp_path / "out")(images), trained_like()(images))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pth", "out"]


def test_onnx(tmp_path):
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    import onnxruntime

    file = tmp_path / "out.onnx"
    assert export.main([*options(tmp_path, "onnx"), "--output", str(file)]) == 0
    images = torch.randn(5, 3, 16, 16)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images.numpy()})[0]
    # The exporter notes of each node the Python files, with their folders, that it comes from.
    assert b"Masternet.py" not in file.read_bytes()
    with torch.inference_mode():
        expected = trained_like()(images).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert (logits.argmax(1) == expected.argmax(1)).all()
    # The file says what it is, to other programs and to ours, which run it where a network is asked for.
    told = json.loads(session.get_modelmeta().custom_metadata_map["description"])
    assert (told["structure"], told["resolution"], told["classes"], told["use_se"]) == (STRUCTURE, 16, 10, True)
    assert structure_of(str(file)) == (PlainNet.parse(STRUCTURE), Style(use_se=True))
    np.testing.assert_array_equal(load_model(str(file), pretrained=True)(images).numpy(), logits)


def test_a_network_with_a_random_classifier_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda self, **_: resnet18().state_dict())
    arguments = ["--arch", "resnet18", "--num_classes", "10", "--format", "safetensors"]
    with pytest.raises(InputError, match="have 1000 classes, not 10"):
        export.main([*arguments, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_safetensors(tmp_path):
    assert export.main(options(tmp_path, "safetensors")) == 0
    # Whoever may read other new files may read it.
    (tmp_path / "another").touch()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "another").stat().st_mode
    state = load_file(tmp_path / "out")
    assert all(torch.equal(state[key], value) for key, value in trained_like().state_dict().items())


class Uneven(nn.Module):
    """What it computes depends on the number of images, which a trace with one image fixes."""

    def forward(self, x):
        return x.mean(dim=(2, 3)) * (2 if len(x) == 1 else 1)


def test_what_is_exported_stays_and_others_may_read_what_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--untrained", "--input_image_size", "16"]
    assert export.main([*first, "--num_classes", "10", "--format", "safetensors", "--output", "net.safetensors"]) == 0
    file = tmp_path / "net.safetensors"
    (tmp_path / "by_hand").touch()
    assert file.stat().st_mode == (tmp_path / "by_hand").stat().st_mode
    before = file.read_bytes()
    again = ["--format", "safetensors", "--fp16"]
    # Its own name is the usual one of the new file, too.
    for named in (
        ["--arch", "net.safetensors", "--format", "safetensors"],
        ["--arch", str(file), "--output", "../" + tmp_path.name + "/" + file.name, *again],
    ):
        with pytest.raises(InputError, match=r"net\.safetensors is what is exported: give the new file another name"):
            export.main(named)
    assert file.read_bytes() == before
    assert export.main(["--arch", "net.safetensors", *again, "--output", "half.safetensors"]) == 0


def test_no_two_forms_of_a_network_have_one_usual_name():
    """Nor a second file, such as the .bin of OpenVINO's and ncnn's."""
    forms = [("--format", kind) for kind in (*exporting.FORMATS, exporting.SAFETENSORS)]
    forms += [("--format", "onnx", "--fp16"), ("--int8", "--calibration", "x"), ("--format", "ncnn", "--fp16")]
    files = [
        file
        for form in forms
        for asked in (export.parse_options(["--arch", "net.pth", *form]),)
        for file in exporting.files_of(file_of(asked, "net.pth"), asked.format)
    ]
    assert len({str(file) for file in files}) == len(files) > len(forms)
    assert file_of(export.parse_options(["--arch", "net.pth"]), "net.pth") == Path("net.onnx")
    assert usual_name(export.parse_options(["--format", "opencv"]), "detector") == Path("detector_opencv.onnx")


def test_an_export_says_how_images_reach_the_network(tmp_path, capsys):
    named = ["--arch", "zennet_cifar10_model_size05M_res32", "--untrained", "--input_image_size", "16"]
    asked = [*named, "--format", "safetensors", "--output", str(tmp_path / "net.safetensors")]
    assert export.main(asked) == 0
    said = capsys.readouterr().err
    assert "; shorter side to 16 (bicubic), centre 16 x 16; mean 0.491" in said and "; 10 classes" in said
    assert export.main([*asked, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["crop"], report["resize"], report["crop_mode"], report["interpolation"]) == (
        16,
        16,
        "center",
        "bicubic",
    )
    unknown = ["--plainnet_struct", STRUCTURE, "--untrained", "--input_image_size", "16", *asked[len(named) :]]
    assert export.main([*unknown, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["resolution"], report["crop"], report["mean"]) == (16, None, None)


class Undecided(nn.Module):
    """What it computes depends on numbers, which no graph holds."""

    def forward(self, x):
        return (x if x.sum() > 0 else -x).mean((2, 3))


def test_an_exporter_says_why_and_in_one_line(tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.raises(
        InputError, match=r"^The network cannot be written as onnx \(Could not guard on .*\): nothing is kept$"
    ):
        exporting.export(Undecided(), tmp_path / "net.onnx", "onnx", (8, 8))
    assert not list(tmp_path.iterdir())


def test_an_export_that_computes_something_else_is_not_kept(tmp_path):
    with pytest.raises(InputError, match="computes other outputs"), pytest.warns(torch.jit.TracerWarning):
        exporting.export(Uneven(), tmp_path / "wrong.pt", "torchscript", (8, 8))
    assert not list(tmp_path.iterdir())


def test_where_a_file_cannot_be_is_told_before_it_is_written(tmp_path):
    """Its folder is made; a folder of its name stays what it is."""
    assert exporting.export(nn.Flatten(), tmp_path / "new/net.pt", "torchscript", (8, 8)) == 0
    untraced = Untraceable()
    with pytest.raises(IsADirectoryError):
        exporting.export(untraced, tmp_path / "new", "torchscript", (8, 8))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.pt"]


class Untraceable(nn.Module):
    """A module whose output is no tensor."""

    def forward(self, x):
        return object()


def test_a_device_or_a_pipe_stays_what_it_is_and_a_link_leads_to_the_file(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "there").mkdir()
    (tmp_path / "link.pt").symlink_to(tmp_path / "there/file.pt")
    network = trained_like()
    assert exporting.export(network, tmp_path / "link.pt", "torchscript", (16, 16)) < 1e-4
    assert (tmp_path / "link.pt").is_symlink() and torch.jit.load(tmp_path / "there/file.pt")
    # Who runs this as root would lose the device, were it replaced.
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("it is replaced"))
    for path in (tmp_path / "pipe.pt", Path("/dev/null")):
        with pytest.raises(OSError, match="this is a device or a pipe"):
            exporting.export(network, path, "torchscript", (16, 16))
        with pytest.raises(OSError, match="this is a device or a pipe"):
            LatencyTable.create(path, Origin("a device"), fuses=False)
        with pytest.raises(OSError, match="this is a device or a pipe"):
            convert.convert("zennet_cifar10_model_size05M_res32", output=path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.pt", "pipe.pt", "there"]


def test_a_network_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be written as torchscript") as caught:
        exporting.export(Untraceable(), tmp_path / "none.pt", "torchscript", (8, 8))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(InputError, match="needs a library that is not installed"):
        export.main(options(tmp_path, "onnx"))


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        ("save_dir/Zen_NAS_ImageNet_latency0.1ms", "Zen_NAS_ImageNet_latency0.1ms.onnx"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k.onnx"),
        ("save_dir/best-params_rank0.pth", "best-params_rank0.onnx"),
        ("mine.py:Network", "mine.onnx"),
        ("save_dir/best_structure.txt", "best_structure.onnx"),
        (STRUCTURE, "network.onnx"),
    ],
)
def test_a_file_is_called_as_its_network(arch, file):
    assert file_of(export.parse_options(["--arch", arch]), arch) == Path(file)


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "gsnet/commands/export.py"],
    ids=lambda p: p.name,
)
def test_commands_of_a_page_write_no_file_of_another_one(page):
    """Typed one after the other: OpenVINO's and ncnn's second files have the same ending."""
    writers: dict[str, set[tuple[str, bool]]] = {}
    for line in re.findall(r"gsnet export (.*)", page.read_text(encoding="utf-8")):
        if not (output := re.search(r"--output (\S+)", line)):
            continue
        kind = re.search(r"--format (\w+)", line)
        form = kind[1] if kind else "onnx"
        for file in exporting.files_of(Path("elsewhere", output[1]), form):
            writers.setdefault(file.name, set()).add((form, "--int8" in line))
    assert {file: forms for file, forms in writers.items() if len(forms) > 1} == {}
