"""A disk that takes no more, under everything that writes: one sentence, status 1 or 2, and what was there before stays.

RLIMIT_FSIZE stands for the disk: no file grows beyond it (setrlimit(2)), whoever runs the tests.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from gsnet.detection.synthetic import SyntheticSettings, write_synthetic

ROOT = Path(__file__).parent.parent
BACKBONE = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)SuperConvK1BNRELU(16,16,1,1)"
)
SMALL = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
SPACE = str(ROOT / "SearchSpace/search_space_XXBL.py")
LIMITED = f"""
import resource, runpy, sys
sys.path.insert(0, {str(ROOT)!r})
del sys.argv[0]
if int(sys.argv[1]) >= 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
del sys.argv[1]
runpy.run_path(f"{ROOT}/{{sys.argv[0]}}", run_name="__main__")
"""


def run(python, folder, limit, script, *arguments):
    """A script where no file can grow beyond `limit` bytes; -1: without a limit."""
    own = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [python, "-c", LIMITED, script, str(limit), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("small") / "small.txt"
    file.write_text(SMALL)
    return file


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "events.out" not in path.name}


def assert_refused(result, script):
    lines = result.stderr.splitlines()
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr and not result.stdout, result
    name = Path(script).name
    told = [line for line in lines if line.startswith(f"{name}: ")]
    assert len(told) == 1 and told[0] == lines[-1], result.stderr
    reasons = ("too large", "disk", "I/O", "No usable temporary directory")
    assert any(reason in told[0] for reason in reasons), result.stderr


@pytest.fixture(scope="module")
def detector(tmp_path_factory, warm_python):
    """Scenes, and the results of a training of one epoch."""
    folder = tmp_path_factory.mktemp("detector")
    settings = SyntheticSettings(images=4, width=128, height=96, objects=(2, 5), classes=3, sides=(20, 40), overlap=0.0)
    scenes = write_synthetic(folder / "scenes", settings)
    training = ("--arch", BACKBONE, "--data_dir", scenes, "--input_image_size", 128, "--input_image_height", 96)
    training += ("--neck_channels", 16, "--head_channels", 16, "--workers", 0, "--batch_size", 4)
    result = run(warm_python, folder, -1, "train_detection.py", *training, "--epochs", 1, "--save_dir", folder / "out")
    assert result.returncode == 0, result.stderr
    return folder, scenes, training


@pytest.mark.parametrize("limit", [0, 3000])
def test_training_a_detector(limit, detector, tmp_path, warm_python):
    folder, _, training = detector
    new = run(
        warm_python, tmp_path, limit, "train_detection.py", *training, "--epochs", 1, "--save_dir", tmp_path / "o"
    )
    assert_refused(new, "train_detection.py")
    assert not list(tmp_path.rglob("*.part"))
    # One more epoch of the earlier one: its checkpoint and its best network stay what they were.
    before = snapshot(folder / "out")
    more = ("--epochs", 2, "--save_dir", folder / "out", "--auto_resume")
    (folder / "out/train_detection.done").unlink(missing_ok=True)
    assert_refused(run(warm_python, tmp_path, limit, "train_detection.py", *training, *more), "train_detection.py")
    after = snapshot(folder / "out")
    assert all(after[path] == content for path, content in before.items() if path.suffix == ".pth")
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("limit", [0, 40])
def test_results_and_pictures_of_a_detector(limit, detector, tmp_path, warm_python):
    folder, scenes, _ = detector
    given = ("--weights", folder / "out/best-params_rank0.pth", "--data_dir", scenes, "--workers", 0, "--draw", 2)
    given += ("--save_dir", tmp_path / "results", "--draw_threshold", 0)
    assert run(warm_python, tmp_path, -1, "val_detection.py", *given).returncode == 0
    before = snapshot(tmp_path)
    assert_refused(run(warm_python, tmp_path, limit, "val_detection.py", *given), "val_detection.py")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("limit", [0, 5000])
def test_latency_tables(limit, tmp_path, warm_python):
    script = "benchmark_network_latency.py"
    given = ("--build_table", "--calibrate", "--search_space", SPACE, "--plainnet_struct", SMALL, "--networks", 1)
    given += ("--input_image_size", 16, "--num_classes", 10, "--max_layers", 6, "--batch_size", 1)
    given += ("--calibration_networks", 6, "--latency_table", tmp_path / "table.db", "--json")
    assert_refused(run(warm_python, tmp_path, limit, script, *given), script)
    assert not list(tmp_path.iterdir())
    made = run(warm_python, tmp_path, -1, script, *given)
    assert made.returncode == 0, made.stderr
    layers = json.loads(made.stdout)["layers"]
    # A table that is there already keeps what it has, and is read where nothing can be written.
    assert_refused(run(warm_python, tmp_path, limit, script, *given, "--seed", 1), script)
    again = run(warm_python, tmp_path, -1, script, *given)
    assert again.returncode == 0 and json.loads(again.stdout)["layers"] >= layers


@pytest.mark.parametrize("limit", [0, 500])
def test_an_exported_network(limit, small, tmp_path, warm_python):
    file = tmp_path / "network.onnx"
    given = ("--arch", small, "--untrained", "--input_image_size", 16, "--repeat_times", 2)
    given += ("--export_onnx", file)
    file.write_text("what was there before")
    assert_refused(
        run(warm_python, tmp_path, limit, "benchmark_network_latency.py", *given), "benchmark_network_latency.py"
    )
    assert snapshot(tmp_path) == {file: b"what was there before"}


FAKE = ("--untrained", "--limit", "4", "--workers", "0", "--json")
PRINTING = {
    "analyze_model.py": ("--plainnet_struct", SMALL, "--json"),
    "benchmark_network_latency.py": ("--arch", "FILE", "--untrained", "--repeat_times", "2", "--json"),
    "compute_score.py": ("--plainnet_struct", SMALL, "--zero_shot_score", "Params", "--json"),
    "val.py": ("--arch", "FILE", "--dataset", "fake", *FAKE),
    "val_cifar.py": ("--arch", "FILE", "--dataset", "cifar10", *FAKE),
}


@pytest.mark.parametrize("script", PRINTING)
def test_what_is_printed_into_a_file(script, small, tmp_path, warm_python, noise_images):
    command = [warm_python, "-c", LIMITED, script, "20", *PRINTING[script], "--input_image_size", "16"]
    command = [small if part == "FILE" else part for part in command]
    if script == "val_cifar.py":
        command += ["--data_dir", noise_images]
    with (tmp_path / "output").open("w") as output:
        result = subprocess.run(command, cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, text=True, timeout=120)
    assert result.returncode == 2 and result.stderr.splitlines()[-1] == f"{script}: File too large", result.stderr
    assert "Traceback" not in result.stderr
