"""Data that teach nothing are refused, or said to do so, before hours are spent on them."""

import logging
from argparse import Namespace

import pytest

from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.training_command import training_sets
from gsnet.interface.options import InputError
from gsnet.training.settings_of_options import check_classes


def sets(folder, classes=None):
    options = Namespace(data_dir=folder, val_dir=None, data_format="auto", classes=classes, skip_broken=0)
    return training_sets(options)


@pytest.fixture
def scenes(tmp_path):
    """Two scenes with objects of pedestrians (1) and of ignored cars (4) alone."""
    folder = write_synthetic(tmp_path / "scenes", SyntheticSettings(images=2, width=64, height=64))
    for file in (folder / "annotations").iterdir():
        file.write_text("4,4,20,20,1,1,0,0\n30,30,20,20,0,4,0,0\n")
    return folder


def test_classes_without_an_object_are_told(scenes, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(sets(scenes)[0]) == 2
    (told,) = [record.getMessage() for record in caplog.records if "nothing is learnt" in record.getMessage()]
    assert "has an object of people, bicycle, car" in told and "pedestrian" not in told


@pytest.mark.parametrize("classes", [None, ["car", "bus"]])
def test_images_without_an_object_of_any_class_are_refused(classes, scenes):
    if classes is None:
        for file in (scenes / "annotations").iterdir():
            file.write_text("")
    with pytest.raises(
        InputError, match=r"none of the 2 images to train on has an object of .*: nothing can be learnt"
    ):
        sets(scenes, classes)


def test_one_class_alone_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        check_classes(Namespace(classes=["cat"]), 1)
        check_classes(Namespace(classes=["cat", "dog"]), 2)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("There is one class alone, so that every answer is right")
