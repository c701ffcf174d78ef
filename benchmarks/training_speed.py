"""The training loop against a minimal one written by hand, and whether reading images ever holds it up.

    python -m benchmarks.training_speed [--gpu 0]

Both loops train the same network with the same data set, batch, optimiser and label smoothing, and take turns epoch by
epoch in one run; the minimal one has nothing else: no schedule, seeds, accuracy, log, checkpoint or check. The figures are
images a second of the median epoch after a first that does not count. `processor` figures count the processor seconds of
the training process instead, which other work on the machine hardly changes, and are those to compare on a CPU. `step` is
the same with batches that are in memory already. Reading alone is the speed of the loader when nobody trains; its published
recipe adds AutoAugment and random erasing, with which --published trains too. Needs the CIFAR-10 sample in GSNET_DATA, or
--data_dir.
"""

from __future__ import annotations

import argparse
import json
import os
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
from torch.utils.data import DataLoader

from DataLoader import DataSettings, training_loader, validation_loader
from DataLoader.data_sets import data_set
from Interface.options import OptionParser, device_name, positive_int
from Masternet import MasterNet
from Training.loop import Trainer
from Training.optimisers import OptimiserSettings
from Training.schedules import Schedule
from Training.settings import TrainingSettings
from Training.step import Stepper
from Training.tasks import Classification

ROOT = Path(__file__).parent.parent
ARCHIVE = Path(os.environ.get("GSNET_DATA", ROOT / ".." / "shared" / "data")) / "cifar10_jpeg_2000_1000.tar.gz"
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


def seconds(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Of one call, with everything that it left to a GPU: on the wall, and of the processor in this process."""
    begin, worked = time.perf_counter(), time.process_time()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, time.process_time() - worked


def by_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, images: int, device: str
) -> dict[str, tuple[float, float]]:
    """Images a second of each run, on the wall and of the processor: the median of the rounds after the first."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            spent = seconds(run, device)
            if i:
                times[name].append(spent)
    medians = {name: [statistics.median(kind) for kind in zip(*spent, strict=True)] for name, spent in times.items()}
    return {name: (images / wall, images / processor) for name, (wall, processor) in medians.items()}


def measure(data: DataSettings, options: argparse.Namespace, device: str, folder: Path) -> dict[str, float]:
    """All figures, in images a second, and the ratios that matter."""
    torch.manual_seed(0)
    ours, plain = trainer(options.structure, data, device, folder), ByHand(options.structure, device)
    images = ours.training.sampler.batches * data.batch_size  # type: ignore[attr-defined]
    reading = {"num_workers": data.workers, "persistent_workers": data.workers > 0, "drop_last": True}
    usual = DataLoader(data_set(data, train=True), data.batch_size, shuffle=True, **reading)  # type: ignore[arg-type]

    def our_epoch() -> None:
        ours.epoch, ours.steps_done = ours.epoch + 1, 0
        ours._train_epoch()

    epochs = by_turns({"ours": our_epoch, "by hand": lambda: plain.epoch(usual)}, options.rounds, images, device)
    held = [batch for batch, _ in zip(usual, range(options.steps), strict=False)]

    def our_steps() -> None:
        for i, (pictures, labels) in enumerate(held):
            ours.stepper.step(pictures, labels, 0, i, LR)

    in_memory = {"ours": our_steps, "by hand": lambda: plain.epoch(held)}
    steps = by_turns(in_memory, options.rounds, len(held) * data.batch_size, device)
    published = training_loader(replace(data, auto_augment=True, random_erase=True))
    readers = {"plain": lambda: exhaust(ours.training), "published": lambda: exhaust(published)}
    loader = by_turns(readers, 2, images, device)
    trained = steps["ours"][0]
    return {
        **compared("epoch", epochs),
        **compared("step", steps),
        "reading_alone": loader["plain"][0],
        "reading_alone_published": loader["published"][0],
        "reading_over_training": loader["plain"][0] / trained,
        "reading_over_training_published": loader["published"][0] / trained,
    }


def compared(what: str, speeds: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Both loops' images a second, and how ours relates to the one by hand."""
    (ours, ours_processor), (plain, plain_processor) = speeds["ours"], speeds["by hand"]
    return {
        f"{what}_ours": ours,
        f"{what}_by_hand": plain,
        f"{what}_ratio": ours / plain,
        f"{what}_processor_ratio": ours_processor / plain_processor,
    }


def exhaust(batches: DataLoader) -> None:
    """Read an epoch and do nothing with it."""
    batches.sampler.set_epoch(0)  # type: ignore[attr-defined]
    for _ in batches:
        pass


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--data_dir", type=Path, metavar="FOLDER", help="CIFAR-10 (default: the sample in GSNET_DATA)")
    parser.add_argument(
        "--structure", default=STRUCTURE, metavar="TEXT", help="default: where the CIFAR searches start"
    )
    parser.add_argument("--batch_size", type=positive_int, default=64, metavar="N", help="images of a step")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="reading processes")
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="epochs of each loop that count")
    parser.add_argument("--steps", type=positive_int, default=16, metavar="N", help="batches that are held in memory")
    parser.add_argument("--published", action="store_true", help="train with AutoAugment and random erasing")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the CPU)")
    return parser


def main() -> int:
    options = parser().parse_args()
    device = device_name(options.gpu)
    with tempfile.TemporaryDirectory() as name:
        folder = options.data_dir
        if folder is None:
            with tarfile.open(ARCHIVE) as archive:
                archive.extractall(name, filter="data")
            folder = Path(name) / "cifar10"
        more = {"auto_augment": options.published, "random_erase": options.published}
        data = DataSettings("cifar10", folder, options.batch_size, options.workers, 32, **more)
        found = measure(data, options, device, Path(name))
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
