"""Trainings that go on with other options than they began with, and states that are not worth keeping."""

import math
import shutil
import threading
from pathlib import Path

import pytest
import torch

from gsnet.commands import train_image_classification as script
from gsnet.interface.options import InputError
from gsnet.training import checkpoints, ending
from gsnet.training.precision import ApexPrecision, TorchPrecision
from gsnet.training.resuming import steps_done

STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
FAKE = ["--dataset", "fake", "--input_image_size", "16", "--num_classes", "10", "--workers_per_gpu", "0"]
NETWORK = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--weight_init", "custom"]
# Gradients of the first steps are near 1, so that this times such a rate is no number of float32 any more.
STEEP_NETWORK = """
from torch import nn


class Steep(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))

    def forward(self, images):
        return 100 * super().forward(images)
"""


def train(folder, *more, network=NETWORK):
    return script.main([*FAKE, *network, "--save_dir", str(folder), *map(str, more)])


def state_of(folder: Path, name: str = checkpoints.LATEST) -> dict:
    return torch.load(folder / name, weights_only=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A training by Adam that is one epoch old."""
    folder = tmp_path_factory.mktemp("begun")
    more = ("--optimizer", "adam", "--lr", 0.001, "--wd", 0.25, "--batch_size", 128, "--epochs", 1)
    assert train(folder, *more) == 0
    return folder / checkpoints.LATEST


def test_constants_of_the_optimiser_are_those_of_the_options(tmp_path, begun, capsys):
    more = ("--optimizer", "adam", "--lr", 0.001, "--batch_size", 128, "--epochs", 2, "--resume", begun)
    assert train(tmp_path, *more, "--wd", 0.5) == 0
    assert "Options differ from those of the training so far: epochs, wd" in capsys.readouterr().err
    state = state_of(tmp_path)["optimizer"]
    assert [group["weight_decay"] for group in state["param_groups"]] == [0.5, 0.0]
    # Two steps before, and two after.
    assert {int(entry["step"]) for entry in state["state"].values()} == {4}


@pytest.mark.parametrize("by_arch", [True, False])
def test_a_structure_and_a_file_with_it_are_the_same_option(tmp_path, capsys, by_arch):
    """Also as a person may break its line."""
    text = "SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,8,1,1)"
    file = tmp_path / "net.txt"
    file.write_text(text.replace(")S", ")\n S") + "\n")
    by_text, by_file = ("--arch", "--arch") if by_arch else ("--plainnet_struct", "--plainnet_struct_txt")
    more = ("--fake_images", 32, "--batch_size", 16, "--epochs")
    assert train(tmp_path / "out", *more, 1, network=[by_text, text]) == 0
    capsys.readouterr()
    assert train(tmp_path / "out", *more, 1, network=[by_file, str(file)]) == 0
    assert "skip" in capsys.readouterr().err
    # What is told of the network is what it was trained as, wherever the file is later.
    assert train(tmp_path / "out", *more, 2, "--auto_resume", network=[by_file, str(file)]) == 0
    file.write_text("SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,16,1,1)")
    with pytest.raises(InputError, match="holds a finished training with other options"):
        train(tmp_path / "out", *more, 2, network=[by_file, str(file)])
    file.unlink()
    assert train(tmp_path / "out", *more, 2, network=[by_text, text]) == 0
    assert "Options differ from those of the training so far: epochs" in capsys.readouterr().err


def test_a_structure_is_the_same_by_arch_and_by_its_own_option(tmp_path, capsys):
    text = "SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,8,1,1)"
    file = tmp_path / "net.txt"
    file.write_text(text)
    more = ("--fake_images", 32, "--batch_size", 16, "--epochs")
    assert train(tmp_path / "out", *more, 1, network=["--arch", text]) == 0
    by_option = (["--plainnet_struct", text], ["--arch", "PlainNet", "--plainnet_struct_txt", str(file)])
    for network in by_option:
        capsys.readouterr()
        assert train(tmp_path / "out", *more, 1, network=network) == 0
        assert "skip" in capsys.readouterr().err
    assert train(tmp_path / "option", *more, 1, network=by_option[0]) == 0
    # They are told apart by nothing, for they begin with the same weights.
    ours, theirs = (state_of(tmp_path / name)["state_dict"] for name in ("out", "option"))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert train(tmp_path / "option", *more, 2, "--auto_resume", network=["--arch", text]) == 0
    assert "Options differ from those of the training so far: epochs\n" in capsys.readouterr().err


def test_what_is_finished_goes_on_by_the_options_by_which_what_was_interrupted_does(tmp_path, capsys):
    assert train(tmp_path, "--fake_images", 32, "--batch_size", 16, "--epochs", 1) == 0
    with pytest.raises(InputError, match="--batch_size was 16 and is now 8"):
        train(tmp_path, "--fake_images", 32, "--batch_size", 8, "--epochs", 1, "--auto_resume")
    with pytest.raises(InputError, match="--batch_size was 16 and is now 8"):
        train(tmp_path, "--fake_images", 32, "--batch_size", 8, "--epochs", 2)
    assert train(tmp_path, "--fake_images", 32, "--batch_size", 8, "--epochs", 2, "--auto_resume") == 0
    assert "Options differ from those of the training so far: " in capsys.readouterr().err
    with pytest.raises(InputError, match="whose state --optimizer adam cannot go on"):
        train(
            tmp_path,
            "--fake_images",
            32,
            "--batch_size",
            8,
            "--epochs",
            3,
            "--auto_resume",
            "--optimizer",
            "adam",
            "--lr",
            0.001,
        )
    assert (tmp_path / "train_image_classification.done").is_file()


@pytest.mark.parametrize("other", ["sgd", "rmsprop", "adamw"])
def test_another_optimiser_cannot_go_on(tmp_path, begun, other):
    more = ("--optimizer", other, "--lr", 0.001, "--batch_size", 128, "--epochs", 2, "--resume", begun)
    with pytest.raises(InputError, match=f"checkpoint is of --optimizer adam, whose state --optimizer {other} cannot"):
        train(tmp_path, *more)


def test_a_checkpoint_without_a_scale_of_the_loss():
    """As one of float32 is for a run in half precision."""

    class Amp:
        def load_state_dict(self, state):
            raise AssertionError(state)

    by_torch, by_apex = TorchPrecision("cpu", torch.float16), ApexPrecision(Amp(), "O1")  # type: ignore[arg-type]
    assert by_torch.scaler.is_enabled()
    for precision in (by_torch, by_apex):
        precision.load_state_dict({})
    assert by_torch.scaler.get_scale() == 65536.0


def test_a_training_that_goes_on_in_another_format_says_so(tmp_path, capsys):
    """With a scale that begins anew: what is not scaled has none to keep."""
    more, scales = ("--fake_images", 32, "--batch_size", 16, "--fp16", "--epochs"), []
    for epochs, how in ((1, ["float16"]), (2, ["float16", "--auto_resume"]), (3, ["bfloat16", "--auto_resume"])):
        capsys.readouterr()
        assert train(tmp_path, *more, epochs, "--amp_dtype", *how) == 0
        scales.append(state_of(tmp_path)["scaler"])
    assert "Options differ from those of the training so far: epochs, amp_dtype\n" in capsys.readouterr().err
    # Steps without overflow, which torch counts: two an epoch.
    assert [scale.get("_growth_tracker") for scale in scales] == [2, 4, None]
    with pytest.raises(InputError, match="--amp_dtype was 'bfloat16' and is now 'float16'"):
        train(tmp_path, *more, 3, "--amp_dtype", "float16")


def test_an_epoch_goes_on_with_another_batch_after_the_images_that_it_has_seen(tmp_path):
    begin = ("--batch_size", 16, "--epochs", 1, "--lr", 0.01)
    assert train(tmp_path, *begin, "--time_limit", 1e-9) == 0
    state = state_of(tmp_path)
    assert (state["epoch"], state["step"], state["step_images"]) == (-1, 1, 16)
    # 8 steps of 32 or one of 256, of which the 16 images are a part that does not count.
    assert train(tmp_path, "--batch_size", 256, "--epochs", 1, "--lr", 0.01, "--auto_resume") == 0
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("step", "before", "now", "steps", "share", "of_epoch"),
    [
        (6, 32, 32, 6, 1.0, 20),
        (6, 32, 16, 12, 1.0, 20),
        (7, 32, 64, 3, 6 / 7, 20),
        (1, 16, 256, 0, 0.0, 20),
        (0, 16, 256, 0, 1.0, 20),
        # Images were taken away: what is left has no more than 4 steps.
        (6, 32, 32, 4, 4 / 6, 4),
    ],
)
def test_steps_of_another_size_by_hand(step, before, now, steps, share, of_epoch):
    assert steps_done({"step": step, "step_images": before}, now, of_epoch) == (steps, share)


@pytest.fixture
def pictures(tmp_path, noise_images):
    """A copy of the noise whose pictures may be changed: 40 of ten classes to train on."""
    return shutil.copytree(noise_images, tmp_path / "pictures")


def of_pictures(pictures, *more):
    return (*NETWORK, "--dataset", "image_folder", "--data_dir", str(pictures), "--workers_per_gpu", 0, *more)


def on_pictures(folder, pictures, *more):
    size = ("--input_image_size", 16, "--batch_size", 8, "--lr", 0.01)
    return script.main([str(word) for word in of_pictures(pictures, *size, "--save_dir", folder, *more)])


def test_classes_with_other_names_are_not_gone_on_with(tmp_path, pictures):
    assert on_pictures(tmp_path / "t", pictures, "--epochs", 1) == 0
    before = (tmp_path / "t" / checkpoints.LATEST).read_bytes()
    # It is the first no more: 1 to 9 would take the places of 0 to 8.
    for split in ("train", "test"):
        (pictures / split / "0").rename(pictures / split / "zero")
    with pytest.raises(InputError, match="has learnt other classes: class 0 was 0 and is now 1"):
        on_pictures(tmp_path / "t", pictures, "--epochs", 2, "--auto_resume")
    for split in ("train", "test"):
        shutil.rmtree(pictures / split / "zero")
    told = r"has learnt 10 classes \(0, 1, 2, 3, 4 and 5 more\), and there are 9 now \(1, 2, 3, 4, 5 and 4 more\)"
    with pytest.raises(InputError, match=told):
        on_pictures(tmp_path / "t", pictures, "--epochs", 2, "--auto_resume")
    assert (tmp_path / "t" / checkpoints.LATEST).read_bytes() == before


def test_an_epoch_goes_on_when_pictures_were_taken_away(tmp_path, pictures, monkeypatch, capsys):
    # Stopped after the fourth of five steps.
    steps = iter([False, False, False, True])
    with monkeypatch.context() as patched:
        patched.setattr(ending.Ending, "due", lambda self: next(steps))
        assert on_pictures(tmp_path / "t", pictures, "--epochs", 2, "--time_limit", "1h") == 0
    assert state_of(tmp_path / "t")["step"] == 4
    for label in range(10):
        for number in (0, 1):
            (pictures / "train" / str(label) / f"{number}.png").unlink()
    capsys.readouterr()
    # 20 pictures are two steps.
    assert on_pictures(tmp_path / "t", pictures, "--epochs", 2, "--auto_resume") == 0
    assert "The training had 40 training images so far, and there are 20 now" in capsys.readouterr().err
    rows = (tmp_path / "t" / "log.csv").read_text().splitlines()
    assert len(rows) == 3


def test_resume_does_not_write_over_another_training(tmp_path, begun):
    more = ("--optimizer", "adam", "--lr", 0.001, "--wd", 0.25, "--batch_size", 128)
    # One that was stopped in its second epoch.
    shutil.copytree(begun.parent, tmp_path / "own")
    (tmp_path / "own" / "train_image_classification.done").unlink()
    before = (tmp_path / "own" / checkpoints.LATEST).read_bytes()
    other = shutil.copytree(begun.parent, tmp_path / "other") / checkpoints.LATEST
    with pytest.raises(
        InputError, match=r"own holds a training of its own, which --resume .*/other/latest.* would write over"
    ):
        train(tmp_path / "own", *more, "--epochs", 2, "--resume", other)
    assert (tmp_path / "own" / checkpoints.LATEST).read_bytes() == before
    # A finished one has more epochs to go to, of its own alone.
    with pytest.raises(InputError, match="other holds a training of its own"):
        train(other.parent, *more, "--epochs", 2, "--resume", tmp_path / "own" / checkpoints.LATEST)
    assert train(tmp_path / "own", *more, "--epochs", 2, "--resume", tmp_path / "own" / checkpoints.LATEST) == 0


def test_a_folder_to_resume_is_its_latest_checkpoint(tmp_path, begun, capsys):
    more = ("--optimizer", "adam", "--lr", 0.001, "--wd", 0.25, "--batch_size", 128)
    own = shutil.copytree(begun.parent, tmp_path / "own")
    assert train(own, *more, "--epochs", 2, "--resume", own) == 0
    assert state_of(own)["epoch"] == 1
    # Torn, which leaves the one before it.
    (own / checkpoints.LATEST).write_bytes(b"torn")
    capsys.readouterr()
    assert train(tmp_path / "new", *more, "--epochs", 2, "--resume", own) == 0
    said = capsys.readouterr().err
    assert "Resuming at epoch 2/2" in said and checkpoints.BACKUP in said
    with pytest.raises(InputError, match=r"own holds a training of its own, which --resume .*/new would write over"):
        train(own, *more, "--epochs", 3, "--resume", tmp_path / "new")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InputError, match=f"empty holds no {checkpoints.LATEST}: --resume takes the folder of a training"
    ):
        train(tmp_path / "none", *more, "--epochs", 2, "--resume", tmp_path / "empty")


def test_time_of_a_part_of_an_epoch_counts(tmp_path):
    assert train(tmp_path, "--batch_size", 64, "--epochs", 1, "--time_limit", 1e-9) == 0
    assert state_of(tmp_path)["training_status_info"]["training_elasped_time"] > 0


def test_a_training_in_a_thread(tmp_path):
    """As a server or a notebook runs it: only the main thread may say what a signal does."""
    found = []
    more = ("--batch_size", 256, "--epochs", 1, "--lr", 0.01)
    thread = threading.Thread(target=lambda: found.append(train(tmp_path, *more)))
    thread.start()
    thread.join()
    assert found == [0] and (tmp_path / checkpoints.LATEST).is_file()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, capsys):
    file = tmp_path / "steep.py"
    file.write_text(STEEP_NETWORK)
    # One step an epoch, whose loss is one of weights that still were numbers.
    more = ("--batch_size", 256, "--epochs", 2, "--lr_mode", "linear", "--lr", 3e38, "--target_lr", 3e38)
    folder = tmp_path / "results"
    assert train(folder, *more, network=["--arch", f"{file}:Steep"]) == 1
    told = capsys.readouterr().err
    assert "weights are no longer numbers in epoch 1: lower --lr" in told and "nothing is kept" in told
    assert not list(folder.glob("*.pth"))


def test_a_good_state_stays_where_the_next_has_no_numbers(tmp_path, monkeypatch, capsys):
    """The last step of the second epoch, also where the time limit ends it there."""
    from gsnet.training.step import Stepper

    assert train(tmp_path, "--batch_size", 256, "--epochs", 1) == 0
    kept = (tmp_path / checkpoints.LATEST).read_bytes()
    learn = Stepper.step

    def overflow(self, *arguments):
        found = learn(self, *arguments)
        with torch.no_grad():
            next(self.task.network.parameters()).fill_(math.inf)
        return found

    monkeypatch.setattr(Stepper, "step", overflow)
    for more in ((), ("--time_limit", 1e-9)):
        assert train(tmp_path, "--batch_size", 256, "--epochs", 2, "--auto_resume", *more) == 1
        assert (
            f"in epoch 2: lower --lr or use --grad_norm; the last good state is in {tmp_path}"
            in capsys.readouterr().err
        )
        assert (tmp_path / checkpoints.LATEST).read_bytes() == kept


def test_validation_images_that_are_all_broken(tmp_path, noise_images):
    data = tmp_path / "data"
    shutil.copytree(noise_images, data)
    broken = sorted((data / "test").rglob("*.png"))
    for file in broken:
        file.write_bytes(b"")
    base = ["--dataset", "image_folder", "--data_dir", str(data), "--input_image_size", "16", "--workers_per_gpu", "0"]
    more = [
        "--batch_size",
        "20",
        "--epochs",
        "1",
        "--skip_broken",
        str(len(broken)),
        "--save_dir",
        str(tmp_path / "out"),
    ]
    with pytest.raises(InputError, match="None of the validation images can be read"):
        script.main([*base, *NETWORK, *more])
    assert not (tmp_path / "out" / checkpoints.LATEST).exists()


def test_where_a_training_goes_on_is_counted_as_its_progress_is(tmp_path, capsys):
    steps = ("--batch_size", 64, "--lr", 0.01, "--print_freq", 1)
    assert train(tmp_path, *steps, "--epochs", 1) == 0
    assert train(tmp_path, *steps, "--epochs", 2, "--auto_resume", "--time_limit", 1e-9) == 0
    said = capsys.readouterr().err
    assert "Resuming at epoch 2/2\n" in said and "epoch 2 step 1/4" in said and "is over" in said
    assert train(tmp_path, *steps, "--epochs", 2, "--auto_resume") == 0
    said = capsys.readouterr().err
    assert "Resuming at epoch 2/2, of which 1 step is done\n" in said and "epoch 2 step 2/4" in said


def test_a_training_without_a_checkpoint_says_that_it_begins_anew(tmp_path, capsys):
    more = ("--batch_size", 256, "--lr", 0.01, "--epochs", 1, "--auto_resume")
    assert train(tmp_path, *more) == 0
    assert "begins anew" not in capsys.readouterr().err
    # As a kill in the first epoch leaves the folder.
    for file in (*tmp_path.glob("*.pth*"), *tmp_path.glob("*.done")):
        file.unlink()
    assert train(tmp_path, *more) == 0
    assert f"{tmp_path} was stopped before its first checkpoint: it begins anew" in capsys.readouterr().err


@pytest.mark.parametrize("part", [0.0, 0.6, 1.0])
def test_a_torn_checkpoint_does_not_take_the_place_of_the_whole_one_before_it(tmp_path, capsys, part):
    more = ("--batch_size", 256, "--lr", 0.01, "--auto_resume")
    assert train(tmp_path, *more, "--epochs", 2) == 0
    latest, backup = tmp_path / checkpoints.LATEST, tmp_path / checkpoints.BACKUP
    good, content = backup.read_bytes(), latest.read_bytes()
    # Torn, or as long as before with other bytes in the middle, as a bad disk leaves it.
    middle = len(content) // 2
    torn = content[: int(part * len(content))] if part < 1 else content[:middle] + bytes(900) + content[middle + 900 :]
    latest.write_bytes(torn)
    checkpoints.save_latest(tmp_path, {"epoch": 7})
    assert backup.read_bytes() == good and torch.load(latest, weights_only=True) == {"epoch": 7}
    if part < 1:
        latest.write_bytes(torn)
        capsys.readouterr()
        assert train(tmp_path, *more, "--epochs", 3) == 0
        said = capsys.readouterr().err
        assert f"{latest} is no checkpoint that a training can go on from: the training goes on from the one" in said
        assert "Resuming at epoch 2/3" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--arch", "{}/absent"], "There is no file or folder .*absent: a results folder, a checkpoint or a name"),
        ([*NETWORK, "--reduced_decoding"], "--reduced_decoding is for large JPEG files"),
        ([*NETWORK, "--apex_loss_scale", "128", "--fp16"], "--apex_loss_scale does nothing on a processor"),
    ],
)
def test_a_training_that_cannot_begin_leaves_no_folder(tmp_path, more, said):
    """Also where its folder would lie in that of the network, which is then not said to be there without results."""
    save_dir = tmp_path / "absent" / "training"
    with pytest.raises(InputError, match=said):
        train(save_dir, network=[word.format(tmp_path) for word in more])
    assert list(tmp_path.iterdir()) == []
