"""The best checkpoint of a training that goes on in another folder than it began in."""

import shutil

import pytest
import torch

from gsnet.commands import train_detection, train_image_classification, ts_train_image_classification
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.training import checkpoints

STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
# A rate of nothing, and no statistics: every epoch validates to the same figure, so that the first one stays the best.
STILL = ("--lr", 1e-30, "--wd", 0, "--keep_best", 2)
FAKE = ("--dataset", "fake", "--input_image_size", 8, "--num_classes", 4, "--workers_per_gpu", 0, "--fake_images", 32)
CLASSIFIER = (*FAKE, "--arch", STRUCTURE, "--bn_momentum", 0, "--batch_size", 16)
TEACHER = ("--teacher_arch", STRUCTURE, "--teacher_untrained", "--teacher_logit_weight", 1)
DETECTOR = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)SuperConvK1BNRELU(16,16,1,1)"
)
SIZE = ("--input_image_size", 64, "--neck_channels", 16, "--head_channels", 16, "--batch_size", 2, "--workers", 0)


@pytest.fixture(params=["classifier", "student", "detector"])
def train(request, tmp_path):
    """A script as a function of the folder and further options, returning the folder."""
    if request.param == "detector":
        scenes = SyntheticSettings(images=2, width=64, height=64, objects=(1, 2), classes=2, sides=(20, 30))
        data = write_synthetic(tmp_path / "scenes", scenes)
        # Nothing is found with certainty, so that no epoch is better than the first.
        own = ("--arch", DETECTOR, "--data_dir", data, *SIZE, "--val_interval", 1, "--score_threshold", 0.99)
        script = train_detection
    else:
        own = CLASSIFIER if request.param == "classifier" else (*CLASSIFIER, *TEACHER)
        script = train_image_classification if request.param == "classifier" else ts_train_image_classification

    def run(folder, *more):
        assert script.main([str(word) for word in (*own, *STILL, "--save_dir", folder, *more)]) == 0
        return folder

    return run


def epochs_of(folder):
    files = folder.glob("*best-params*")
    return {file.name: torch.load(file, weights_only=True)["epoch"] for file in files}


def test_the_best_epochs_come_along(tmp_path, train):
    other = train(tmp_path / "other", "--epochs", 2)
    before = epochs_of(other)
    assert before[checkpoints.BEST] == 0 and before["best-params_epoch2.pth"] == 1
    new = tmp_path / "new"
    for look in ("--dry_run", "--evaluate_only"):
        train(new, "--epochs", 3, "--resume", other / checkpoints.LATEST, look)
        assert not new.exists()
    # The folder means its latest checkpoint.
    train(new, "--epochs", 3, "--resume", other)
    assert epochs_of(new) == before
    assert (new / checkpoints.BEST).read_bytes() == (other / checkpoints.BEST).read_bytes()


def test_where_the_best_is_another_training_s_the_next_epoch_counts(tmp_path, train, capsys):
    other = train(tmp_path / "other", "--epochs", 1)
    early = shutil.copytree(other, tmp_path / "early")
    # Another seed's, which is of the same epoch.
    stranger = train(tmp_path / "stranger", "--epochs", 1, "--seed", 1)
    shutil.copy(stranger / checkpoints.BEST, early)
    (early / "best-params_epoch1.pth").unlink()
    capsys.readouterr()
    new = train(tmp_path / "new", "--epochs", 2, "--resume", early / checkpoints.LATEST)
    assert f"{early} has no {checkpoints.BEST} of epoch 1, the best so far" in capsys.readouterr().err
    assert epochs_of(new)[checkpoints.BEST] == 1
    # It is the best of the epochs that follow, too.
    train(new, "--epochs", 3, "--auto_resume")
    assert epochs_of(new)[checkpoints.BEST] == 1


def test_a_training_whose_best_was_removed_has_one_again(tmp_path, train):
    folder = train(tmp_path / "own", "--epochs", 1)
    (folder / checkpoints.BEST).unlink()
    train(folder, "--epochs", 2, "--auto_resume")
    assert epochs_of(folder)[checkpoints.BEST] == 1
