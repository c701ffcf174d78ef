"""Data sets by name: what is read, how it is changed, and who gets which image."""

import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gsnet.data import DataSettings, data_set, training_loader, validation_loader
from gsnet.data.class_folder import training_classes
from gsnet.data.pictures import read_picture
from gsnet.data.skipping import BrokenImages
from gsnet.data.transforms import Lighting, training_transform, validation_transform
from gsnet.interface.options import InputError
from gsnet.training.image_check import check_images, pictures_of
from gsnet.validation.predict import class_names

DATA = Path(os.environ.get("GSNET_DATA", Path(__file__).parent.parent / ".." / "shared" / "data"))
ARCHIVE = DATA / "cifar10_jpeg_2000_1000.tar.gz"
FAKE = DataSettings("fake", None, batch_size=8, workers=0, input_image_size=32, fake_images=50, fake_classes=4)


def picture(value, size=(40, 32)):
    return Image.fromarray(np.full((size[1], size[0], 3), value, dtype=np.uint8))


@pytest.fixture
def tree(tmp_path):
    """Two classes of plain pictures: pixels 0 are cats, pixels 255 are dogs."""
    for split, count in (("train", 6), ("val", 3)):
        for name, value in (("cat", 0), ("dog", 255)):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                picture(value).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def order(loader, epoch, skip=0):
    loader.sampler.set_epoch(epoch, skip)
    return [index for _, index in loader.sampler]


def test_values_of_a_validation_image():
    cifar = validation_transform(replace(FAKE, dataset="cifar10"))(picture(255, (32, 32)))
    # (1 - mean) / deviation of the three channels, by hand.
    assert cifar[:, 0, 0].tolist() == pytest.approx([2.51409, 2.59679, 2.75373], abs=1e-4)
    imagenet = validation_transform(replace(FAKE, dataset="imagenet", input_image_size=224))(picture(0, (500, 375)))
    assert imagenet.shape == (3, 224, 224)
    assert imagenet[:, 9, 9].tolist() == pytest.approx([-2.11790, -2.03571, -1.80444], abs=1e-4)


def test_the_centre_is_an_eighth_smaller():
    assert replace(FAKE, input_image_size=224).resize == 256
    assert replace(FAKE, input_image_size=224, crop_image_size=320).resize == 366


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet"])
@pytest.mark.parametrize("size", [24, 32, 64])
@pytest.mark.parametrize("extra", [{}, {"auto_augment": True, "random_erase": 0.5}, {"augment": False}])
def test_training_images_have_the_size_asked_for(dataset, size, extra):
    transform = training_transform(replace(FAKE, dataset=dataset, input_image_size=size, **extra))
    assert transform(picture(90, (32, 32)).convert("L")).shape == (3, size, size)


def test_lighting_moves_along_the_principal_components():
    shift = Lighting.shift(torch.tensor([0.1, 0.0, 0.0])).flatten()
    assert shift.tolist() == pytest.approx([-0.01234, -0.01263, -0.01269], abs=1e-5)


@pytest.mark.parametrize("dataset", ["imagenet", "image_folder", "cifar10"])
def test_any_folder_of_folders(tree, dataset):
    settings = replace(FAKE, dataset=dataset, data_dir=tree, batch_size=4)
    images, labels = next(iter(validation_loader(settings)))
    assert images.shape == (4, 3, 32, 32) and labels.tolist() == [0, 0, 0, 1]
    assert images[0].max() < 0 < images[3].min()
    assert len(data_set(settings, train=True)) == 12


@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"no {ARCHIVE.name} in GSNET_DATA")
def test_the_sample_of_cifar_10(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    settings = replace(FAKE, dataset="cifar10", data_dir=tmp_path / "cifar10", batch_size=500)
    labels = torch.cat([labels for _, labels in validation_loader(settings)])
    assert labels.bincount().tolist() == [100] * 10
    assert np.bincount(data_set(settings, train=True).targets).tolist() == [200] * 10
    images = torch.cat([images for images, _ in validation_loader(settings)])
    # CIFAR-10's published pixel deviation of 0.247 over the 0.2 that images are divided by.
    assert images.mean().abs() < 0.1 and float(images.std()) == pytest.approx(1.22, abs=0.06)


def test_an_epoch_is_a_permutation_without_its_remainder():
    first, second = order(training_loader(FAKE), 0), order(training_loader(FAKE), 1)
    assert len(first) == len(set(first)) == 48 and set(first) <= set(range(50))
    assert first != second
    assert order(training_loader(FAKE), 0) == first
    assert order(training_loader(replace(FAKE, seed=1)), 0) != first


def test_two_processes_see_in_every_step_what_one_with_the_double_batch_sees():
    one = order(training_loader(replace(FAKE, batch_size=16)), 3)
    two = [order(training_loader(replace(FAKE, rank=rank, processes=2)), 3) for rank in (0, 1)]
    for step in range(3):
        parts = {*two[0][8 * step : 8 * step + 8], *two[1][8 * step : 8 * step + 8]}
        assert parts == set(one[16 * step : 16 * step + 16])


def test_an_interrupted_epoch_goes_on_with_the_same_images():
    settings = replace(FAKE, dataset="fake", batch_size=10, random_erase=0.5)
    loader = training_loader(settings)
    loader.sampler.set_epoch(2)
    whole = list(loader)
    loader.sampler.set_epoch(2, skip=3)
    assert len(loader) == 2
    for (images, labels), (others, other_labels) in zip(whole[3:], loader, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)


def test_workers_change_nothing_and_touch_no_random_state():
    alone = training_loader(replace(FAKE, random_erase=0.5))
    before = torch.get_rng_state()
    expected = list(alone)
    assert torch.equal(torch.get_rng_state(), before)
    for (images, labels), (others, other_labels) in zip(
        expected, training_loader(replace(FAKE, random_erase=0.5, workers=2)), strict=True
    ):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)


def test_every_validation_image_is_in_one_process():
    parts = [len(validation_loader(replace(FAKE, rank=rank, processes=3)).dataset) for rank in range(3)]
    assert parts == [17, 17, 16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "mnist"}, "no data set 'mnist'"),
        ({"dataset": "image_folder"}, "--data_dir"),
        ({"dataset": "imagenet", "data_dir": Path("/nowhere")}, "train/CLASS/IMAGE"),
        ({"dataset": "cifar100", "data_dir": Path("/nowhere")}, "neither a whole cifar-100-python nor train/CLASS"),
        ({"batch_size": 51}, "50 training images, a batch 51"),
        ({"augment": False, "random_erase": 0.5}, "contradicts"),
        ({"augment": False, "lighting": 0.2}, "contradicts"),
        ({"augment": False, "aug_repeats": 2}, "contradicts"),
        ({"input_image_crop": 1.5}, "share"),
        ({"input_image_crop": 0.0001}, "is not a share of the image that tests keep: 0.1 to 1"),
    ],
)
def test_errors_say_what_was_expected(change, message):
    with pytest.raises(InputError, match=message):
        training_loader(replace(FAKE, **change))


def test_usual_folders_are_below_the_home_folder(tree, monkeypatch):
    home = tree / "home"
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(InputError, match=f"There is no folder {home}/data/imagenet/images: .*val/CLASS/IMAGE"):
        validation_loader(replace(FAKE, dataset="imagenet"))
    (home / "data").mkdir(parents=True)
    (home / "data" / "imagenet").symlink_to(tree)
    assert len(validation_loader(replace(FAKE, dataset="imagenet")).dataset) == 6
    (home / "data" / "elsewhere").symlink_to(tree)
    elsewhere = replace(FAKE, dataset="image_folder", data_dir=Path("~/data/elsewhere"))
    assert len(validation_loader(elsewhere).dataset) == 6


def test_an_empty_split_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="one folder of pictures a class"):
        data_set(replace(FAKE, dataset="image_folder", data_dir=tmp_path), train=True)


def test_a_test_of_the_loader_takes_the_first_hundredth_and_the_first_tenth():
    settings = replace(FAKE, fake_images=450, batch_size=2, dataloader_testing=True)
    loader = training_loader(settings)
    assert sorted(order(loader, 0)) == [0, 1, 2, 3] and loader.sampler.images == 4
    one, two = (replace(settings, processes=2, rank=rank) for rank in (0, 1))
    found = [[label for _, labels in validation_loader(s) for label in labels.tolist()] for s in (one, two)]
    assert [len(labels) for labels in found] == [23, 22]
    everything = data_set(settings, train=False)
    assert found[1] == [everything[index][1] for index in range(1, 45, 2)]
    # Where a hundredth does not fill a batch of every process, a batch is taken.
    assert training_loader(replace(one, batch_size=8)).sampler.batches == 1


def tree_of(folder, *places):
    """A grey picture in each of these folders."""
    for place in places:
        (folder / place).mkdir(parents=True)
        picture(99).save(folder / place / "0.png")
    return replace(FAKE, dataset="image_folder", data_dir=folder)


def test_classes_of_validation_count_as_those_of_training(tmp_path):
    settings = tree_of(tmp_path, "train/a", "train/b", "train/d", "val/b", "val/d")
    assert [label for _, label in data_set(settings, train=False)] == [1, 2]
    assert data_set(settings, train=False).classes == ["a", "b", "d"]


def test_a_class_that_training_does_not_know_is_named(tmp_path):
    settings = tree_of(tmp_path, "train/a", "train/b", "val/a", "val/c")
    with pytest.raises(InputError, match=r"has the class c, which the training folder .* does not know"):
        data_set(settings, train=False)


def test_files_that_are_not_read_are_named(tree, caplog):
    assert len(data_set(replace(FAKE, dataset="image_folder", data_dir=tree), train=True)) == 12
    assert caplog.text == ""
    for name in ("cat/moving.gif", "dog/x.HEIC", "dog/.DS_Store", "Thumbs.db", "loose.png"):
        (tree / "train" / name).touch()
    assert len(data_set(replace(FAKE, dataset="image_folder", data_dir=tree), train=True)) == 12
    assert "train: files that are not read: cat/moving.gif, dog/x.HEIC, loose.png (jpg, " in caplog.text


def test_hidden_files_and_folders_are_no_classes_and_no_pictures(tree, caplog):
    """Jupyter leaves copies of pictures that were looked at, and macOS a file beside every picture on disks of others."""
    whole = (tree / "train/cat/0.png").read_bytes()
    for split in ("train", "val"):
        for name in (".ipynb_checkpoints/0-checkpoint.png", "cat/.ipynb_checkpoints/0-checkpoint.png", "cat/._0.png"):
            (tree / split / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / split / name).write_bytes(whole)
    assert training_classes(tree) == ["cat", "dog"] == class_names(2, tree)
    for train in (True, False):
        found = data_set(replace(FAKE, dataset="image_folder", data_dir=tree), train=train)
        assert found.classes == ["cat", "dog"]
        assert not [file for file, _ in found.samples if "/." in file.removeprefix(str(tree))]
    assert caplog.text == ""


def test_an_empty_class_folder_is_named(tmp_path):
    settings = tree_of(tmp_path, "train/a", "val/a")
    (tmp_path / "train/cats").mkdir()
    with pytest.raises(InputError, match="train has no pictures in cats: jpg, jpeg, png"):
        data_set(settings, train=True)
    assert len(data_set(settings, train=False)) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named(tmp_path, workers):
    settings = replace(tree_of(tmp_path, "train/a", "val/a"), workers=workers)
    whole = (tmp_path / "val/a/0.png").read_bytes()
    (tmp_path / "val/a/torn.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "val/a/void.jpg").touch()
    for name in ("torn.png", "void.jpg"):
        with pytest.raises(InputError) as error:
            list(validation_loader(settings))
        assert re.match(rf"\S*val/a/{name} is no picture that can be read", str(error.value)), str(error.value)
        assert "\n" not in str(error.value)
        (tmp_path / "val/a" / name).unlink()


def test_a_folder_in_the_place_of_a_picture_is_named(tmp_path):
    with pytest.raises(InputError, match="is a folder, and a picture was expected"):
        read_picture(tmp_path)


def test_pictures_are_turned_as_viewers_show_them(tmp_path):
    """Orientation 6 of EXIF: what lies on the left of the stored rows is the top."""
    settings = tree_of(tmp_path, "train/a", "val/a")
    stored = Image.fromarray(np.repeat(np.uint8([[0] * 20 + [255] * 20]), 32, axis=0))
    stored.getexif()[0x0112] = 6
    stored.save(tmp_path / "val/a/0.png", exif=stored.getexif())
    image, _ = data_set(settings, train=False)[0]
    assert float(image[:, 2].max()) < 0 < float(image[:, -3].min())


def broken_tree(folder, images=12):
    """Pictures of rising grey in train/a, of which the fourth and fifth are cut off and empty, and one whole one in val/a."""
    settings = tree_of(folder, "train/a", "val/a")
    for i in range(images):
        picture(10 * i).save(folder / f"train/a/{i:02}.png")
    (folder / "train/a/0.png").unlink()
    whole = (folder / "train/a/03.png").read_bytes()
    (folder / "train/a/03.png").write_bytes(whole[: len(whole) // 2])
    (folder / "train/a/04.png").write_bytes(b"")
    return replace(settings, batch_size=4, augment=False)


def greys(loader, epoch=0):
    """The grey values of an epoch's images in their order."""
    loader.sampler.set_epoch(epoch)
    return [round((float(v) * 0.229 + 0.485) * 255) for images, _ in loader for v in images[:, 0, 0, 0]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_is_replaced_by_the_next_that_is_whole(tmp_path, workers):
    settings = replace(broken_tree(tmp_path), workers=workers)
    broken = BrokenImages(allowed=2)
    loader = training_loader(settings, broken)
    places = [50 if i in (3, 4) else 10 * i for i in order(loader, 0)]
    assert greys(loader) == places and broken.count == 2
    # Known to be broken by now, which changes nothing.
    assert greys(loader) == places and broken.count == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_one_more_broken_picture_than_allowed_ends_it(tmp_path, workers):
    loader = training_loader(replace(broken_tree(tmp_path), workers=workers), BrokenImages(allowed=1))
    with pytest.raises(
        InputError, match=r"a/0[34].png is no picture .*, more than --skip_broken 1 allows: mend or delete"
    ):
        greys(loader)


def test_broken_pictures_are_missing_in_validation(tmp_path):
    settings = broken_tree(tmp_path)
    (tmp_path / "train").rename(tmp_path / "test")
    (tmp_path / "val/a/0.png").unlink()
    (tmp_path / "val/a").rmdir()
    (tmp_path / "val").rmdir()
    broken = BrokenImages(allowed=2)
    found = [len(labels) for _, labels in validation_loader(replace(settings, batch_size=1), broken)]
    assert found == [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1] and broken.count == 2


def test_pictures_are_looked_at_before_a_training(tmp_path, caplog):
    settings = broken_tree(tmp_path)
    caplog.set_level("INFO")
    broken = BrokenImages(allowed=2)
    sets = [loaded for make in (training_loader, validation_loader) for loaded in pictures_of(make(settings, broken))]
    check_images(broken, sets, threads=2)
    assert broken.count == 2 and "03.png" in caplog.text and "04.png" in caplog.text
    assert "All others of 12 training and 1 validation images can be read" in caplog.text
    # Too many for the time: nothing is said of them, and reading finds them.
    check_images(BrokenImages(), sets, threads=1, seconds=0.0)
    assert "Looking at all 12 training images first would take longer" in caplog.text
    broken = BrokenImages(allowed=1)
    with pytest.raises(
        InputError, match=r"2 images cannot be read: \S+03.png \(.*\), \S+04.png \(no picture in it\), more"
    ):
        check_images(broken, pictures_of(training_loader(settings, broken)), threads=1)
