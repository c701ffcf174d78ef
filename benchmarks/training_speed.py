"""The training loop against a minimal one written by hand, and whether reading images ever holds it up.

    python -m benchmarks.training_speed [--gpu 0]

Both loops train the same network with the same data set, batch, optimiser and label smoothing, and take turns epoch by
epoch in one run, each being first every other time; the minimal one has nothing else: no schedule, seeds, accuracy, log,
checkpoint or check. The figures are images a second of the median epoch after a first that does not count, and the median of
the ratios of neighbouring epochs. `processor` figures count the processor seconds of the training process instead, and are
those to compare where other work shares the machine: best with many short epochs (--batches 6 --rounds 15). `step` is the same
with batches that are in memory already. Reading alone is the speed of the loader when nobody trains; its published
recipe adds AutoAugment and random erasing, with which --published trains too. Needs the CIFAR-10 sample in GSNET_DATA, or
--data_dir.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, RandomSampler

from gsnet.interface.running import run as run_command
from benchmarks.data_folder import data_folder
from benchmarks.gpu_machine import wait_for
from gsnet.data import DataSettings, training_loader, validation_loader
from gsnet.data.data_sets import data_set
from gsnet.interface.options import OptionParser, device_name, not_negative, positive_int
from gsnet.training.loop import Trainer
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from Masternet import MasterNet

ARCHIVE = data_folder() / "cifar10_jpeg_2000_1000.tar.gz"
STRUCTURE = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
LR, SMOOTHING, CLASSES = 0.01, 0.1, 10


class ByHand:
    """What a person would write first."""

    def __init__(self, structure: str, device: str) -> None:
        self.device = device
        self.network = MasterNet(num_classes=CLASSES, plainnet_struct=structure).to(device).train()
        self.optimiser = torch.optim.SGD(self.network.parameters(), LR, momentum=0.9, weight_decay=4e-5, nesterov=True)

    def step(self, images: Tensor, labels: Tensor) -> None:
        images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
        loss = functional.cross_entropy(self.network(images), labels, label_smoothing=SMOOTHING)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        for images, labels in batches:
            self.step(images, labels)


def trainer(structure: str, data: DataSettings, device: str, folder: Path) -> Trainer:
    """The project's own training of the same network."""
    training = training_loader(data)
    schedule = Schedule("cosine", LR, 0.0, 1000, len(training.dataset))  # type: ignore[arg-type]
    optimiser = OptimiserSettings(nesterov=True)
    settings = TrainingSettings(schedule, optimiser, CLASSES, smoothing=SMOOTHING)
    network: nn.Module = MasterNet(num_classes=CLASSES, plainnet_struct=structure)
    stepper = Stepper(Classification(network).to(device), settings, device)
    return Trainer(stepper, settings, training, validation_loader(data), folder)


def epochs_of(one: Trainer) -> Callable[[], object]:
    """What trains for the next epoch, and does nothing else of a training."""

    def epoch() -> None:
        one.epoch, one.steps_done = one.epoch + 1, 0
        one._train_epoch()

    return epoch


def seconds(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Of one call, with everything that it left to a GPU: on the wall, and of the processor in this process."""
    begin, worked = time.perf_counter(), time.process_time()
    run()
    wait_for(device)
    return time.perf_counter() - begin, time.process_time() - worked


def by_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each run on the wall and of the processor, in the rounds after a first one."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in list(runs.items())[:: 1 if i % 2 else -1]:
            spent = seconds(run, device)
            if i:
                times[name].append(spent)
    return times


def measure(data: DataSettings, options: argparse.Namespace, device: str, folder: Path) -> dict[str, float]:
    """All figures, in images a second, and the ratios that matter."""
    torch.manual_seed(0)
    ours, plain = trainer(options.structure, data, device, folder), ByHand(options.structure, device)
    sampler = ours.training.sampler
    sampler.batches = min(sampler.batches, options.batches or sampler.batches)  # type: ignore[attr-defined]
    images = sampler.batches * data.batch_size  # type: ignore[attr-defined]
    reading = {"num_workers": data.workers, "persistent_workers": data.workers > 0, "drop_last": True}
    pictures = data_set(data, train=True)
    order = RandomSampler(pictures, num_samples=images)  # type: ignore[arg-type]
    usual = DataLoader(pictures, data.batch_size, sampler=order, **reading)  # type: ignore[arg-type]

    epochs = by_turns({"ours": epochs_of(ours), "by hand": lambda: plain.epoch(usual)}, options.rounds, device)
    held = [batch for batch, _ in zip(usual, range(options.steps), strict=False)]

    def our_steps() -> None:
        for i, (batch, labels) in enumerate(held):
            ours.stepper.step(batch, labels, 0, i, LR)

    in_memory = {"ours": our_steps, "by hand": lambda: plain.epoch(held)}
    steps = by_turns(in_memory, options.rounds, device)
    published = training_loader(replace(data, auto_augment=True, random_erase=True))
    published.sampler.batches = sampler.batches  # type: ignore[attr-defined]
    readers = {"plain": lambda: exhaust(ours.training), "published": lambda: exhaust(published)}
    reading_times = by_turns(readers, 3, device)
    reading_speeds = {
        name: images / statistics.median(wall for wall, _ in spent) for name, spent in reading_times.items()
    }
    figures = compared("epoch", epochs, images) | compared("step", steps, len(held) * data.batch_size)
    return figures | {
        "reading_alone": reading_speeds["plain"],
        "reading_alone_published": reading_speeds["published"],
        "reading_over_training": reading_speeds["plain"] / figures["step_ours"],
        "reading_over_training_published": reading_speeds["published"] / figures["step_ours"],
    }


def compared(what: str, times: dict[str, list[tuple[float, float]]], images: int) -> dict[str, float]:
    """Both loops' images a second, and how ours relates to the one by hand."""
    walls, processors = ([(o[i], p[i]) for o, p in zip(times["ours"], times["by hand"], strict=True)] for i in (0, 1))
    return {
        f"{what}_ours": images / statistics.median(ours for ours, _ in walls),
        f"{what}_by_hand": images / statistics.median(plain for _, plain in walls),
        f"{what}_ratio": statistics.median(plain / ours for ours, plain in walls),
        f"{what}_processor_ratio": statistics.median(plain / ours for ours, plain in processors),
    }


def exhaust(batches: DataLoader) -> None:
    """Read an epoch and do nothing with it."""
    batches.sampler.set_epoch(0)  # type: ignore[attr-defined]
    for _ in batches:
        pass


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    add_training_options(parser, workers=2)
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="epochs of each loop that count")
    parser.add_argument("--batches", type=positive_int, metavar="N", help="batches of an epoch (default: all)")
    parser.add_argument("--steps", type=positive_int, default=16, metavar="N", help="batches that are held in memory")
    parser.add_argument("--published", action="store_true", help="train with AutoAugment and random erasing")
    return parser


def add_training_options(parser: OptionParser, workers: int) -> None:
    """What is trained, on what; workers: how many processes read by default."""
    parser.add_argument("--data_dir", type=Path, metavar="FOLDER", help="CIFAR-10 (default: the sample in GSNET_DATA)")
    parser.add_argument(
        "--structure", default=STRUCTURE, metavar="TEXT", help="default: where the CIFAR searches start"
    )
    parser.add_argument("--batch_size", type=positive_int, default=64, metavar="N", help="images of a step")
    parser.add_argument("--workers", type=not_negative, default=workers, metavar="N", help="reading processes")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the CPU)")


def settings_of(options: argparse.Namespace, scratch: Path) -> DataSettings:
    """CIFAR-10 as the options say, the sample unpacked into a folder where they name none."""
    folder = options.data_dir
    if folder is None:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(scratch, filter="data")
        folder = scratch / "cifar10"
    return DataSettings("cifar10", folder, options.batch_size, options.workers, 32)


def main() -> int:
    options = parser().parse_args()
    device = device_name(options.gpu)
    with tempfile.TemporaryDirectory() as name:
        data = settings_of(options, Path(name))
        if options.published:
            data = replace(data, auto_augment=True, random_erase=True)
        found = measure(data, options, device, Path(name))
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
