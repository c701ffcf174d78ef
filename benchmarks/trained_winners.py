"""Which proxy's winner is really best: search under one budget with each proxy, train every winner, compare.

    GSNET_DATA=FOLDER python -m benchmarks.trained_winners --table small          # a night on one core
    GSNET_DATA=FOLDER python -m benchmarks.trained_winners --table full --device cuda --minutes 8   # again until all is done
    python -m benchmarks.trained_winners --table small --show                     # of what was trained so far

Every candidate proposes as many networks from the same start under the same budgets, and every winner is trained by the same
recipe, by the scripts that a user runs, on CIFAR-10 as JPEG files (`cifar10_jpeg.tar.gz`). Each winner that is done is a row of
docs/trained_winners.csv, which is not done again; a search or a training that was cut short goes on
from what lies in --work_dir. Tables and pictures of docs/results.md are made of the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, read_rows, save_rows
from benchmarks.trained_winners_table import draw, table
from gsnet.interface.options import positive_float, positive_int

ROOT = Path(__file__).parent.parent
ARCHIVE = "cifar10_jpeg.tar.gz"
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,24,2,16,1)SuperResK3K3(24,32,2,16,1)"
    "SuperConvK1BNRELU(32,64,1,1)"
)
WIDE_START = (
    "SuperConvK3BNRELU(3,24,1,1)SuperResK3K3(24,24,2,24,1)SuperResK3K3(24,24,2,24,1)SuperResK3K3(24,32,2,24,1)"
    "SuperConvK1BNRELU(32,64,1,1)"
)
# What each candidate adds to the search's command.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "Random": ("--zero_shot_score", "Random"),
    "Flops": ("--zero_shot_score", "Flops"),
    "Ensemble, growth up to 3.5": ("--zero_shot_score", "Ensemble", "--budget_growth", "3.5"),
    "ZenClosedForm": ("--zero_shot_score", "ZenClosedForm"),
    "Ensemble": ("--zero_shot_score", "Ensemble"),
    "Params": ("--zero_shot_score", "Params"),
    "Ensemble of Flops, NASWOT, Syncflow-log": (
        *("--zero_shot_score", "Ensemble", "--ensemble", "Flops,NASWOT,Syncflow-log"),
    ),
    # What the rule of docs/ensemble_choice.md chose on NAS-Bench-201 by our own scores, of few proxies then.
    "Ensemble of ZenClosedForm, MeCo-Rectified, NASWOT, growth up to 3.5": (
        *("--zero_shot_score", "Ensemble", "--ensemble", "ZenClosedForm,MeCo-Rectified,NASWOT"),
        *("--budget_growth", "3.5"),
    ),
    "PerturbationClosedForm": ("--zero_shot_score", "PerturbationClosedForm"),
    # What it chooses by those of ten proxies.
    "Ensemble of ZenClosedForm, MeCo-Rectified, SWAP, growth up to 5": (
        *("--zero_shot_score", "Ensemble", "--ensemble", "ZenClosedForm,MeCo-Rectified,SWAP", "--budget_growth", "5"),
    ),
    # What that rule chooses among costs and closed forms alone.
    "Ensemble of Params, ZenClosedForm, growth up to 4": (
        *("--zero_shot_score", "Ensemble", "--ensemble", "Params,ZenClosedForm", "--budget_growth", "4"),
    ),
    # Its winners have narrow places. The start is made as wide.
    "ZenClosedForm, widths from 24": (
        *("--zero_shot_score", "ZenClosedForm", "--min_width", "24", "--plainnet_struct", WIDE_START),
    ),
    # The two that order the networks of two benchmarks best without a module (docs/network_order.md).
    "Ensemble of Flops, PerturbationClosedForm, growth up to 3.5": (
        *("--zero_shot_score", "Ensemble", "--ensemble", "Flops,PerturbationClosedForm", "--budget_growth", "3.5"),
    ),
}
PARAMETERS, LAYERS, PROPOSALS = 300_000, 14, 6_000
Log = list[dict[str, str]]
KEY = ("table", "candidate", "seed")
COLUMNS = (*KEY, "test_acc1", "train_acc1", "params", "flops", "layers", "epochs", "structure")


class Table(NamedTuple):
    """What the winners of a table are found under and trained on."""

    images: int
    flops: int
    epochs: int


TABLES = {"small": Table(10_000, 12_000_000, 30), "full": Table(50_000, 40_000_000, 30)}


class OutOfTimeError(Exception):
    """The minutes of this run are over; the next one goes on."""


class Runner:
    """Runs the project's scripts one after another, until the time is over."""

    def __init__(self, minutes: float | None, device: str) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else None
        self._device = device

    def run(self, script: str, *options: str) -> None:
        """A script on one thread; the time that is over ends it in a way that it resumes from. Raises OutOfTimeError."""
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        left = self._end - time.monotonic() if self._end else None
        if left is not None and left <= 0:
            raise OutOfTimeError
        process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *options],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, said = process.communicate(timeout=left)
        except BaseException as error:
            # Trainings and searches save what they have, and go on from there.
            process.terminate()
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise OutOfTimeError from None
            raise
        if process.returncode:
            sys.exit(f"{script} {' '.join(options)}\nended with {process.returncode}:\n{said[-2000:]}")

    def search(self, candidate: str, seed: int, scale: Table, folder: Path) -> dict[str, Any]:
        """The winner of a search: the content of its best.json."""
        ended = folder / "search.ended"
        if not ended.is_file():
            options = ["--search_space", str(ROOT / "SearchSpace/search_space_XXBL.py")]
            options += ["--origin", "--fix_initialize", "--plainnet_struct", START, "--seed", str(seed)]
            options += ["--budget_model_size", str(PARAMETERS), "--budget_flops", str(scale.flops)]
            options += ["--max_layers", str(LAYERS), "--num_classes", "10", "--input_image_size", "32"]
            options += ["--evolution_max_iter", str(PROPOSALS), "--population_size", "128", "--save_dir", str(folder)]
            options += ["--gpu", "0"] if self._device == "cuda" else []
            # What a candidate says counts more.
            options += CANDIDATES[candidate]
            self.run("evolution_search.py", *options, *(["--resume"] if (folder / "search.db").exists() else []))
            # A search that was stopped leaves its best network so far, too.
            ended.touch()
        return json.loads((folder / "best.json").read_text(encoding="utf-8"))

    def train(self, structure: Path, seed: int, scale: Table, data: Path, folder: Path) -> Log:
        """The training log of a network, a row an epoch."""
        if not (folder / "train_image_classification.done").is_file():
            options = ["--arch", "Masternet.py:MasterNet", "--plainnet_struct_txt", str(structure), "--seed", str(seed)]
            options += ["--dataset", "cifar10", "--data_dir", str(data), "--input_image_size", "32", "--workers", "0"]
            options += ["--cache", "device", "--epochs", str(scale.epochs), "--warmup", "2", "--batch_size", "64"]
            options += ["--weight_init", "custom", "--nesterov", "--wd", "5e-4", "--lr", "0.05", "--print_freq", "1000"]
            # Processors differ in whether bfloat16 is their fastest or their slowest way; compiled float32 is fast on all.
            gpu = ["--dist_mode", "single", "--gpu", "0", "--channels-last", "True", "--fp16"]
            options += gpu if self._device == "cuda" else ["--compile"]
            self.run("train_image_classification.py", *options, "--save_dir", str(folder), "--auto_resume")
        with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def unpacked(folder: Path, images: int) -> Path:
    """The first training images of each class, `images` in all, and all test images, as a folder of pictures."""
    there = folder / f"cifar10_{images}"
    if there.is_dir():
        return there
    archive = data_file(ARCHIVE)
    half = folder / f"unpacking_{os.getpid()}"
    with tarfile.open(archive) as packed:
        members = [member for member in packed.getmembers() if member.isfile()]
        packed.extractall(half, filter="data", members=list(chosen(members, images // 10)))
    (half / "cifar10").replace(there)
    half.rmdir()
    return there


def chosen(members: Sequence[tarfile.TarInfo], images_a_class: int) -> Iterator[tarfile.TarInfo]:
    """Of each folder of training images the first ones by name; all others. Names end in PART/CLASS/IMAGE."""
    seen: dict[str, int] = {}
    for member in sorted(members, key=lambda member: member.name):
        part, name, _ = member.name.rsplit("/", 3)[1:]
        if part == "train":
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > images_a_class:
                continue
        yield member


def finished(
    rows: Rows, name: str, runner: Runner, work_dir: Path, seeds: int, candidates: Iterable[str]
) -> Iterator[Row]:
    """Search and train what the rows lack, all candidates of a seed before the next seed; adds rows and yields each."""
    scale = TABLES[name]
    data = unpacked(work_dir, scale.images)
    for seed in range(seeds):
        for candidate in candidates:
            key = (name, candidate, str(seed))
            if key in rows:
                continue
            folder = work_dir / name / f"{candidate.replace(', ', '_').replace(' ', '_')}_{seed}"
            best = runner.search(candidate, seed, scale, folder / "search")
            log = runner.train(folder / "search/best_structure.txt", seed, scale, data, folder / "training")
            rows[key] = row(key, best, log)
            yield rows[key]


def row(key: Sequence[str], best: dict[str, Any], log: Log) -> Row:
    """A winner as a row of the file."""
    figures = {
        "test_acc1": f"{float(log[-1]['val_acc1']):.2f}",
        "train_acc1": f"{float(log[-1]['train_acc1']):.2f}",
        "epochs": str(len(log)),
    }
    costs = {name: str(best[name]) for name in ("params", "flops", "layers", "structure")}
    return dict(zip(KEY, key, strict=True)) | figures | costs


def described(name: str) -> str:
    """The sentence above a table."""
    scale = TABLES[name]
    return (
        f"`python -m benchmarks.trained_winners --table {name}`: {PROPOSALS:,} proposals a search, {PARAMETERS:,} parameters, "
        f"{scale.flops // 10**6}M FLOPs,\n{LAYERS} layers; every winner trained {scale.epochs} epochs on the same "
        f"{scale.images:,} images, tested on 10,000."
    )


def write(rows: Rows, name: str, file: Path, page: Path) -> str:
    """The file of rows, and the section and the picture of this table; returns the section."""
    save_rows(file, COLUMNS, rows, sorted(rows))
    mine = [row for key, row in rows.items() if key[0] == name]
    text = "\n".join((described(name), "", *table(mine)))
    if mine:
        replace_section(page, f"trained winners, {name}", text)
        title = f"{TABLES[name].images:,} images, {TABLES[name].flops // 10**6}M FLOPs"
        draw(file.with_name(f"{file.stem}_{name}.png"), mine, title)
    return text


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=tuple(TABLES), default="small", help="default: %(default)s")
    parser.add_argument("--seeds", type=positive_int, default=3, metavar="N", help="0 to N - 1 (default: %(default)s)")
    parser.add_argument(
        "--candidate",
        choices=tuple(CANDIDATES),
        action="append",
        metavar="NAME",
        help=f"one of: {'; '.join(CANDIDATES)}; may be repeated (default: all of them)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--minutes", type=positive_float, metavar="N", help="stop after this time; the next run goes on"
    )
    parser.add_argument("--show", action="store_true", help="train nothing, and show what was trained so far")
    parser.add_argument("--work_dir", type=Path, default=ROOT / "save_dir/trained_winners", metavar="FOLDER")
    parser.add_argument("--file", type=Path, default=ROOT / "docs/trained_winners.csv", metavar="FILE.csv")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/results.md", metavar="FILE.md")
    return parser.parse_args(argv)


def _end(number: int, frame: object) -> None:
    """Told to end: the search or training that runs is ended too (Runner), instead of going on alone."""
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Search, train, write."""
    options = parse_options(argv)
    signal.signal(signal.SIGTERM, _end)
    rows = read_rows(options.file, KEY)
    if not options.show:
        options.work_dir.mkdir(parents=True, exist_ok=True)
        runner = Runner(options.minutes, options.device)
        try:
            candidates = options.candidate or CANDIDATES
            for done in finished(rows, options.table, runner, options.work_dir, options.seeds, candidates):
                print(*done.values(), flush=True)
                write(rows, options.table, options.file, options.page)
        except OutOfTimeError:
            print("out of time: the same command goes on", file=sys.stderr)
    print(write(rows, options.table, options.file, options.page))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
