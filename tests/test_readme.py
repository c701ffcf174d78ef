"""Every command of the README runs, on less than it says: fewer iterations, noise for images, no GPU."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gsnet.detection.synthetic import SyntheticSettings, write_synthetic

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data"))
TABLE = "tinynas_v100_conv.fp16.txt.gz"
# What is left out of a command, or takes the place of what it says.
LESS = {
    "scripts/Zen_NAS_cifar_params1M_search.sh": "--evolution_max_iter 200",
    "evolution_search.py": "--evolution_max_iter 200 --population_size 16",
    "benchmark_network_latency.py": "--repeat_times 8",
    "train_image_classification.py": "--data_dir cifar --epochs 1 --warmup 0 --batch_size 16 --workers 0",
    "val.py --fp16": "--untrained --dataset fake --limit 8 --workers 0",
    "val.py": "--workers 0",
    "val_cifar.py": "--data_dir cifar --num_classes 10 --workers 0",
}
# These make an environment of their own, which is what runs the tests.
SET_UP = ("scripts/quickstart.sh", "scripts/test.sh")


def commands():
    """Each command of a bash block, joined to one line, comments cut off."""
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.split("  #")[0].strip()
            if command and not any(name in command for name in SET_UP):
                yield command


def test_there_are_commands():
    assert len(list(commands())) > 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory, noise_images):
    """A checkout in which results may be left, and what a user would have: scenes, detections, a latency table."""
    folder = tmp_path_factory.mktemp("readme")
    for path in ROOT.iterdir():
        if path.name not in ("save_dir", ".git"):
            (folder / path.name).symlink_to(path)
    write_synthetic(folder, SyntheticSettings(images=2))
    (folder / "cifar").symlink_to(noise_images)
    (folder / "results").mkdir()
    for file in (folder / "annotations").glob("*.txt"):
        rows = [row.split(",") for row in file.read_text().splitlines()]
        found = [",".join([*row[:4], "0.9", row[5], "-1,-1"]) for row in rows if 1 <= int(row[5]) <= 10]
        (folder / "results" / file.name).write_text("\n".join(found))
    if (DATA / TABLE).is_file():
        (folder / TABLE).symlink_to(DATA / TABLE)
    return folder


@pytest.mark.parametrize("command", list(commands()))
def test_command_of_the_readme(command, folder, warm_python):
    if TABLE in command and not (folder / TABLE).exists():
        pytest.skip(f"{DATA / TABLE} is not there")
    if "bash scripts/" in command:
        pytest.skip("tests/test_scripts.py runs every script to its last line")
    script = next((name for name in LESS if f" {name} " in f" {command} "), "")
    less = f"{command} {LESS.get(script, '')}"
    environment = os.environ | {"SMOKE": "1", "PYTHON": str(warm_python), "OMP_NUM_THREADS": "1"}
    folders = (str(warm_python.parent), str(Path(sys.executable).parent), environment["PATH"])
    environment["PATH"] = os.pathsep.join(folders)
    result = subprocess.run(
        ["bash", "-c", less], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{less}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"


def python_block(beginning):
    return next(b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if b.startswith(beginning))


@pytest.mark.parametrize("beginning", ["import PlainNet", "import gsnet"])
def test_python_of_the_readme(beginning, folder):
    subprocess.run([sys.executable, "-c", python_block(beginning)], cwd=folder, check=True, capture_output=True)


def test_the_space_of_the_readme_is_searched_to_its_end(tmp_path, warm_python):
    """It is small: all that doubling and halving widths gives within the budget is soon known, and nothing of it fails."""
    (tmp_path / "my_space.py").write_text(python_block("def gen_search_space"))
    start = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
    command = [warm_python, ROOT / "evolution_search.py", "--zero_shot_score", "Params", "--origin", "--fix_initialize"]
    command += [
        "--search_space",
        "my_space.py",
        "--plainnet_struct",
        start,
        "--budget_flops",
        "30e6",
        "--save_dir",
        "out",
    ]
    for iterations, said in (("2000", "2,000 iterations"), ("20000", "the search space is exhausted")):
        more = ["--evolution_max_iter", iterations, "--resume"]
        result = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0 and said in result.stdout, result.stdout + result.stderr
        assert "failed" not in result.stdout
        assert (tmp_path / "out/best_structure.txt").exists()


def test_the_block_the_space_and_the_proxy_of_the_readme(tmp_path):
    """Each is put where the README says, in a copy of the project, and used."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in ROOT.iterdir():
        if path.name in ("PlainNet", "ZeroShotProxy"):
            shutil.copytree(path, copy / path.name)
        elif path.name not in ("save_dir", ".git"):
            (copy / path.name).symlink_to(path)
    for script in ("compute_score.py", "evolution_search.py"):
        (copy / script).unlink()
        shutil.copy(ROOT / script, copy / script)
    (copy / "PlainNet/ABC_Block.py").write_text(python_block('"""The inverted residual'))
    with (copy / "PlainNet/__init__.py").open("a") as package:
        package.write("\n" + python_block("from PlainNet import ABC_Block"))
    (copy / "space.py").write_text(python_block("def gen_search_space"))
    (copy / "ZeroShotProxy/compute_width_score.py").write_text(python_block('"""Width: how wide'))
    registry = copy / "ZeroShotProxy/registry.py"
    line = re.search(r'`("Width": .*,)`', README)[1]
    registry.write_text(registry.read_text().replace('    "Random": ', f'    {line}\n    "Random": '))
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
    small = (
        "--evolution_max_iter",
        "30",
        "--population_size",
        "8",
        "--budget_model_size",
        "100e3",
        "--zero_shot_score",
        "Width",
    )
    uses = {
        "score": ("compute_score.py", "--plainnet_struct", start, "--zero_shot_score", "Width"),
        "block": ("evolution_search.py", "--search_space_list", "PlainNet/ABC_Block.py", "--save_dir", "block", *small),
        "space": (
            *("evolution_search.py", "--origin", "--fix_initialize", "--search_space", "space.py"),
            *("--plainnet_struct", start, "--save_dir", "space", *small),
        ),
    }
    for command in uses.values():
        result = subprocess.run([sys.executable, *command], cwd=copy, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    assert "SuperMobileK3(" in (copy / "block/best_structure.txt").read_text()
    lint = [sys.executable, "-m", "ruff", "check", "PlainNet/ABC_Block.py", "ZeroShotProxy/compute_width_score.py"]
    assert subprocess.run(lint, cwd=copy, capture_output=True, check=False).returncode == 0
