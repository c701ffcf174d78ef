"""Scripts that train in several processes: their lines, where results go, and real runs of both launchers."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from gsnet.training.options import parse, parser

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
HAS_HOROVOD = importlib.util.find_spec("horovod") is not None
# Script -> what it starts, and what was published: processes, images of each and step, epochs.
CLASSIFYING = {
    "Zen_NAS_cifar_params1M_train_horovod": ("Zen_NAS_cifar_params1M", 4, 128, 1440, 4e-5),
    "GhostShuffle_cifar_params1M_train_horovod": ("GhostShuffle_cifar_params1M", 4, 256, 1440, 5e-4),
    "GhostShuffle_cifar_params2M_train_horovod": ("GhostShuffle_cifar_params2M", 4, 128, 1440, 5e-4),
}
DISTILLING = {
    "Zen_NAS_ImageNet_latency0.1ms_train": ("horovod", "01ms", 8, 64, 480),
    "Zen_NAS_ImageNet_latency0.5ms_train": ("horovod", "05ms", 8, 128, 480),
    "Zen_NAS_ImageNet_latency0.1ms_train_apex": ("apex", "01ms", 8, 256, 480),
    "Zen_NAS_ImageNet_latency0.5ms_train_apex": ("apex", "05ms", 8, 128, 480),
    "Zen_NAS_ImageNet_latency1.2ms_train_apex": ("apex", "12ms", 8, 256, 100),
}


def run(command, folder, **environment):
    own = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300)


def launched(name, folder, **environment):
    """The arguments that a script gives to Python, which is replaced by one that writes them down."""
    recorder, record = folder / "python", folder / "arguments"
    recorder.write_text(f'#!/bin/sh\n[ "$1" = -c ] || printf "%s\\n" "$@" >{record}\n')
    recorder.chmod(0o755)
    result = run(["bash", str(SCRIPTS / f"{name}.sh")], folder, PYTHON=str(recorder), **environment)
    assert result.returncode == 0, result.stderr
    return record.read_text().splitlines()


def value(arguments, option):
    return arguments[arguments.index(option) + 1]


@pytest.mark.parametrize("name", CLASSIFYING)
def test_horovod_lines_are_the_published_ones(name, tmp_path):
    search, count, batch, epochs, decay = CLASSIFYING[name]
    (tmp_path / "best_structure.txt").touch()
    arguments = launched(name, tmp_path, SAVE_DIR=str(tmp_path), PROCESSES=str(count))
    assert arguments[:2] == ["-m", "horovod.runner.launch"] and value(arguments, "-np") == str(count)
    script = arguments.index(f"{ROOT}/train_image_classification.py")
    options = parse(parser(""), arguments[script + 1 :])
    assert (options.dist_mode, options.batch_size_per_gpu, options.epochs, options.wd) == (
        "horovod", batch, epochs, decay,
    )  # fmt: skip
    assert options.save_dir == tmp_path / "cifar10_1440epochs" and options.sync_bn and options.mixup
    assert f"search {search} " in (SCRIPTS / f"{search}_search.sh").read_text()
    assert f" {search} " in (SCRIPTS / f"{name}.sh").read_text()


@pytest.mark.parametrize("name", DISTILLING)
def test_distilling_lines_are_the_published_ones(name, tmp_path):
    mode, published, count, batch, epochs = DISTILLING[name]
    arguments = launched(name, tmp_path, SAVE_DIR=str(tmp_path), PROCESSES=str(count))
    assert value(arguments, "--dist_mode") == mode
    assert value(arguments, "--arch") == f"zennet_imagenet1k_latency{published}_res224"
    assert value(arguments, "--batch_size_per_gpu") == str(batch)
    assert value(arguments, "--save_dir") == str(tmp_path / f"ts_effnet_b3ns_epochs{epochs}")
    assert value(arguments, "--nproc_per_node" if mode == "apex" else "-np") == str(count)
    assert ("--sync_bn" in arguments) == (mode == "horovod")
    (tmp_path / "best_structure.txt").touch()
    arguments = launched(name, tmp_path, SAVE_DIR=str(tmp_path), DATA_DIR="/images", EPOCHS="3", GPU="0,1,2")
    assert value(arguments, "--plainnet_struct_txt") == str(tmp_path / "best_structure.txt")
    assert value(arguments, "--data_dir") == "/images" and value(arguments, "--epochs") == "3"
    assert value(arguments, "--nproc_per_node" if mode == "apex" else "-np") == "3"


def test_without_a_search_the_message_says_so(tmp_path):
    name = SCRIPTS / "Zen_NAS_cifar_params1M_train_horovod.sh"
    result = run(["bash", str(name)], tmp_path, SAVE_DIR=str(tmp_path), PYTHON="/bin/true")
    assert result.returncode == 2 and "run the search first" in result.stderr


def test_every_script_is_tested():
    assert {*CLASSIFYING, *DISTILLING} == {path.stem for path in SCRIPTS.glob("*_train*.sh")}


@pytest.mark.parametrize("name", [*CLASSIFYING, *DISTILLING])
def test_scripts_run_to_their_last_line(name, tmp_path, warm_python):
    """On noise, two scripts in two processes; by torchrun, or by Horovod where it is installed."""
    processes = (
        "2" if name in ("Zen_NAS_ImageNet_latency1.2ms_train_apex", "Zen_NAS_cifar_params1M_train_horovod") else "1"
    )
    overrides = {"SMOKE": "1", "SAVE_DIR": str(tmp_path), "PYTHON": str(warm_python), "PROCESSES": processes}
    result = run(["bash", str(SCRIPTS / f"{name}.sh")], tmp_path, **overrides)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr[-3000:]
    script = "train_image_classification" if name in CLASSIFYING else "ts_train_image_classification"
    assert (tmp_path / f"smoke/{script}.done").is_file() and (tmp_path / "smoke/best-params_rank0.pth").is_file()
    assert (tmp_path / f"smoke/{script}.log").read_text().count("Apex") == ("apex" in name)
    by_torchrun = "apex" not in name and not HAS_HOROVOD
    assert ("Horovod is not installed" in result.stderr) == by_torchrun
