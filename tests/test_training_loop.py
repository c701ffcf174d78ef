"""Whole trainings: killed and resumed, in several processes, failing, and on real images."""

import ast
import csv
import logging
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from gsnet.commands import train_image_classification as script
from gsnet.interface.options import InputError
from gsnet.models import described
from gsnet.training import checkpoints
from gsnet.training.describing import complete
from gsnet.training.dry_run import dry_run
from gsnet.training.options import parser as option_parser
from gsnet.training.repeatable import repeatable

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT / ".." / "shared" / "data"))
ARCHIVE = DATA / "cifar10_jpeg_2000_1000.tar.gz"
STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
BASE = ["--dataset", "fake", "--input_image_size", "16", "--num_classes", "10", "--workers_per_gpu", "0"]
NETWORK = ["--arch", "Masternet.py:MasterNet", "--plainnet_struct", STRUCTURE, "--weight_init", "custom"]
# Without batch normalisation, and without anything random, so that the split of a batch cannot matter.
PLAIN_NETWORK = """
from torch import nn


class Plain(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes))
"""


def arguments(folder, *more, base=BASE, network=NETWORK):
    return [*base, *network, "--nesterov", "--save_dir", str(folder), *map(str, more)]


def log_rows(folder):
    """The log, without the one column that measures time."""
    with (folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


def weights(folder, name=checkpoints.LATEST):
    return torch.load(folder / name, weights_only=True)["state_dict"]


def assert_same_weights(folder, other, name=checkpoints.LATEST):
    one, two = weights(folder, name), weights(other, name)
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.equal(value, two[key]), key


def child(argv):
    """A training in a process of its own."""
    torch.set_num_threads(1)
    sys.exit(script.main(argv))


@pytest.fixture(scope="module")
def processes():
    """Processes that start with torch imported, so that a kill can come at any moment of the training itself."""
    context = multiprocessing.get_context("forkserver")
    slow_to_import = ["torch._dynamo", "torch.distributions", "torchvision", "matplotlib.figure"]
    context.set_forkserver_preload([*slow_to_import, "gsnet.training.command", "train_image_classification"])
    return context


HARD = ("--epochs", 16, "--batch_size", 64, "--mixup", "--cutmix", "--random_erase", "--ema", 0.9, "--warmup", 1)


def started(process, folder, marker="config.json"):
    """Start and wait until the marker is written anew: config.json when training begins, log.csv after an epoch."""
    file = folder / marker
    before = file.stat().st_mtime_ns if file.exists() else 0
    process.start()
    while process.is_alive() and (not file.exists() or file.stat().st_mtime_ns == before):
        time.sleep(0.005)


def test_killed_four_times_and_still_the_same_training(tmp_path, processes):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    start = processes.Process(target=child, args=(arguments(whole, *HARD),))
    start.start()
    start.join(300)
    assert start.exitcode == 0
    done = ast.literal_eval((whole / "train_image_classification.done").read_text())
    epoch = (done["training_elasped_time"] + done["validation_elasped_time"]) / 16
    moments, kills, reached = random.Random(7), 0, set()
    for i in range(4):
        process = processes.Process(target=child, args=(arguments(torn, *HARD, "--auto_resume"),))
        # By turns before and after the first epoch of the process, which takes longer than the others.
        started(process, torn, "log.csv" if i % 2 else "config.json")
        time.sleep(epoch * moments.uniform(0, 1.5))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        reached.add(len(log_rows(torn)) if (torn / "log.csv").exists() else 0)
    # Every kill came while it trained, and several after some progress.
    assert kills == 4 and len(reached) >= 2 and max(reached) < 16, reached
    last = processes.Process(target=child, args=(arguments(torn, *HARD, "--auto_resume"),))
    last.start()
    last.join(300)
    assert last.exitcode == 0
    assert_same_weights(whole, torn)
    assert_same_weights(whole, torn, checkpoints.BEST)
    assert log_rows(whole) == log_rows(torn) and len(log_rows(whole)) == 16


@pytest.mark.parametrize("cache", ["ram", "device"])
def test_images_in_memory_are_changed_alike_after_kills(tmp_path, processes, cache):
    """One kill between two epochs, and one within; without a cache it is the test above."""
    less = ("--fake_images", 32, "--batch_size", 8)
    how = ("--epochs", 6, *less, "--mixup", "--auto_augment", "--random_erase", "--cache", cache)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert script.main(arguments(whole, *how)) == 0
    kills = 0
    for _ in range(2):
        process = processes.Process(target=child, args=(arguments(torn, *how, "--auto_resume"),))
        started(process, torn, "log.csv")
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 2 and len(log_rows(torn)) < 6
    assert script.main(arguments(torn, *how, "--auto_resume")) == 0
    assert_same_weights(whole, torn)
    assert log_rows(whole) == log_rows(torn)


def test_on_a_gpu_convolutions_have_one_order_of_their_sums():
    """By itself cuDNN adds gradients up as threads are done; what was set before is set again."""
    cudnn = torch.backends.cudnn
    with repeatable("cuda:0"):
        assert cudnn.deterministic
    assert not cudnn.deterministic
    with repeatable("cpu"):
        assert not cudnn.deterministic


def test_a_training_is_made_of_repeatable_kernels(tmp_path, monkeypatch):
    seen = []

    @contextmanager
    def noted(device):
        seen.append(device)
        yield

    monkeypatch.setattr("gsnet.training.command.repeatable", noted)
    assert script.main(arguments(tmp_path, "--dry_run")) == 0
    assert seen == ["cpu"]


def test_sigterm_saves_within_the_epoch_and_exits_143(tmp_path, processes):
    more = ("--epochs", 1, "--batch_size", 2, "--label_smoothing")
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    process = processes.Process(target=child, args=(arguments(torn, *more),))
    started(process, torn)
    time.sleep(0.1)
    process.terminate()
    process.join(30)
    assert process.exitcode == 143
    state = torch.load(torn / checkpoints.LATEST, weights_only=True)
    assert 0 < state["step"] < 128
    assert script.main(arguments(torn, *more, "--auto_resume")) == 0
    assert script.main(arguments(whole, *more)) == 0
    assert_same_weights(whole, torn)
    assert log_rows(whole) == log_rows(torn)


def test_a_torn_latest_checkpoint_falls_back_to_the_one_before(tmp_path):
    more = ("--epochs", 2, "--batch_size", 128)
    assert script.main(arguments(tmp_path / "whole", *more)) == 0
    assert script.main(arguments(tmp_path / "torn", *more)) == 0
    latest = tmp_path / "torn" / checkpoints.LATEST
    latest.write_bytes(latest.read_bytes()[:5000])
    (tmp_path / "torn" / "train_image_classification.done").unlink()
    assert script.main(arguments(tmp_path / "torn", *more, "--auto_resume")) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "torn")


def test_a_finished_training_is_left_alone(tmp_path):
    assert script.main(arguments(tmp_path, "--epochs", 1, "--batch_size", 128)) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert {"log.csv", "curves.png", "config.json", "best-params_rank0.pth"} <= names
    before = (tmp_path / checkpoints.LATEST).stat().st_mtime_ns
    assert script.main(arguments(tmp_path, "--epochs", 1, "--batch_size", 128)) == 0
    assert (tmp_path / checkpoints.LATEST).stat().st_mtime_ns == before
    for more, message in (
        (("--epochs", 2, "--batch_size", 128), "finished after 1 epoch: go on to 2 with --auto_resume"),
        (("--epochs", 1, "--batch_size", 128, "--lr", 0.5), "--lr was not given and is now 0.5"),
        (
            ("--epochs", 1, "--batch_size", 128, "--lr", 0.5),
            f"delete {tmp_path}/train_image_classification.done and latest-params_rank0.pth* to train anew there",
        ),
        (("--epochs", 1, "--batch_size", 128, "--auto_resume", "--seed", 7), "--seed was 0 and is now 7"),
        (
            ("--epochs", 1, "--batch_size", 128, "--auto_resume", "--seed", 7),
            "and leave --auto_resume out, to train anew",
        ),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            script.main(arguments(tmp_path, *more))
    assert (tmp_path / checkpoints.LATEST).stat().st_mtime_ns == before


def test_an_interrupted_training_is_not_begun_anew_over_its_checkpoints(tmp_path, monkeypatch):
    more = ("--epochs", 2, "--batch_size", 128)
    assert script.main(arguments(tmp_path, *more, "--time_limit", 1e-9)) == 0
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.suffix in (".pth", ".json", ".csv")}
    latest = tmp_path / checkpoints.LATEST
    for again in (more, (*more, "--lr", 0.5)):
        with pytest.raises(InputError, match=f"^{tmp_path} holds a training that did not .*go on with --auto_resume"):
            script.main(arguments(tmp_path, *again))
    # Its checkpoint before is as good where a kill came between the two.
    latest.rename(tmp_path / checkpoints.BACKUP)
    with pytest.raises(InputError, match="did not come to its end"):
        script.main(arguments(tmp_path, *more))
    (tmp_path / checkpoints.BACKUP).rename(latest)
    assert files == {name: (tmp_path / name).read_bytes() for name in files}
    # A group that torchrun starts again has begun in this folder itself, and looking writes nothing.
    assert script.main(arguments(tmp_path, *more, "--dry_run")) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert script.main(arguments(tmp_path, *more)) == 0


def test_a_finished_training_goes_on_to_more_epochs(tmp_path):
    for epochs, more in ((1, ()), (2, ("--auto_resume",)), (3, ("--resume", tmp_path / checkpoints.LATEST))):
        assert script.main(arguments(tmp_path, "--epochs", epochs, "--batch_size", 128, *more)) == 0
        assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + epochs
        assert (tmp_path / "train_image_classification.done").is_file()
    # What cannot go on leaves the finished training as it is.
    more = ("--epochs", 4, "--batch_size", 128)
    with pytest.raises(InputError, match="There is no file"):
        script.main(arguments(tmp_path, *more, "--resume", tmp_path / "mistyped.pth"))
    assert (tmp_path / "train_image_classification.done").is_file()
    for name in (checkpoints.LATEST, checkpoints.LATEST + ".backup"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="finished after 3 epochs, and no checkpoint to go on from"):
        script.main(arguments(tmp_path, *more, "--auto_resume"))
    assert len(log_rows(tmp_path)) == 3


def test_a_training_goes_on_past_broken_pictures(tmp_path, noise_images, capsys):
    data = tmp_path / "data"
    shutil.copytree(noise_images, data)
    torn = data / "train/3/1.png"
    torn.write_bytes(torn.read_bytes()[:1500])
    (data / "test/7/0.png").write_bytes(b"")
    base = ["--dataset", "image_folder", "--data_dir", data, "--input_image_size", 16, "--workers_per_gpu", 0]
    more = ("--batch_size", 20)

    def train(folder, *more):
        return script.main(list(map(str, arguments(folder, *more, base=base))))

    with pytest.raises(InputError, match=r"2 images cannot be read: \S+3/1.png .*, \S+7/0.png .*--skip_broken 2$"):
        train(tmp_path / "none", "--epochs", 1, *more)
    with pytest.raises(InputError, match="more than --skip_broken 1 allows"):
        train(tmp_path / "none", "--epochs", 1, *more, "--skip_broken", 1)
    assert train(tmp_path / "whole", "--epochs", 2, *more, "--skip_broken", 2) == 0
    told = capsys.readouterr().err
    assert "left out, as skip_broken 2 allows" in told and "All others of 40 training and 10 validation images" in told
    assert train(tmp_path / "torn", "--epochs", 1, *more, "--skip_broken", 9) == 0
    assert train(tmp_path / "torn", "--epochs", 2, *more, "--skip_broken", 2, "--auto_resume") == 0
    assert [row["epoch"] for row in log_rows(tmp_path / "torn")] == ["0", "1"]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path, capsys):
    assert script.main(arguments(tmp_path, "--epochs", 3, "--batch_size", 64, "--lr", 1e30)) == 1
    message = capsys.readouterr().err
    assert "no longer a number in epoch 1" in message and "nothing is kept" in message
    assert not (tmp_path / checkpoints.LATEST).exists() and not (tmp_path / "train_image_classification.done").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--resume", "nowhere.pth"), "no file nowhere.pth"),
        (("--dist_mode", "ddp"), "torchrun --nproc_per_node"),
        (("--auto_resume", "--resume", "a"), "contradict"),
        (("--pretrained",), "--weight_init would overwrite"),
        (("--lr_mode", "exp"), "no --lr_mode 'exp'"),
        (("--optimizer", "lyon"), "no --optimizer 'lyon'"),
        (("--pretrained", "--weight_init", "None"), "give a checkpoint with --load_parameters_from FILE"),
        (("--batch_size", "1000"), "smaller --batch_size"),
        (("--dry_run", "--evaluate_only"), "contradict each other"),
        (
            ("--bce_loss", "--bce_target_thresh", "1"),
            "--bce_target_thresh 1.0 is not below what the right class .* has, 1,",
        ),
        (
            ("--bce_loss", "--bce_target_thresh", "0.95", "--label_smoothing", "0.1"),
            "the right class of an image has, 0.91,",
        ),
        (("--lr_per_256", "0", "--lr_head", "0.1"), "--lr_head 0.1 rises and falls with the learning rate, which is 0"),
        (("--lr_mode", "stagedecay", "--epochs", "3", "--lr_stage_list", "3,6"), "no stage ends within --epochs 3"),
    ],
)
def test_errors_are_one_sentence(tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        script.main(arguments(tmp_path, *more))


@pytest.mark.parametrize(
    ("arch", "more", "message"),
    [
        ("vit_tiny_patch16_224", (), r"cannot run on an image of 3 channels and 16 x 16 pixels \(.*224"),
        ("densenet121", ("--dry_run",), r"cannot run on an image of .* 16 x 16 pixels \(.*too small"),
        # One that sees larger images in training than in validation is asked for both.
        ("densenet121", ("--input_image_size", 64, "--train_crop_size", 16), "cannot run on an image of .* 16 x 16"),
        ("resnet18", ("--batch_size", 1), "batch normalisation sees a single value: raise --batch_size"),
        ("resnet18", ("--batch_size", 1, "--batches_per_allreduce", 2, "--dry_run"), "sees a single value"),
    ],
)
def test_images_that_a_network_cannot_look_at_are_told(tmp_path, arch, more, message):
    if arch.startswith("vit"):
        pytest.importorskip("timm", reason="timm is not installed")
    given = ["--arch", arch, "--epochs", "1", "--fake_images", "8", "--batch_size", "4"]
    with pytest.raises(InputError, match=message):
        script.main(list(map(str, [*BASE, *given, "--save_dir", tmp_path, *more])))
    assert not list(tmp_path.glob("*.pth"))


def test_a_network_without_weights_is_not_trained(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n\nclass Mine(nn.Module):\n    def forward(self, x):\n        return x.mean((2, 3))\n"
    )
    with pytest.raises(InputError, match="Mine has no weights that could be trained"):
        script.main(arguments(tmp_path, "--epochs", 1, network=["--arch", f"{file}:Mine"]))


def test_another_network_s_checkpoint_is_refused(tmp_path):
    assert script.main(arguments(tmp_path, "--epochs", 1, "--batch_size", 128)) == 0
    other = ["--arch", "resnet18"]
    with pytest.raises(InputError, match="another network's"):
        script.main(arguments(tmp_path / "b", "--resume", tmp_path / checkpoints.LATEST, network=other))


def test_a_dry_run_of_a_process_without_validation_images():
    """As one of two has none of a single image: it is no reason to fail."""
    loss = torch.ones(2)
    stepper = SimpleNamespace(task=nn.Identity(), step=lambda *_: loss, device="cpu")
    sampler = SimpleNamespace(set_epoch=lambda _: None, batches=10)
    training = type("Loader", (list,), {"sampler": sampler})([(None, None)] * 2)
    trainer = SimpleNamespace(stepper=stepper, training=training, validation=[], settings=SimpleNamespace(epochs=3))
    trainer.rate, trainer.check, trainer.evaluated = (lambda *_: 0.1), (lambda loss: None), (lambda limit: None)
    found = dry_run(trainer)
    assert found["seconds"] == 3 * found["seconds_per_epoch"] > 0


def test_a_dry_run_estimates_and_writes_nothing(tmp_path, capsys):
    assert script.main(arguments(tmp_path / "none", "--dry_run", "--batch_size", 16, "--epochs", 7)) == 0
    assert re.search(r"s an epoch, [\d.]+ s for 7 epochs; \d+\.\d\d GB of memory", capsys.readouterr().err)
    assert not (tmp_path / "none").exists()


def test_tensorboard_shows_the_log_s_curves_and_the_graph(tmp_path):
    assert script.main(arguments(tmp_path, "--epochs", 2, "--batch_size", 128)) == 0
    events = EventAccumulator(str(tmp_path / "runs/logs")).Reload()
    for column, name in (
        ("lr", "learning rate"),
        ("train_loss", "loss/training"),
        ("val_acc1", "accuracy/validation top-1"),
    ):
        shown = [(point.step, point.value) for point in events.Scalars(name)]
        logged = [(int(row["epoch"]) + 1, pytest.approx(float(row[column]), rel=1e-5)) for row in log_rows(tmp_path)]
        assert shown == logged
    assert "fc_linear" in str(events.Graph())


def test_what_writes_nothing_needs_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for look in ("--evaluate_only", "--dry_run"):
        assert script.main([*BASE, *NETWORK, look, "--batch_size", "8"]) == 0
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="--auto_resume goes on with what --save_dir holds"):
        script.main([*BASE, *NETWORK, "--evaluate_only", "--auto_resume"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        script.main([*BASE[2:], *NETWORK])
    assert "the following arguments are required: --dataset, --save_dir" in capsys.readouterr().err
    # A folder of pictures needs no name.
    for data in (["--data_dir", "nowhere"], ["--data_dir=nowhere"]):
        with pytest.raises(InputError, match=r"^There is no folder nowhere: --data_dir takes one"):
            script.main([*BASE[2:], *NETWORK, *data, "--save_dir", "out"])


@pytest.mark.parametrize(
    ("given", "side", "told"),
    [
        ({"arch": STRUCTURE}, 32, "images are 32 x 32 pixels, as cifar10 has them: neither options nor network"),
        (
            {"arch": "mine.py:Network"},
            32,
            "images are 32 x 32 pixels, as cifar10 has them: neither options nor network",
        ),
        ({"arch": STRUCTURE, "dataset": "fake"}, 224, "images are brought to 224 x 224 pixels, as neither"),
        # A library's network is made for a side.
        ({"arch": "resnet18"}, 224, "images of 32 x 32 pixels are brought to 224 x 224 pixels, as neither"),
        ({"arch": STRUCTURE, "input_image_size": 32}, 32, ""),
        ({"arch": "zennet_cifar10_model_size05M_res32"}, 32, ""),
    ],
)
def test_the_side_of_images_is_as_asked_for_or_said(given, side, told, caplog):
    asked = {"dataset": "cifar10", "save_dir": "none", **given}
    options = option_parser("", asked).parse_args(asked)
    caplog.set_level(logging.INFO)
    complete(options)
    assert options.input_image_size == side
    assert (told in caplog.text) and bool(caplog.text) == bool(told)


def test_where_nothing_is_trained_no_training_images_are_kept(tmp_path, capsys):
    assert script.main(arguments(tmp_path, "--evaluate_only", "--cache", "ram")) == 0
    told = capsys.readouterr().err
    assert "validation images are kept in memory" in told and "training images are kept" not in told


def test_options_of_a_teacher_are_accepted_with_a_word_where_there_is_none(tmp_path, capsys):
    more = ("--teacher_arch", "resnet18", "--teacher_pretrained", "--ts_proj_no_bn", "--deterministic", "--dry_run")
    assert script.main(arguments(tmp_path / "none", *more)) == 0
    found = capsys.readouterr().err
    assert "--teacher_arch has no effect: ts_train_image_classification.py" in found and "--seed fixes" in found


def test_accumulated_parts_are_one_step(tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN_NETWORK)
    network = ["--arch", f"{tmp_path}/plain.py:Plain"]
    common = ("--epochs", 2, "--lr", 0.1)
    assert script.main(arguments(tmp_path / "one", *common, "--batch_size", 64, network=network)) == 0
    parts = ("--batch_size", 16, "--batches_per_allreduce", 4)
    assert script.main(arguments(tmp_path / "four", *common, *parts, network=network)) == 0
    for key, value in weights(tmp_path / "one").items():
        assert torch.allclose(value, weights(tmp_path / "four")[key], atol=1e-6), key
    # What is computed in parts is validated in parts: a whole step need not fit into memory.
    for folder, batch in (("one", 64), ("four", 16)):
        assert described(tmp_path / folder).description.accuracy["batch_size"] == batch


@pytest.mark.parametrize(
    ("options", "tolerance"), [(("--channels-last", True), 1e-5), (("--compile",), 1e-5), (("--fp16",), 2e-2)]
)
def test_faster_ways_of_computing_learn_the_same(tmp_path, options, tolerance):
    """The last is bfloat16 here, whose numbers have three digits."""
    if "--compile" in options and shutil.which("g++") is None:
        pytest.skip("no g++, which torch.compile needs on a CPU")
    (tmp_path / "plain.py").write_text(PLAIN_NETWORK)
    network = ["--arch", f"{tmp_path}/plain.py:Plain"]
    common = ("--epochs", 1, "--lr", 0.1, "--batch_size", 64)
    assert script.main(arguments(tmp_path / "usual", *common, network=network)) == 0
    assert script.main(arguments(tmp_path / "other", *common, *options, network=network)) == 0
    usual, other = weights(tmp_path / "usual"), weights(tmp_path / "other")
    assert usual.keys() == other.keys()
    for key, value in usual.items():
        assert torch.allclose(value, other[key], atol=tolerance), key
    if "--fp16" in options:
        assert any(not torch.equal(value, other[key]) for key, value in usual.items())


def test_two_processes_train_to_the_weights_of_one_with_the_double_batch(tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN_NETWORK)
    network = ["--arch", f"{tmp_path}/plain.py:Plain"]
    common = ("--epochs", 2, "--batch_size", 64, "--lr", 0.1, "--label_smoothing")
    assert script.main(arguments(tmp_path / "one", *common, network=network)) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, "train_image_classification.py", "--dist_mode", "ddp"]
    command += arguments(tmp_path / "two", *common, network=network)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr[-2000:]
    for key, value in weights(tmp_path / "one").items():
        assert torch.allclose(value, weights(tmp_path / "two")[key], atol=1e-6), key
    for one, two in zip(log_rows(tmp_path / "one"), log_rows(tmp_path / "two"), strict=True):
        for name in one:
            assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-5), name


@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"no {ARCHIVE.name} in GSNET_DATA")
def test_it_learns_real_images(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    base = ["--dataset", "cifar10", "--data_dir", str(tmp_path / "cifar10"), "--input_image_size", "32"]
    more = ("--epochs", 4, "--batch_size", 64, "--lr", 0.1, "--workers_per_gpu", 0)
    assert script.main(arguments(tmp_path / "run", *more, base=base)) == 0
    # Chance is 10 %, and its standard deviation over 1,000 images 0.95.
    assert float(log_rows(tmp_path / "run")[-1]["val_acc1"]) > 20
