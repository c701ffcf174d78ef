"""What images in memory bring: epochs with each --cache beside steps whose images are in memory and changed already.

    python -m benchmarks.image_caches [--gpu 0] [--write]

All take turns in one run, round by round; the first round does not count. Figures are processor time of this process, which
reads alone (--workers 0), or with --gpu time on the wall: the median over rounds of (a step's time for an image) / (an epoch's
time for an image), 1 being an epoch that reading does not slow down. `against none` is how many times as fast an epoch is as
one that reads from files. Needs CIFAR-10 in GSNET_DATA, or --data_dir. --write puts the table into docs/training.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from gsnet.interface.running import run
from benchmarks.pages import replace_section
from benchmarks.training_speed import LR, add_training_options, by_turns, epochs_of, settings_of, trainer
from gsnet.data import DataSettings
from gsnet.data.settings import CACHES, NONE
from gsnet.interface.options import OptionParser, device_name, positive_int
from gsnet.latency.device import processor_name

PAGE = Path(__file__).parent.parent / "docs" / "training.md"


def measure(
    data: DataSettings, options: argparse.Namespace, device: str, folder: Path
) -> dict[str, tuple[float, float]]:
    """By cache: a step's time over an epoch's for the same images, and an epoch's speed against one without a cache."""
    torch.manual_seed(0)
    trainers = {cache: trainer(options.structure, replace(data, cache=cache), device, folder) for cache in CACHES}
    for one in trainers.values():
        one.training.sampler.batches = options.batches  # type: ignore[attr-defined]
    first = trainers[NONE]
    first.training.sampler.set_epoch(0)  # type: ignore[attr-defined]
    held = list(first.training)

    def steps() -> None:
        for i, (images, labels) in enumerate(held):
            first.stepper.step(images, labels, 0, i, LR)

    runs: dict[str, Callable[[], object]] = {cache: epochs_of(one) for cache, one in trainers.items()} | {"step": steps}
    clock = 0 if device.startswith("cuda") else 1
    times = {name: [spent[clock] for spent in of] for name, of in by_turns(runs, options.rounds, device).items()}
    return {cache: (_ratio(times, "step", cache), _ratio(times, NONE, cache)) for cache in CACHES}


def _ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(first / second for first, second in zip(times[one], times[other], strict=True))


def table(found: dict[str, dict[str, tuple[float, float]]], device: str, options: argparse.Namespace) -> str:
    """The section of the page."""
    lines = [
        f"`python -m benchmarks.image_caches --write` ({_where(device)}; CIFAR-10 as JPEG, batches of {options.batch_size}):",
        "",
        "| changes | `--cache` | epoch's speed over that of a step with images in memory | against `none` |",
        "|---|---|---|---|",
    ]
    for changes, rows in found.items():
        lines += [f"| {changes} | `{cache}` | {share:.2f} | {speed:.2f} |" for cache, (share, speed) in rows.items()]
    return "\n".join(lines)


def _where(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{processor_name()}, one thread, processor time"


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    add_training_options(parser, workers=0)
    parser.add_argument("--rounds", type=positive_int, default=9, metavar="N", help="epochs of each that count")
    parser.add_argument("--batches", type=positive_int, default=6, metavar="N", help="batches of an epoch")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    return parser


def main() -> int:
    options = parser().parse_args()
    device = device_name(options.gpu)
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        data = settings_of(options, Path(name))
        changed = replace(data, auto_augment=True, random_erase=0.5)
        for changes, one in (("crop, flip", data), ("AutoAugment, erasing", changed)):
            found[changes] = measure(one, options, device, Path(name))
    text = table(found, device, options)
    print(text)
    if options.write:
        replace_section(PAGE, "image caches", text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
