"""On an NVIDIA GPU, where there is one: every path of `benchmarks.gpu_check` on next to nothing, and recorded passes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import PATHS

ROOT = Path(__file__).parent.parent
FIND = "import torch; print(torch.cuda.device_count())"
RECORDED = """
import numpy as np, torch
from gsnet.runtimes import Settings, runtime
network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5)).eval()
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
session = runtime("torch.cudagraph").make(network, (8, 8), Settings(device="cuda:0"))
for count in (1, 3, 1):
    images = np.random.default_rng(count).standard_normal((count, 3, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(session.run(images), expected, rtol=1e-4, atol=1e-5)
    assert session.time(images, 10).median > 0
"""


def environment():
    """That of a process which sees the GPUs that this one had before the tests hid them."""
    found = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    seen = os.environ["GSNET_TEST_GPUS"]
    return found if seen == "all" else found | {"CUDA_VISIBLE_DEVICES": seen}


def ran(*command):
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment(), capture_output=True, text=True)


@pytest.fixture(scope="module")
def gpu():
    if not (shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()):
        pytest.skip("no NVIDIA driver is on this machine")
    if int(ran("-c", FIND).stdout or 0) == 0:
        pytest.skip("torch finds no NVIDIA GPU")


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_not_wrong(name, tmp_path):
    page = tmp_path / "page.md"
    done = ran("-m", "benchmarks.gpu_check", "--gpu", "0", "--smoke", "--page", str(page), "--paths", name)
    assert done.returncode == 0, page.read_text() + done.stderr
    # On next to nothing no bar is judged.
    assert any(f"| {name} | {verdict} |" in page.read_text() for verdict in ("right", "not judged", "left out"))


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_a_recorded_pass_computes_what_eager_torch_does():
    done = ran("-c", RECORDED)
    assert done.returncode == 0, done.stderr


def test_a_gpu_is_hidden_from_all_other_tests():
    """What they assert is of a processor; a training in several processes would ask for as many GPUs."""
    assert torch.cuda.device_count() == 0 and os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert environment().get("CUDA_VISIBLE_DEVICES", "all") == os.environ["GSNET_TEST_GPUS"]
