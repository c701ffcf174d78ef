"""Trainings in several processes: coupled, stopped, killed, restarted, and equal to one process."""

import copy
import csv
import importlib.util
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from gsnet.commands import train_image_classification as script
from gsnet.commands import ts_train_image_classification as distilling
from gsnet.data import DataSettings, validation_loader
from gsnet.interface.options import InputError
from gsnet.models import load_model
from gsnet.training import checkpoints
from gsnet.training.evaluation import evaluate
from gsnet.training.options import parse, parser
from gsnet.training.precision import ApexPrecision
from gsnet.training.resuming import interrupted
from gsnet.training.synchronised import synchronised
from gsnet.validation.processes import Vote, copy_buffers_from_first, place, process_group, summed, told_by_first

ROOT = Path(__file__).parent.parent
HAS_HOROVOD = importlib.util.find_spec("horovod") is not None
DATA = ["--dataset", "fake", "--input_image_size", "16", "--num_classes", "10", "--workers_per_gpu", "0"]
STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
WITH_NORMS = ["--arch", "Masternet.py:MasterNet", "--plainnet_struct", STRUCTURE, "--weight_init", "custom"]
LEARNING = ["--lr", "0.1", "--wd", "0.01", "--nesterov", "--label_smoothing"]
# Without batch normalisation, so that the split of a batch cannot matter.
PLAIN_NETWORK = """
from torch import nn


class Plain(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes))
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Options of a network without normalisation."""
    file = tmp_path_factory.mktemp("network") / "plain.py"
    file.write_text(PLAIN_NETWORK)
    return ["--arch", f"{file}:Plain"]


@pytest.fixture(scope="module")
def processes():
    """Processes that start with torch imported."""
    context = multiprocessing.get_context("forkserver")
    slow_to_import = ["torch._dynamo", "torch.distributions", "torchvision", "matplotlib.figure"]
    context.set_forkserver_preload([*slow_to_import, "gsnet.training.command", "train_image_classification"])
    return context


def arguments(folder, network, *more):
    return [*DATA, *network, *LEARNING, "--save_dir", str(folder), *map(str, more)]


def member(rank, port, function, *values):
    """One of two processes with the environment that torchrun gives."""
    torch.set_num_threads(1)
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank}
    os.environ |= {name: str(value) for name, value in here.items()}
    sys.exit(function(*values))


def pair(context, function, *values):
    """Two processes of one group that run a function, not started yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [context.Process(target=member, args=(rank, port, function, *values)) for rank in range(2)]


@contextmanager
def running(group):
    """Started processes, of which none is left behind."""
    for process in group:
        process.start()
    try:
        yield
        for process in group:
            process.join(300)
    finally:
        for process in group:
            process.kill()


def wait_for(file, seconds=300, rows=0):
    """Until a file has more than a number of lines."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists() and len(file.read_text().splitlines()) > rows:
            return
        time.sleep(0.01)
    raise TimeoutError(file)


def weights(folder):
    return torch.load(folder / checkpoints.LATEST, weights_only=True)["state_dict"]


def assert_close_weights(folder, other, tolerance=1e-6):
    one, two = weights(folder), weights(other)
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.allclose(value, two[key], atol=tolerance, rtol=0), key


def log_rows(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def use_every_collective():
    """Runs in each of two processes; an assertion that fails is its exit status."""
    with process_group("cpu"):
        rank = place()[0]
        assert place() == (rank, 2) and rank == int(os.environ["RANK"])
        assert summed(torch.tensor([1.0, rank])).tolist() == [2, 1]
        assert told_by_first(b"from the first" if rank == 0 else b"from another") == b"from the first"
        assert told_by_first(b"" if rank == 0 else b"from another") == b""
        norm = nn.BatchNorm1d(2)
        norm.running_mean.fill_(rank)
        norm.num_batches_tracked.fill_(10 + rank)
        copy_buffers_from_first(norm)
        assert norm.running_mean.tolist() == [0, 0] and norm.num_batches_tracked == 10
        vote = Vote()
        # Only the second process says yes, and both learn of it one call later.
        assert [vote.cast(rank == 1 and call == 1) for call in range(4)] == [False, False, True, False]
        vote.cast(rank == 1)
        assert vote.settle() and not vote.settle()
        share = DataSettings("fake", None, 8, 0, 16, rank=rank, processes=2, fake_images=37)
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
        found = evaluate(network, validation_loader(share), "cpu")
        whole = list(validation_loader(DataSettings("fake", None, 8, 0, 16, fake_images=37)))
        assert found.images == sum(len(labels) for _, labels in whole)
        hits = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in whole)
        assert found.top1 == pytest.approx(100 * hits / found.images)
    assert place() == (0, 1) and Vote().cast(True) and told_by_first(b"alone") == b"alone"


def test_two_processes_agree(processes):
    group = pair(processes, use_every_collective)
    with running(group):
        pass
    assert [process.exitcode for process in group] == [0, 0]


def test_sigterm_to_one_of_two_stops_both_after_the_same_step(tmp_path, processes, plain):
    more = ("--batch_size", 4, "--epochs", 3, "--ema", 0.9)
    torn, whole = tmp_path / "torn", tmp_path / "whole"
    group = pair(processes, script.main, arguments(torn, plain, *more, "--dist_mode", "ddp"))
    with running(group):
        wait_for(torn / "config.json")
        time.sleep(0.2)
        group[1].terminate()
    assert [process.exitcode for process in group] == [143, 143]
    state = torch.load(torn / checkpoints.LATEST, weights_only=True)
    assert state["step"] > 0
    # One process goes on where two stopped: the order of images does not depend on how many share them.
    assert script.main(arguments(torn, plain, *more, "--auto_resume")) == 0
    assert script.main(arguments(whole, plain, *more)) == 0
    assert_close_weights(whole, torn)
    for one, two in zip(log_rows(whole), log_rows(torn), strict=True):
        assert float(one["train_loss"]) == pytest.approx(float(two["train_loss"]), rel=1e-5)


def test_two_processes_validate_with_the_weights_that_are_saved(tmp_path, processes):
    more = ("--batch_size", 32, "--epochs", 1, "--batches_per_allreduce", 2, "--fp16_allreduce", "--grad_norm", 5)
    group = pair(processes, script.main, arguments(tmp_path, WITH_NORMS, *more, "--dist_mode", "ddp"))
    with running(group):
        pass
    assert [process.exitcode for process in group] == [0, 0]
    logged = (tmp_path / "train_image_classification.log").read_text()
    assert logged.count("epoch 1/1") == 1
    assert sorted(file.suffix for file in tmp_path.iterdir() if file.is_file()).count(".pth") == 2
    saved = checkpoints.load(tmp_path / checkpoints.LATEST)
    network = load_model("Masternet.py:MasterNet", num_classes=10, plainnet_struct=STRUCTURE)
    network.load_state_dict(saved["state_dict"])
    found = evaluate(network, validation_loader(DataSettings("fake", None, 32, 0, 16)), "cpu")
    row = log_rows(tmp_path)[-1]
    assert float(row["val_loss"]) == pytest.approx(found.loss, rel=1e-6)
    assert float(row["val_acc1"]) == found.top1


def test_two_students_learn_from_a_teacher_as_one_with_the_double_batch(tmp_path, processes, plain):
    one, two = tmp_path / "one", tmp_path / "two"
    teacher = (
        "--teacher_arch",
        plain[1],
        "--teacher_untrained",
        "--teacher_logit_weight",
        1,
        "--teacher_temperature",
        2,
    )
    maps = ("--teacher_feature_weight", 1, "--target_downsample_ratio", 2, "--ts_proj_no_bn")
    more = (*teacher, *maps, "--batch_size", 64, "--epochs", 2)
    group = pair(processes, distilling.main, arguments(two, plain, *more, "--dist_mode", "ddp"))
    with running(group):
        pass
    assert [process.exitcode for process in group] == [0, 0]
    assert distilling.main(arguments(one, plain, *more)) == 0
    assert any("project" in key for key in weights(one))
    assert_close_weights(one, two)
    for alone, together in zip(log_rows(one), log_rows(two), strict=True):
        assert float(alone["train_loss"]) == pytest.approx(float(together["train_loss"]), rel=1e-5)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_worker_s_run_goes_on_from_its_last_checkpoint(tmp_path, plain):
    more = ("--batch_size", 16, "--epochs", 10)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max-restarts=1"]
    command = [*launcher, "train_image_classification.py", "--dist_mode", "ddp"]
    command += arguments(tmp_path / "torn", plain, *more)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    torchrun = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path / "torn" / "log.csv", rows=2)
        os.kill(children(torchrun.pid)[-1], signal.SIGKILL)
        _, errors = torchrun.communicate(timeout=300)
    finally:
        torchrun.kill()
    assert torchrun.returncode == 0, errors[-9000:]
    assert "Resuming at epoch" in errors
    assert script.main(arguments(tmp_path / "whole", plain, *more)) == 0
    # Two processes round sums otherwise than one: on processors without AVX-512 ten epochs make 1e-4 of that.
    assert_close_weights(tmp_path / "whole", tmp_path / "torn", tolerance=1e-3)
    assert [row["epoch"] for row in log_rows(tmp_path / "torn")] == [str(epoch) for epoch in range(10)]


def test_a_restarted_group_ignores_the_checkpoint_of_an_earlier_training(tmp_path, monkeypatch, plain):
    assert script.main(arguments(tmp_path, plain, "--batch_size", 128, "--epochs", 1)) == 0
    options = parse(parser(""), arguments(tmp_path, plain))
    latest, config = tmp_path / checkpoints.LATEST, tmp_path / "config.json"
    os.utime(config, (1000, 1000))
    assert interrupted(options) is None
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert interrupted(options).state["epoch"] == 0
    os.utime(latest, (999, 999))
    assert interrupted(options) is None


@pytest.mark.skipif(not HAS_HOROVOD, reason="Horovod is not installed: bash scripts/install_horovod.sh builds it")
def test_two_processes_of_horovod_train_to_the_weights_of_one(tmp_path, plain):
    one, two = tmp_path / "one", tmp_path / "two"
    assert script.main(arguments(one, plain, "--batch_size", 64, "--epochs", 2)) == 0
    launcher = [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "-H", "localhost:2", "--gloo"]
    command = [*launcher, sys.executable, "train_image_classification.py", "--dist_mode", "horovod"]
    command += arguments(two, plain, "--batch_size", 32, "--batches_per_allreduce", 2, "--epochs", 2)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert_close_weights(one, two)
    for alone, together in zip(log_rows(one), log_rows(two), strict=True):
        for name in ("train_loss", "val_loss", "val_acc1", "val_acc5"):
            assert float(alone[name]) == pytest.approx(float(together[name]), rel=1e-5), name


@pytest.mark.skipif(not HAS_HOROVOD, reason="Horovod is not installed: bash scripts/install_horovod.sh builds it")
def test_two_students_of_horovod_learn_from_a_teacher_as_one(tmp_path, plain):
    one, two = tmp_path / "one", tmp_path / "two"
    teacher = ("--teacher_arch", plain[1], "--teacher_untrained", "--teacher_logit_weight", 1)
    more = (*teacher, "--teacher_feature_weight", 1, "--target_downsample_ratio", 2, "--ts_proj_no_bn", "--epochs", 2)
    assert distilling.main(arguments(one, plain, *more, "--batch_size", 64)) == 0
    launcher = [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "-H", "localhost:2", "--gloo"]
    command = [*launcher, sys.executable, "ts_train_image_classification.py", "--dist_mode", "horovod"]
    command += arguments(two, plain, *more, "--batch_size", 64)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert_close_weights(one, two)


@pytest.mark.skipif(HAS_HOROVOD, reason="Horovod is installed")
def test_without_horovod_the_message_says_how_to_build_it(tmp_path, plain):
    with pytest.raises(InputError, match=r"scripts/install_horovod\.sh"):
        script.main(arguments(tmp_path, plain, "--dist_mode", "horovod"))


@pytest.mark.skipif(not HAS_HOROVOD, reason="Horovod is not installed: bash scripts/install_horovod.sh builds it")
def test_horovod_s_norms_take_the_tensors_of_torch_s():
    import horovod.torch as horovod

    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)))
    before = network.state_dict()
    weight = network[1][0].weight
    network = synchronised(network, horovod.SyncBatchNorm)
    norm = network[1][0]
    assert isinstance(norm, horovod.SyncBatchNorm) and norm.weight is weight
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)
    assert network.state_dict().keys() == before.keys()


def test_norms_over_several_gpus_keep_the_activations_of_timm_s_layers():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050").eval()
    images, before = torch.randn(2, 3, 64, 64), network.state_dict()
    with torch.no_grad():
        expected = network(images)
        changed = copy.deepcopy(synchronised(network, nn.SyncBatchNorm))
        # torch's layer takes other devices' tensors where it does not train.
        torch.testing.assert_close(changed(images), expected, rtol=0, atol=0)
    assert changed.state_dict().keys() == before.keys()
    norms = [layer for layer in changed.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(layer, nn.SyncBatchNorm) for layer in norms)


def test_norms_that_do_more_are_refused_over_several_gpus():
    class Doubled(nn.BatchNorm2d):
        def forward(self, maps):
            return 2 * super().forward(maps)

    with pytest.raises(InputError, match=r"Doubled does more than batch normalisation.*without --sync_bn"):
        synchronised(nn.Sequential(nn.Conv2d(3, 4, 1), Doubled(4)), nn.SyncBatchNorm)


PUBLISHED_APEX = ("--dist_mode", "apex", "--apex", "--apex_opt_level", "O1", "--apex_loss_scale", "dynamic")


def test_published_lines_for_apex_train_and_say_once_what_does_its_work(tmp_path, monkeypatch, plain):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    more = ("--batch_size", 128, "--epochs", 1, "--sync_bn")
    assert script.main(arguments(tmp_path, plain, *PUBLISHED_APEX, *more)) == 0
    log = (tmp_path / "train_image_classification.log").read_text()
    assert log.count("Apex") == 1 and "torch.amp" in log


class RecordedAmp:
    """Stands for apex.amp, which needs a GPU, and keeps what it was asked."""

    def __init__(self):
        self.calls = []

    def initialize(self, task, optimiser, **options):
        self.calls.append(("initialize", options["opt_level"], options["loss_scale"]))
        return task, optimiser

    @contextmanager
    def scale_loss(self, loss, optimiser, delay_unscale):
        self.calls.append(("scale_loss", delay_unscale))
        yield loss * 4


def test_an_installed_apex_is_asked_as_its_documentation_says():
    amp = RecordedAmp()
    precision = ApexPrecision(amp, "O1", 128.0)
    task = nn.Linear(1, 1, bias=False)
    optimiser = torch.optim.SGD(task.parameters(), 0.1)
    precision.initialise(task, optimiser)
    for last in (False, True):
        precision.backward(task(torch.ones(1, 1)).sum(), optimiser, last)
    assert task.weight.grad.item() == 8
    assert amp.calls == [("initialize", "O1", 128.0), ("scale_loss", True), ("scale_loss", False)]


@pytest.mark.parametrize(
    ("environment", "more", "message"),
    [
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}, ("--dist_mode", "horovod"), "started by horovodrun"),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}, (), "use --dist_mode ddp"),
        ({"HOROVOD_SIZE": "2"}, ("--dist_mode", "single"), "use --dist_mode horovod"),
        ({}, ("--dist_mode", "apex"), "started by torchrun"),
    ],
)
def test_a_launcher_that_does_not_fit_the_mode_is_named(tmp_path, monkeypatch, plain, environment, more, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        script.main(arguments(tmp_path, plain, *more))
