"""Kill a training ten times at random moments, resume it each time; compare weights and log with an uninterrupted run's.

python -m benchmarks.training_kill_test --kills 10
python -m benchmarks.training_kill_test --distil        # a student with a teacher
python -m benchmarks.training_kill_test --recipe timm-a2
python -m benchmarks.training_kill_test --cache device [--gpu 0]
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gsnet.interface.running import run
from gsnet.data.settings import CACHES, NONE

ROOT = Path(__file__).parent.parent
# Everything random that a published training has.
CHANGES = (
    "--mixup",
    "--cutmix",
    "--random_erase",
    "--auto_augment",
    "--ema",
    "0.9",
    "--nesterov",
    "--weight_init",
    "custom",
)
STRUCTURE = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
CHECKPOINTS = ("latest-params_rank0.pth", "best-params_rank0.pth")


def command(folder: Path, options: argparse.Namespace) -> list[str]:
    """The training that is killed: noise, changed as published trainings or as the recipe change it."""
    script = "ts_train_image_classification.py" if options.distil else "train_image_classification.py"
    teacher = ["--teacher_arch", "resnet18", "--teacher_untrained", "--teacher_logit_weight", "1"]
    return [
        *(sys.executable, str(ROOT / script), "--dataset", "fake", "--input_image_size", "32", "--num_classes", "10"),
        *("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--warmup", "1"),
        *("--epochs", str(options.epochs), "--batch_size", "32", "--workers_per_gpu", str(options.workers)),
        *(CHANGES if options.recipe is None else ("--recipe", options.recipe, "--train_crop_size", "24")),
        *("--save_dir", str(folder), "--auto_resume", *(teacher if options.distil else []), "--cache", options.cache),
        *(() if options.gpu is None else ("--dist_mode", "single", "--gpu", str(options.gpu))),
    ]


def finished(folder: Path) -> bool:
    """Whether the training came to its end."""
    return any(folder.glob("*.done"))


def log_rows(folder: Path) -> list[dict[str, str]]:
    """The log, without the one column that measures time; nothing where no epoch was finished."""
    file = folder / "log.csv"
    if not file.exists():
        return []
    with file.open() as stream:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(stream)]


def same_weights(one: Path, two: Path) -> bool:
    """Whether two checkpoints hold the same bits."""
    first, second = (torch.load(file, weights_only=True)["state_dict"] for file in (one, two))
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def kill_and_resume(folder: Path, options: argparse.Namespace, seconds: float) -> int:
    """Start and kill until the kills are used up or the training ends; returns how many kills hit."""
    moments, kills = random.Random(options.seed), 0
    while kills < options.kills and not finished(folder):
        process = subprocess.Popen(command(folder, options), cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.1, seconds / 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            print(f"kill {kills} after {len(log_rows(folder))} epochs", flush=True)
    return kills


def main() -> int:
    """Run the test; the exit status tells whether everything was equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1, help="processes that read images")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--recipe", help="of --recipe of the training scripts, in the place of the published changes")
    parser.add_argument("--distil", action="store_true", help="kill a distillation")
    parser.add_argument("--cache", choices=CACHES, default=NONE, help="of the training scripts")
    parser.add_argument("--gpu", type=int, metavar="N", help="train on a GPU (default: the processor)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        whole, torn = Path(temporary) / "whole", Path(temporary) / "torn"
        begun = time.monotonic()
        subprocess.run(command(whole, options), check=True, capture_output=True, cwd=ROOT)
        seconds = time.monotonic() - begun
        print(f"uninterrupted: {seconds:.1f} s", flush=True)
        kills = kill_and_resume(torn, options, seconds)
        subprocess.run(command(torn, options), check=True, capture_output=True, cwd=ROOT)
        equal = {name: same_weights(whole / name, torn / name) for name in CHECKPOINTS}
        equal["log.csv"] = log_rows(whole) == log_rows(torn) and len(log_rows(whole)) == options.epochs
    verdicts = [f"{name} {'identical' if same else 'DIFFERENT'}" for name, same in equal.items()]
    print(f"{kills} kills: {', '.join(verdicts)}")
    return 0 if all(equal.values()) and kills == options.kills else 1


if __name__ == "__main__":
    sys.exit(run(main))
