"""Up to which growth of gradients a network trains: a ladder of growing depth, with links and without.

    python -m benchmarks.growth_ladder                     # some hours on one core; an interrupted run goes on
    python -m benchmarks.growth_ladder --write             # and puts the tables into docs/gradient_growth.md
    python -m benchmarks.growth_ladder --trained --write   # of what was trained so far, at once

Each network is trained from the same seeds by SGD (momentum .9, Nesterov, weight decay 5e-4, cosine, no warm-up, no
augmentation) at each learning rate, on the sample of 2,000 CIFAR-10 images in GSNET_DATA. Shown is the best learning rate
of each. Those without links are trained with smaller and larger batches, too, for as many steps, and on as many images.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from benchmarks.pages import show_sections
from benchmarks.saved_rows import Row, Rows, read_rows, save_rows
from Masternet import MasterNet
from PlainNet import parse
from ZeroShotProxy.gradient_growth import GradientGrowth

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/gradient_growth.md"
SAMPLE = "cifar10_jpeg_2000_1000.tar.gz"
KEY = ("kind", "layers", "rate", "batch", "steps", "seed")
FIELDS = (*KEY, "growth", "loss", "train", "test")
LAYERS = (8, 16, 24, 32, 40, 48, 64)
RATES = (0.01, 0.03, 0.1, 0.3)
BATCH = 64
STEPS = 300
# Of networks without links, up to where the ladder's end at chance begins.
OTHER_BATCHES = (16, 256)
LAYERS_OF_BATCHES = (8, 16, 24, 32)
Images = tuple[Tensor, Tensor]


def structure(kind: str, layers: int) -> str:
    """Convolutions of 16 channels on 16 x 16 pixels, then as many of 32 on 8 x 8; residual ones have two in a block."""
    half = layers // 2
    if kind == "plain":
        body = f"SuperConvK3BNRELU(16,16,1,{half})SuperConvK3BNRELU(16,32,2,{half})"
    else:
        body = f"SuperResK3K3(16,16,1,16,{half // 2})SuperResK3K3(16,32,2,32,{half // 2})"
    return f"SuperConvK3BNRELU(3,16,2,1){body}SuperConvK1BNRELU(32,64,1,1)"


def sample(archive: Path) -> tuple[Images, Images]:
    """Training and test images of the archive, normalised, and their classes."""
    pictures: dict[str, list[tuple[str, np.ndarray]]] = {"train": [], "test": []}
    with tarfile.open(archive) as packed:
        for member in sorted((member for member in packed if member.isfile()), key=lambda member: member.name):
            _, part, name, _ = member.name.rsplit("/", 3)
            content = packed.extractfile(member)
            if part in pictures and content is not None:
                pictures[part].append((name, np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB"))))
    names = sorted({name for name, _ in pictures["train"]})
    return _tensors(pictures["train"], names), _tensors(pictures["test"], names)


def _tensors(pictures: Sequence[tuple[str, np.ndarray]], names: Sequence[str]) -> Images:
    images = torch.from_numpy(np.stack([pixels for _, pixels in pictures])).permute(0, 3, 1, 2).float()
    return (images - 125.0) / 63.0, torch.tensor([names.index(name) for name, _ in pictures])


def trained(text: str, images: Images, rate: float, batch: int, seed: int, steps: int) -> tuple[torch.nn.Module, float]:
    """The network after these steps, and the mean loss of the last tenth; infinite where it is no number any more."""
    torch.manual_seed(seed)
    network = MasterNet(num_classes=10, plainnet_struct=text).train()
    network.init_parameters()
    optimiser = torch.optim.SGD(network.parameters(), rate, 0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch.cat([torch.randperm(len(images[0])) for _ in range(steps * batch // len(images[0]) + 1)])
    losses = []
    for step in range(steps):
        chosen = order[step * batch : (step + 1) * batch]
        loss = functional.cross_entropy(network(images[0][chosen]), images[1][chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            return network, math.inf
    return network, fmean(losses[-steps // 10 :])


@torch.no_grad()
def accuracy(network: torch.nn.Module, images: Images) -> float:
    """Top-1 in per cent, BN by its running statistics."""
    network.eval()
    found = torch.cat([network(part).argmax(1) for part in images[0].split(500)])
    return float((found == images[1]).float().mean()) * 100


def steps_of_batch(batch: int) -> tuple[int, ...]:
    """Lengths of trainings without links: as many steps as the ladder has, and as many images."""
    return tuple(sorted({STEPS, STEPS * BATCH // batch}))


def trainings(seeds: int) -> list[tuple[str, ...]]:
    """Keys of all trainings: the first seed of the ladder, the short networks first, the other batches, further seeds."""

    def of_a_seed(seed: int) -> list[tuple[str, ...]]:
        return [
            (kind, str(layers), str(rate), str(BATCH), str(STEPS), str(seed))
            for layers in LAYERS
            for kind in ("plain", "residual")
            for rate in RATES
        ]

    batches = [
        ("plain", str(layers), str(rate), str(batch), str(steps), "0")
        for layers in LAYERS_OF_BATCHES
        for batch in OTHER_BATCHES
        for steps in steps_of_batch(batch)
        for rate in RATES
    ]
    return [*of_a_seed(0), *batches, *(key for seed in range(1, seeds) for key in of_a_seed(seed))]


def climb(rows: Rows, file: Path, archive: Path, seeds: int) -> None:
    """Train what the rows lack."""
    train, test = sample(archive)
    growth = GradientGrowth(32)
    order = trainings(seeds)
    for key in order:
        if key in rows:
            continue
        kind, layers, rate, batch, steps, seed = key
        text = structure(kind, int(layers))
        network, loss = trained(text, train, float(rate), int(batch), int(seed), int(steps))
        figures = (growth.growth(parse(text)), loss, accuracy(network, train), accuracy(network, test))
        shown = dict(zip(FIELDS[len(KEY) :], (f"{figure:.4g}" for figure in figures), strict=True))
        rows[key] = dict(zip(KEY, key, strict=True)) | shown
        save_rows(file, FIELDS, rows, order)
        print(*rows[key].values(), flush=True)


def table(rows: Rows) -> str:
    """A line a network that was trained at all rates: its growth, and loss and accuracies at the rate with the least loss."""
    lines = [
        f"{STEPS} steps of {BATCH} images, the best of learning rates {', '.join(map(str, RATES))}:",
        "",
        "| links | convolutions | growth | learning rate | loss | training images | test images |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, links in (("plain", "none"), ("residual", "kept")):
        for layers in LAYERS:
            if figures := _figures(rows, kind, layers, BATCH, STEPS):
                lines.append(f"| {links} | {layers} | {figures} |")
    return "\n".join(lines)


def table_of_batches(rows: Rows) -> str:
    """The same of networks without links, a line for each batch and length."""
    lines = [
        f"Without links, the best of learning rates {', '.join(map(str, RATES))}:",
        "",
        "| batch | steps | convolutions | growth | learning rate | loss | training images | test images |",
        "|---" * 8 + "|",
    ]
    lengths = [(batch, steps) for batch in sorted((BATCH, *OTHER_BATCHES)) for steps in steps_of_batch(batch)]
    for batch, steps in lengths:
        for layers in LAYERS_OF_BATCHES:
            if figures := _figures(rows, "plain", layers, batch, steps):
                lines.append(f"| {batch} | {steps} | {layers} | {figures} |")
    return "\n".join(lines)


def _figures(rows: Rows, kind: str, layers: int, batch: int, steps: int) -> str:
    """Cells of the rate with the least loss; empty where one is missing."""
    key = {"kind": kind, "layers": str(layers), "batch": str(batch), "steps": str(steps)}
    found: dict[float, list[Row]] = {rate: [] for rate in RATES}
    for row in rows.values():
        if key.items() <= row.items() and float(row["rate"]) in found:
            found[float(row["rate"])].append(row)
    if not all(found.values()):
        return ""
    rate = min(RATES, key=lambda rate: fmean(float(row["loss"]) for row in found[rate]))
    best = found[rate]
    figures = " | ".join(_mean([float(row[name]) for row in best]) for name in ("loss", "train", "test"))
    return f"{float(best[0]['growth']):.2f} | {rate} | {figures}"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def main() -> int:
    """Train, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (default: %(default)s)")
    parser.add_argument(
        "--file", type=Path, default=ROOT / "docs/growth_ladder.csv", help="rows (default: %(default)s)"
    )
    parser.add_argument("--trained", action="store_true", help="train nothing, and show what was trained so far")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/gradient_growth.md")
    options = parser.parse_args()
    rows = read_rows(options.file, KEY)
    if not options.trained:
        climb(rows, options.file, data_file(SAMPLE), options.seeds)
    show_sections(PAGE, {"ladder": table(rows), "batches": table_of_batches(rows)}, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
