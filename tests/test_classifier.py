"""`gsnet.Classifier`: what a trained network says of images, from Python."""

import numpy as np
import pytest
import torch
from PIL import Image

import gsnet
from gsnet import InputError
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
        with pytest.raises(InputError, match=r"^path is|net.xml is for another runtime"):
            gsnet.Classifier.load(path)
    with pytest.raises(InputError, match=r"class_names is 'abc': it must be a sequence"):
        gsnet.Classifier.load(trained, class_names="abc")
    for side in (0, "a", True):
        with pytest.raises(InputError, match="input_image_size"):
            gsnet.Classifier.load(trained, input_image_size=side)
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


def test_a_detector_is_read_by_another(tmp_path):
    file = tmp_path / "best-params_rank0.pth"
    torch.save({"detector": {}, "preprocessing": {}, "state_dict": {}}, file)
    assert holds_detector(file)
    for path in (file, tmp_path):
        with pytest.raises(InputError, match=r"holds a detector: .* gsnet.Detector take it"):
            gsnet.Classifier.load(path)
