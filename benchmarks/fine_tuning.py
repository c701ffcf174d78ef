"""What fine-tuning is worth where there are few images: a network of seven classes taught three others, or taught from nothing.

    python -m benchmarks.fine_tuning --archive cifar10_jpeg.tar.gz

The archive holds cifar10/train/CLASS/IMAGE and cifar10/test/CLASS/IMAGE; by default it is the whole of CIFAR-10 in GSNET_DATA.
A search by the closed form finds a network, which is trained on seven classes. Then, for each seed and each learning rate, it
learns the three classes that it has never seen from a few images of each: once from what it knows (--start_from its folder),
once from nothing, all other options the same. Other seeds draw other images. An interrupted run continues where it was; other
--few and --epochs have folders of their own. Written is a section of docs/training.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from gsnet.interface.running import run as run_command
from benchmarks.data_folder import data_folder
from benchmarks.pages import replace_section
from gsnet.commands import evolution_search, train_image_classification
from gsnet.interface.options import InputError

ROOT = Path(__file__).parent.parent
ARCHIVE = "cifar10_jpeg.tar.gz"
# Every third one in alphabetical order, from the third on.
HELD_OUT = ("bird", "dog", "ship")
START = (
    "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,16,2,16,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperConvK1BNRELU(64,128,1,1)"
)
PARAMETERS, FLOPS, LAYERS, ITERATIONS = "150k", "5M", 12, 5000
# Images of a class: to train on seven, to validate these, to test the three.
MANY, VALIDATED, TESTED = 400, 50, 300
RATES = (0.02, 0.1)
EPOCHS_BEFORE = 8


def run(command: object, *options: object) -> None:
    """One of the project's scripts; ends where it does not succeed."""
    if status := command.main([str(option) for option in options]):  # type: ignore[attr-defined]
        sys.exit(status)


def unpacked(archive: Path, folder: Path, seeds: int, few: int) -> None:
    """The pictures of each part in a folder of its own: seven classes, and three for each seed. Does it once."""
    done = folder / f"unpacked_{seeds}_{few}"
    if done.is_file():
        return
    if not archive.is_file():
        raise InputError(f"There is no file {archive}: name an archive with cifar10/train/CLASS/IMAGE by --archive")
    with tarfile.open(archive) as packed:
        members = [member for member in packed.getmembers() if member.isfile()]
        names: dict[tuple[str, str], list[str]] = {}
        for member in members:
            split, label = Path(member.name).parts[-3:-1]
            names.setdefault((split, label), []).append(member.name)
        content: dict[str, bytes] = {}
        wanted = dict(_parts(names, folder, seeds, few))
        needed = set(wanted.values())
        for member in members:
            if member.name in needed and (stream := packed.extractfile(member)):
                content[member.name] = stream.read()
    for target, name in wanted.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content[name])
    done.touch()


def _parts(names: dict[tuple[str, str], list[str]], folder: Path, seeds: int, few: int) -> Iterable[tuple[Path, str]]:
    """Where a picture goes, and its name in the archive."""
    for (split, label), all_of_it in names.items():
        ordered = sorted(all_of_it)
        if label not in HELD_OUT:
            chosen = random.Random(0).sample(ordered, MANY if split == "train" else VALIDATED)
            yield from ((folder / "seven" / split / label / Path(name).name, name) for name in chosen)
            continue
        for seed in range(seeds):
            chosen = random.Random(seed).sample(ordered, few) if split == "train" else ordered[:TESTED]
            yield from ((three(folder, seed, few) / split / label / Path(name).name, name) for name in chosen)


def three(folder: Path, seed: int, few: int) -> Path:
    """The folder of the three classes' pictures."""
    return folder / f"three_{seed}_of_{few}"


def train(folder: Path, data: Path, classes: int, *options: object) -> list[dict[str, str]]:
    """The log of a training, a row an epoch; what is finished is not done again."""
    common: tuple[object, ...] = (
        "--dataset",
        "cifar10",
        "--data_dir",
        data,
        "--num_classes",
        classes,
        "--input_image_size",
        32,
    )
    common += ("--workers", 0, "--nesterov", "--wd", "5e-4", "--warmup", 1, "--save_dir", folder, "--auto_resume")
    if not (folder / "train_image_classification.done").is_file():
        run(train_image_classification, *common, *options)
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def found(folder: Path) -> Path:
    """The folder of a search by the closed form."""
    if not (folder / "best.json").is_file():
        budgets = ("--budget_model_size", PARAMETERS, "--budget_flops", FLOPS, "--max_layers", LAYERS)
        run(
            evolution_search,
            *("--zero_shot_score", "ZenClosedForm", "--search_space", "XXBL", "--origin", "--fix_initialize"),
            *("--plainnet_struct", START, *budgets, "--population_size", 128, "--evolution_max_iter", ITERATIONS),
            *("--num_classes", 7, "--save_dir", folder),
            *(("--resume",) if (folder / "search.db").exists() else ()),
        )
    return folder


def accuracies(options: argparse.Namespace, network: Path, rate: float) -> dict[str, list[float]]:
    """Top-1 of the last epoch on the three classes by where the training began, one for each seed."""
    ways: dict[str, Sequence[object]] = {
        "fine-tuned": ("--start_from", options.work_dir / "seven_classes"),
        "from nothing": ("--arch", network, "--weight_init", "custom"),
    }
    measured: dict[str, list[float]] = {}
    for way, begin in ways.items():
        for seed in range(options.seeds):
            name = f"{way.replace(' ', '_')}_{rate}_{seed}_of_{options.few}_in_{options.epochs}"
            more = (*begin, "--epochs", options.epochs, "--batch_size", 32, "--lr", rate, "--seed", seed)
            data = three(options.work_dir, seed, options.few)
            log = train(options.work_dir / name, data, len(HELD_OUT), *more)
            measured.setdefault(way, []).append(float(log[-1]["val_acc1"]))
    return measured


def section(
    options: argparse.Namespace, before: float, network: Path, rows: dict[float, dict[str, list[float]]]
) -> str:
    """The measured accuracies as a Markdown table, with what they are of."""
    tested = TESTED * len(HELD_OUT)
    lines = [
        f"| {rate} | {_told(row['fine-tuned'])} | {_told(row['from nothing'])} | "
        f"{statistics.mean(row['fine-tuned']) - statistics.mean(row['from nothing']):+.1f} |"
        for rate, row in rows.items()
    ]
    parameters = json.loads((network / "best.json").read_text())["params"]
    return (
        f"`python -m benchmarks.fine_tuning`: a network of {parameters:,} parameters, found in {ITERATIONS:,} proposals and "
        f"trained {EPOCHS_BEFORE} epochs\non {MANY} images of each of seven classes of CIFAR-10 ({before:.1f} % on "
        f"{VALIDATED * 7} others), learns {', '.join(HELD_OUT)} from {options.few}\nimages of each in {options.epochs} epochs: "
        f"from what it knows, or from nothing. Top-1 of the last epoch in per cent on {tested:,} test\nimages, mean ± standard "
        f"deviation and each of {options.seeds} seeds, which draw other images; chance is 33.3.\n\n"
        "| `--lr` | fine-tuned | from nothing | difference of means |\n|---|---|---|---|\n" + "\n".join(lines)
    )


def _told(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {spread:.1f} ({' / '.join(f'{value:.1f}' for value in values)})"


def main() -> None:
    """Search, train, fine-tune, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--few", type=int, default=100, help="images of a class to learn from")
    parser.add_argument("--work_dir", type=Path, default=ROOT / "save_dir/fine_tuning")
    options = parser.parse_args()
    torch.set_num_threads(1)
    unpacked(options.archive or data_folder() / ARCHIVE, options.work_dir, options.seeds, options.few)
    network = found(options.work_dir / "search")
    more = ("--arch", network, "--weight_init", "custom", "--batch_size", 64, "--lr", 0.1, "--epochs", EPOCHS_BEFORE)
    log = train(options.work_dir / "seven_classes", options.work_dir / "seven", 7, *more)
    rows = {rate: accuracies(options, network, rate) for rate in RATES}
    replace_section(
        ROOT / "docs/training.md", "fine-tuning", section(options, float(log[-1]["val_acc1"]), network, rows)
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
