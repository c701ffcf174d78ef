"""Which proxy's winner is really best: search under one budget with each proxy, train every winner, compare.

    python -m benchmarks.trained_winners --data_dir cifar10 --output docs/trained_winners

--data_dir holds train/CLASS/IMAGE and test/CLASS/IMAGE; by default the sample of 2,000 and 1,000 CIFAR-10 images in GSNET_DATA.
Every proxy proposes as many networks from the same start under the same budgets, and every winner is trained with the
same schedule, by the scripts that a user runs. An interrupted run continues where it was. Written are OUTPUT.csv,
OUTPUT.png and a section of docs/results.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.pages import replace_section

ROOT = Path(__file__).parent.parent
SAMPLE = "cifar10_jpeg_2000_1000.tar.gz"
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,24,2,16,1)SuperResK3K3(24,32,2,16,1)"
    "SuperConvK1BNRELU(32,64,1,1)"
)
ENSEMBLE = "Flops,NASWOT,Syncflow-log"
PROXIES = ("ZenClosedForm", "PerturbationClosedForm", "Ensemble", "Flops", "Params", "Random")
PARAMETERS, FLOPS, LAYERS = 50_000, 3_000_000, 12
COLUMNS = ("proxy", "seed", "test_acc1", "train_acc1", "params", "flops", "layers", "structure")


def run(script: str, *options: str) -> None:
    """One of the project's scripts, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(ROOT / script), *options], check=True, env=environment, capture_output=True)


def search(proxy: str, seed: int, folder: Path, iterations: int) -> dict:
    """The winner of a search; returns the content of its best.json."""
    if not (folder / "best.json").is_file():
        options = ["--zero_shot_score", proxy, "--search_space", str(ROOT / "SearchSpace/search_space_XXBL.py")]
        options += ["--origin", "--fix_initialize", "--plainnet_struct", START, "--seed", str(seed)]
        options += ["--budget_model_size", str(PARAMETERS), "--budget_flops", str(FLOPS), "--max_layers", str(LAYERS)]
        options += ["--evolution", "published"]
        options += ["--evolution_max_iter", str(iterations), "--population_size", "128", "--save_dir", str(folder)]
        options += ["--ensemble", ENSEMBLE] if proxy == "Ensemble" else []
        run("evolution_search.py", *options, *(["--resume"] if (folder / "search.db").exists() else []))
    return json.loads((folder / "best.json").read_text())


def train(structure: Path, seed: int, data: Path, folder: Path, epochs: int) -> list[dict]:
    """The training log of a network, a row an epoch."""
    if not (folder / "train_image_classification.done").is_file():
        options = ["--arch", "Masternet.py:MasterNet", "--plainnet_struct_txt", str(structure), "--seed", str(seed)]
        options += ["--dataset", "cifar10", "--data_dir", str(data), "--input_image_size", "32", "--workers", "0"]
        options += ["--epochs", str(epochs), "--warmup", "3", "--batch_size", "64", "--no_data_augment"]
        options += ["--weight_init", "custom", "--nesterov", "--wd", "5e-4", "--bn_momentum", "0.01", "--lr", "0.05"]
        run("train_image_classification.py", *options, "--save_dir", str(folder), "--auto_resume")
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def unpacked_sample(folder: Path) -> Path:
    """The CIFAR-10 sample of GSNET_DATA as a folder of pictures."""
    archive = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data")) / SAMPLE
    if not (folder / "cifar10").is_dir():
        if not archive.is_file():
            sys.exit(f"There is no {archive}: name a folder with train/CLASS/IMAGE and test/CLASS/IMAGE by --data_dir")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return folder / "cifar10"


def write(output: Path, rows: list[dict], curves: dict[str, list[list[dict]]], options: argparse.Namespace) -> None:
    """The table for machines, the table for people, and the curves."""
    with output.with_suffix(".csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    replace_section(ROOT / "docs/results.md", "trained winners", section(rows, options))
    draw(output.with_suffix(".png"), curves)


def section(rows: list[dict], options: argparse.Namespace) -> str:
    """The rows as a Markdown table: a line a proxy, best mean first."""
    lines = []
    for proxy in {row["proxy"] for row in rows}:
        mine = [row for row in rows if row["proxy"] == proxy]
        tests = [row["test_acc1"] for row in mine]
        mean, spread = statistics.mean(tests), statistics.stdev(tests) if len(tests) > 1 else 0.0
        trained = statistics.mean(row["train_acc1"] for row in mine)
        each = " / ".join(f"{value:.1f}" for value in tests)
        costs = "/".join(str(row["layers"]) for row in mine)
        line = f"| {proxy} | {mean:.1f} ± {spread:.1f} | {each} | {trained:.1f} | {costs} |"
        lines.append((mean, line))
    table = "\n".join(line for _, line in sorted(lines, reverse=True))
    return (
        f"`python -m benchmarks.trained_winners`: {options.iterations:,} proposals a search, {PARAMETERS:,} parameters,\n"
        f"{FLOPS / 1e6:.0f}M FLOPs, {LAYERS} layers; every winner trained {options.epochs} epochs on the same images. "
        "Accuracies are top-1 of the\nlast epoch in per cent, with the standard deviation over seeds "
        f"(of search and training together). Ensemble: {ENSEMBLE}.\n\n"
        "| proxy | test | each seed | train | layers |\n|---|---|---|---|---|\n"
        f"{table}\n"
    )


def draw(file: Path, curves: dict[str, list[list[dict]]]) -> None:
    """Training and test accuracy by epoch, one colour a proxy, mean of the seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=False, layout="constrained")
    for proxy, runs in curves.items():
        for axis, column in zip(axes, ("train_acc1", "val_acc1"), strict=True):
            means = [statistics.mean(float(log[i][column]) for log in runs) for i in range(min(map(len, runs)))]
            axis.plot(range(1, len(means) + 1), means, label=proxy)
    for axis, title in zip(axes, ("training images", "test images"), strict=True):
        axis.set(xlabel="epoch", ylabel="top-1 accuracy (%)", title=title)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(file, dpi=100)
    plt.close(figure)


def main() -> None:
    """Search, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--proxies", nargs="+", default=PROXIES)
    parser.add_argument("--work_dir", type=Path, default=ROOT / "save_dir/trained_winners")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/trained_winners")
    options = parser.parse_args()
    options.work_dir.mkdir(parents=True, exist_ok=True)
    data = options.data_dir or unpacked_sample(options.work_dir)
    rows: list[dict] = []
    curves: dict[str, list[list[dict]]] = {}
    for seed in range(options.seeds):
        for proxy in options.proxies:
            folder = options.work_dir / f"{proxy}_{seed}"
            best = search(proxy, seed, folder / "search", options.iterations)
            log = train(folder / "search/best_structure.txt", seed, data, folder / "training", options.epochs)
            last = {"test_acc1": float(log[-1]["val_acc1"]), "train_acc1": float(log[-1]["train_acc1"])}
            row = {"proxy": proxy, "seed": seed} | last | {name: best[name] for name in COLUMNS[4:]}
            rows.append(row)
            curves.setdefault(proxy, []).append(log)
            print(proxy, seed, last, row["structure"], flush=True)
            write(options.output, rows, curves, options)


if __name__ == "__main__":
    main()
