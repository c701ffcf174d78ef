"""`gsnet.Classifier`: what a trained network says of images, from Python."""

import re
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

import gsnet
from gsnet import InputError
from gsnet.api import exported_classifier
from gsnet.commands import export, train_image_classification
from gsnet.detection.checkpoint import holds_detector

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
COLOURS = {"green": (20, 180, 20), "red": (200, 10, 10), "sky blue": (90, 160, 240)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in COLOURS.items():
        for split in ("train", "val"):
            (folder / split / name).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (12, 8), colour).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "run"
    how = ["--plainnet_struct", STRUCTURE, "--dataset", "image_folder", "--data_dir", str(data), "--workers", "0"]
    how += ["--input_image_size", "8", "--epochs", "6", "--batch_size", "4", "--lr", "0.1", "--save_dir", str(folder)]
    assert train_image_classification.main(how) == 0
    return folder


def by_hand(folder, colour):
    """The softmax of one colour's logits: a picture of one colour is the same however it is cut."""
    loaded = gsnet.load(folder)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (loaded.expected.mean, loaded.expected.std))
    image = (torch.tensor(colour).view(3, 1, 1).expand(3, 8, 8) / 255 - mean) / std
    with torch.no_grad():
        logits = loaded.module()(image[None].float())[0]
    return (logits.exp() / logits.exp().sum()).numpy()


@pytest.mark.parametrize("name", COLOURS)
def test_a_picture_a_file_and_an_array_are_the_same_image(data, trained, name):
    classifier = gsnet.Classifier.load(trained)
    assert classifier.class_names == ("green", "red", "sky blue")
    picture = Image.new("RGB", (20, 10), COLOURS[name])
    wanted = by_hand(trained, COLOURS[name])
    for image in (data / "val" / name / "0.png", str(data / "val" / name / "0.png"), picture, np.asarray(picture)):
        found = classifier(image)
        assert found.probabilities == pytest.approx(wanted, abs=1e-6)
        assert found.name == name == found.class_names[found.label] == found.top(1)[0]["name"]
        assert found.probability == pytest.approx(wanted.max(), abs=1e-6)
    assert [one["label"] for one in found.top()] == np.argsort(-wanted).tolist()


def test_a_module_of_a_programs_own_sees_the_same_image(data, trained):
    module = gsnet.load(trained).module().train()
    names = ["green", "red", "sky blue"]
    found = gsnet.Classifier.load(module, resolution=8, class_names=names)(data / "val" / "red" / "0.png")
    assert found.probabilities == pytest.approx(by_hand(trained, COLOURS["red"]), abs=1e-6)
    assert module.training and found.class_names == tuple(names)
    assert gsnet.Classifier.load(module, resolution=8).class_names == ("class 0", "class 1", "class 2")
    for options, sentence in (
        ({}, "A module does not say which images it takes: give resolution"),
        ({"resolution": 8, "weights": "best.pth"}, "A module holds its own weights: leave weights out"),
        ({"resolution": 8, "class_names": ["one"]}, "class_names has 1 names, and the module 3 classes"),
    ):
        with pytest.raises(InputError, match=sentence):
            gsnet.Classifier.load(module, **options)


def test_a_picture_is_what_its_file_is(trained, tmp_path):
    """16 bits, of which Pillow's own conversion makes white, and a picture that lies on its side."""
    thermal = tmp_path / "thermal.png"
    Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)).save(thermal)
    turned, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.linspace(0, 255, 192).astype(np.uint8).reshape(8, 8, 3)).save(turned, exif=exif)
    classifier = gsnet.Classifier.load(trained)
    for file in (thermal, turned):
        with Image.open(file) as picture:
            assert classifier(picture).probabilities == pytest.approx(classifier(file).probabilities, abs=1e-6)


def test_many_images_are_looked_at_in_batches(data, trained):
    classifier = gsnet.Classifier.load(trained, flip=True)
    images = [Image.new("RGB", (8, 8), colour) for colour in (*COLOURS.values(), (0, 0, 0), (255, 255, 255))]
    one_by_one = [classifier(image).probabilities for image in images]
    together = [found.probabilities for found in classifier.each(iter(images), batch_size=2)]
    assert np.allclose(one_by_one, together, atol=1e-6)
    assert list(classifier.each([])) == []


def test_mirror_images_count_as_much(trained):
    left, plain, flipped = (
        np.zeros((8, 8, 3), np.uint8),
        *(gsnet.Classifier.load(trained, flip=f) for f in (False, True)),
    )
    left[:, :3] = 255
    both = (plain(left).probabilities + plain(np.ascontiguousarray(left[:, ::-1])).probabilities) / 2
    assert flipped(left).probabilities == pytest.approx(both, abs=1e-6)


def test_what_was_exported_says_the_same(trained, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    wanted = gsnet.Classifier.load(trained)(image)
    for name in ("onnx", "safetensors"):
        file = tmp_path / f"net.{name}"
        assert export.main(["--arch", str(trained), "--format", name, "--output", str(file)]) == 0
        found = gsnet.Classifier.load(file)(image)
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-4)
        assert found.class_names == wanted.class_names


@pytest.mark.parametrize(
    ("form", "suffix", "needs", "more", "tolerance"),
    [
        ("openvino", "xml", ("openvino",), (), 1e-4),
        ("ncnn", "param", ("ncnn", "pnnx"), (), 1e-4),
        ("torchscript", "pt", (), (), 1e-4),
        ("torchscript", "pt", (), ("--fp16",), 2e-2),
        ("opencv", "onnx", ("onnxruntime",), (), 1e-4),
    ],
)
def test_what_was_exported_for_other_runtimes_says_the_same(trained, tmp_path, form, suffix, needs, more, tolerance):
    for library in needs:
        pytest.importorskip(library)
    images = list(np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), np.uint8))
    wanted = gsnet.Classifier.load(trained)
    file = tmp_path / f"net.{suffix}"
    assert export.main(["--arch", str(trained), "--format", form, "--output", str(file), *more]) == 0
    for flip in (False, True):
        classifier = gsnet.Classifier.load(file, flip=flip)
        assert classifier.class_names == wanted.class_names and classifier.expected == wanted.expected
        others = gsnet.Classifier.load(trained, flip=flip).each(images)
        for found, other in zip(classifier.each(images), others, strict=True):
            assert found.probabilities == pytest.approx(other.probabilities, abs=tolerance)
    assert gsnet.Classifier.load(file, class_names=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(InputError, match="class_names has 2 names"):
        gsnet.Classifier.load(file, class_names=["a", "b"])
    if form != "opencv":
        with pytest.raises(InputError, match=r"written for images of 8 x 8 pixels: leave resolution out"):
            gsnet.Classifier.load(file, resolution=16)
        with pytest.raises(InputError, match="holds its own weights: leave weights out"):
            gsnet.Classifier.load(file, weights=trained)


def test_an_exported_file_that_says_nothing_is_what_the_checkpoint_beside_it_is(trained, tmp_path):
    """As formats have it in which nothing can be said: ExecuTorch's and LiteRT's."""
    network, image = gsnet.load(trained).module(), torch.zeros(1, 3, 8, 8)
    lonely = tmp_path / "net.pt"
    torch.jit.trace(network, image).save(str(lonely))
    with pytest.raises(InputError, match=r"net\.pt does not say how images reach it nor what its classes are"):
        gsnet.Classifier.load(lonely)
    folder = shutil.copytree(trained, tmp_path / "run")
    shutil.copy(lonely, folder)
    red = Image.new("RGB", (8, 8), COLOURS["red"])
    found = gsnet.Classifier.load(folder / "net.pt")(red)
    assert found.name == "red" and found.probabilities == pytest.approx(by_hand(trained, COLOURS["red"]), abs=1e-5)
    with pytest.raises(InputError, match=r"holds a detector: gsnet\.Detector takes it"):
        exported_classifier._said_by(lonely, {"detector": "{}"})
    for suffix, package in ((".pte", "executorch"), (".tflite", "ai-edge-litert")):
        file = tmp_path / f"net{suffix}"
        file.write_bytes(b"no such file")
        if find_spec(package.replace("-", "_")) is None:
            with pytest.raises(InputError, match=f"not installed: pip install {package}"):
                gsnet.Classifier.load(file)


@pytest.mark.parametrize("suffix", [".xml", ".param", ".pt"])
def test_a_torn_exported_file_is_one_sentence(tmp_path, suffix):
    file = tmp_path / f"net{suffix}"
    file.write_bytes(b"<net")
    with pytest.raises(InputError, match=re.escape(str(file))):
        gsnet.Classifier.load(file)


def test_a_structure_with_a_checkpoints_weights(trained):
    classifier = gsnet.Classifier.load(STRUCTURE, weights=trained, class_names=["a", "b", "c"])
    red = Image.new("RGB", (8, 8), COLOURS["red"])
    assert classifier(red).name == "b"
    assert classifier(red).probabilities == pytest.approx(by_hand(trained, COLOURS["red"]), abs=1e-6)


def test_wrong_input_is_one_sentence(trained, tmp_path):
    searched = tmp_path / "search"
    gsnet.search(STRUCTURE, space="XXBL", proxy="Params", iterations=20, resolution=8, num_classes=3, save_dir=searched)
    with pytest.raises(InputError, match=r"class_names has 2 names, and .+ has 3 classes"):
        gsnet.Classifier.load(trained, class_names=["a", "b"])
    for path in (STRUCTURE, searched):
        with pytest.raises(InputError, match=r"give a checkpoint with weights FILE$"):
            gsnet.Classifier.load(path)
    with pytest.raises(InputError, match="There is no file or folder"):
        gsnet.Classifier.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"There is no file missing\.pth: weights takes a checkpoint"):
        gsnet.Classifier.load(trained, weights="missing.pth")
    for path in (3, "", "  ", tmp_path / "net.xml"):
        with pytest.raises(InputError, match=r"^path is|There is no file .*net\.xml"):
            gsnet.Classifier.load(path)
    with pytest.raises(InputError, match=r"class_names is 'abc': it must be a sequence"):
        gsnet.Classifier.load(trained, class_names="abc")
    for side in (0, "a", True):
        with pytest.raises(InputError, match="resolution"):
            gsnet.Classifier.load(trained, resolution=side)
    classifier = gsnet.Classifier.load(trained)
    with pytest.raises(InputError, match="not a list"):
        classifier([1, 2])
    with pytest.raises(InputError, match=r"not \(8, 8\) uint8"):
        classifier(np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="There is no file"):
        classifier(tmp_path / "none.png")
    with pytest.raises(InputError, match=r"count is -1"):
        classifier(np.zeros((8, 8, 3), np.uint8)).top(-1)
    with pytest.raises(InputError, match="batch_size is 0"):
        next(classifier.each([], batch_size=0))
    with pytest.raises(InputError, match=r"^pictures is one path: give a list of files"):
        next(classifier.each("pictures"))


def test_a_detector_is_read_by_another(tmp_path):
    file = tmp_path / "best-params_rank0.pth"
    torch.save({"detector": {}, "preprocessing": {}, "state_dict": {}}, file)
    assert holds_detector(file)
    for path in (file, tmp_path):
        with pytest.raises(InputError, match=r"holds a detector: programs read it by gsnet.Detector and"):
            gsnet.Classifier.load(path)
