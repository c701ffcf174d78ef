"""Networks in int8: what is written runs in integers, is measured beside float32, and is kept only where it agrees."""

import itertools
import json
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from gsnet import runtimes
from gsnet.commands import export
from gsnet.interface.options import InputError
from gsnet.models.expected import whole_image
from gsnet.runtimes import openvino_runtime
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.validation import quantizing
from gsnet.validation.int8_comparison import Measured, halves, seconds_of, table
from gsnet.validation.quantizing import read_pictures
from Masternet import MasterNet

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
CLASSES = 3
NOISE = np.zeros((1, 3, 16, 16), np.float32)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six pictures of noise in a folder a class."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(2 * CLASSES):
        file = folder / f"class {number % CLASSES}" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory, pictures):
    torch.manual_seed(3)
    network = MasterNet(num_classes=CLASSES, plainnet_struct=STRUCTURE)
    network(torch.randn(8, 3, 16, 16) * 3 + 1)
    weights = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save({"state_dict": network.state_dict()}, weights)
    return [
        *("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--num_classes", str(CLASSES)),
        *("--weights", str(weights), "--input_image_size", "16", "--int8", "--calibration", str(pictures)),
    ]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Where the network's graphs are kept: to write one takes seconds, and they are the same each time."""
    return tmp_path_factory.mktemp("graphs")


def widths_of(network):
    return [one.out_channels for one in network.modules() if isinstance(one, torch.nn.Conv2d)]


@pytest.fixture(autouse=True)
def written_once(monkeypatch, graphs):
    def write(network, file, size):
        kept = graphs / f"{'_'.join(map(str, widths_of(network)))}.onnx"
        if not kept.exists():
            write_onnx(network, kept, size)
        shutil.copy(kept, file)

    monkeypatch.setattr(quantizing, "write_onnx", write)


def test_which_form_is_slower_is_told_by_the_time_that_the_process_has(monkeypatch):
    """Of two seconds by the wall's clock another program had most."""
    wall, own = itertools.count(0, 2), itertools.count(0, 0.25)
    monkeypatch.setattr(time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(time, "process_time", lambda: next(own))
    session = type("Still", (runtimes.Session,), {"run": lambda self, images: images})()
    assert seconds_of(session, np.zeros((3, 3, 8, 8), np.float32)) == 0.25


def test_what_int8_makes_worse_is_said():
    def said(size, seconds):
        return table([Measured("fp32", 1000, 1e-3, 0.0), Measured("int8", size, seconds, 0.01)]).splitlines()[3:]

    assert said(999, 1e-3) == []
    slower, larger = said(1760, 1.5e-3)
    assert slower == "int8 is slower than float32 here: 1.50 times as long"
    assert larger == "int8 is larger than float32: 1.76 times as many bytes"


def test_int8_in_both_runtimes(options, tmp_path, capsys):
    for library in ("onnx", "onnxruntime", "onnxscript", "openvino"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    import onnx
    import openvino

    file = tmp_path / "net.onnx"
    assert export.main([*options, "--output", str(file), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert kinds.count("QuantizeLinear") > 5 and "DequantizeLinear" in kinds
    # With ONNX Runtime's default types most convolutions stay in float32.
    run = [one.kind for one in runtimes.runtime("onnxruntime").load(file, runtimes.Settings()).operations(NOISE, 1)]
    assert "QLinearConv" in run and not {"Conv", "FusedConv"} & set(run)
    floats, integers = written["forms"]
    assert floats["output_error"] < 1e-5 < integers["output_error"] < 0.1
    assert floats["top1"] is not None and integers["size"] == file.stat().st_size
    assert export.main([*options, "--format", "openvino", "--output", str(tmp_path / "net.xml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forms"][1]["output_error"] < 0.1
    operators = [one.get_type_name() for one in openvino.Core().read_model(tmp_path / "net.xml").get_ops()]
    assert "FakeQuantize" in operators


@pytest.mark.parametrize(("kind", "suffix", "multiple"), [("onnx", ".onnx", 16), ("openvino", ".xml", 8)])
def test_float32_beside_int8_is_what_an_export_writes(kind, suffix, multiple, options, tmp_path, monkeypatch):
    """int8 is to be slower or faster than the file that it would stand in for; integers take any width."""
    for library in ("onnxruntime", kind):
        pytest.importorskip(library, reason=f"{library} is not installed")
    widths = {}

    def write(network, file, size):
        widths[file.stem] = widths_of(network)
        file.touch()

    def to_int8(file, images):
        raise RuntimeError("graphs are what counts here")

    monkeypatch.setattr(quantizing, "write_onnx", write)
    monkeypatch.setattr(quantizing, "to_int8", to_int8)
    written = [*options, "--format", kind, "--output", str(tmp_path / f"net{suffix}")]
    with pytest.raises(InputError, match="graphs are what counts here"):
        export.main(written)
    assert not any(width % multiple for width in widths["fp32"]) and any(width % multiple for width in widths["int8"])
    widths.clear()
    with pytest.raises(InputError, match="graphs are what counts here"):
        export.main([*written, "--no_fuse"])
    torchs = widths_of(MasterNet(num_classes=CLASSES, plainnet_struct=STRUCTURE))
    assert widths == {"fp32": torchs}, "and int8 is a copy of it"


def test_what_changes_too_much_is_not_kept(options, pictures, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(pictures.rglob("*.png"))):
        (flat / f"{number}.png").write_bytes(file.read_bytes())
    arguments = [*options[:-1], str(flat), "--output", str(tmp_path / "net.onnx"), "--output_error", "1e-9"]
    with pytest.raises(
        InputError, match=r"^int8 costs .* output error, 1e-09 are allowed: nothing is kept as \w+\n  +bytes "
    ):
        export.main(arguments)
    assert not (tmp_path / "net.onnx").exists()


def test_what_cannot_be_written_is_one_sentence(options, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no such operator\nand a page about it")

    monkeypatch.setattr(quantizing, "write_onnx", refuse)
    with pytest.raises(InputError, match=r"cannot be written as onnx \(no such operator\): nothing is kept"):
        export.main([*options, "--output", str(tmp_path / "net.onnx")])
    assert not list(tmp_path.iterdir())


def test_a_graph_that_ends_openvino_s_process_is_one_sentence(options, tmp_path, monkeypatch):
    """As int8 graphs of some GhostShuffle networks do; here the other process ends itself."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    monkeypatch.setattr(openvino_runtime, "_TRIAL", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(InputError, match=r"OpenVINO ends the process .*\(SIGKILL\): write it as onnx"):
        export.main([*options, "--format", "openvino", "--output", str(tmp_path / "net.xml")])
    assert not list(tmp_path.iterdir())


def test_pictures_are_prepared_as_the_network_expects_them(pictures):
    expected = whole_image(16, CLASSES)
    found = read_pictures(pictures, expected)
    assert found.images.shape == (6, 3, 16, 16) and found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    first = np.asarray(Image.open(pictures / "class 0/0.png")).transpose(2, 0, 1) / 255
    mean, std = (np.array(values)[:, None, None] for values in (expected.mean, expected.std))
    np.testing.assert_allclose(found.images[0], (first - mean) / std, atol=1e-5)
    calibrated, compared = map(found.at, halves(6, 200, 1000))
    assert calibrated.labels.tolist() == compared.labels.tolist() == [0, 1, 2]
    assert halves(1, 200, 1000) == ([0], [0]) and halves(10, 3, 4) == ([0, 4, 8], [1, 2, 3, 5])
    with pytest.raises(
        InputError, match=r"class class 2, which the network \(classes class 0, class 1, rose\) does not"
    ):
        read_pictures(pictures, expected, ("class 0", "class 1", "rose"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--fp16"], "--int8 and --fp16 contradict each other"),
        (["--format", "ncnn"], "--int8 is written as onnx or openvino, not as ncnn"),
        (["--calibration", "nowhere"], "--calibration nowhere is no folder"),
        (["--num_classes", "7"], "has 3 classes, the network 7"),
    ],
)
def test_what_does_not_go_with_it_is_told(options, more, said):
    without = options if more[0] != "--num_classes" else [*options[:6], "--untrained", *options[8:]]
    with pytest.raises(InputError, match=said):
        export.main([*without, *more])


def test_splits_of_a_data_set_are_no_classes(options, pictures, tmp_path):
    """Three of them would count as the network's three classes, and all figures would be of nothing."""
    for split in ("train", "val", "more"):
        shutil.copytree(pictures, tmp_path / split)
    with pytest.raises(
        InputError, match=r"with train and val: name one of these folders, such as --calibration .*/val$"
    ):
        export.main([*options, "--calibration", str(tmp_path)])


@pytest.mark.parametrize("named", [".", "cifar-10-batches-py", "cifar-100-python"])
def test_cifar_as_a_training_fetches_it_holds_no_pictures(options, tmp_path, named):
    for folder in ("cifar-10-batches-py", "cifar-100-python"):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match="holds CIFAR in torchvision's own files: --calibration takes pictures"):
        export.main([*options, "--calibration", str(tmp_path / named)])


def test_options_of_int8_need_it(options):
    with pytest.raises(InputError, match="--calibration does nothing without --int8"):
        export.main([one for one in options if one != "--int8"])
