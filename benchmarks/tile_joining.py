"""Joining the detections of a large image's tiles, beside torchvision's suppression and looking at every later box in turn.

    python -m benchmarks.tile_joining
    python -m benchmarks.tile_joining --boxes 20000 --classes 1

Boxes are 12 to 60 pixels on an image of 8000 x 6000, each found twice within some pixels. Processor seconds, one thread, best
of three; the slow ways are run once, up to --slow boxes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torchvision.ops import batched_nms

from gsnet.interface.running import run
from gsnet.detection.scene import ImageResults, from_corners
from gsnet.detection.tiles import Tile, TileSettings, joined

IMAGE = (8000, 6000)
THRESHOLD = 0.6


def crowd(count: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (count, 4) as corners, scores and classes."""
    generator = np.random.default_rng(0)
    half = count // 2
    size = np.exp(generator.uniform(np.log(12), np.log(60), (half, 2)))
    corner = generator.uniform(0, 1, (half, 2)) * (np.array(IMAGE) - 64)
    boxes = np.concatenate([corner, corner + size], axis=1)
    boxes = np.concatenate([boxes, np.maximum(boxes + generator.normal(0, 2, boxes.shape), 0)])
    return boxes, generator.permutation(2 * half) / (2 * half), np.tile(generator.integers(0, classes, half), 2)


def in_turn(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> int:
    """Each box in turn against all that follow it: as many steps as boxes."""
    order = np.argsort(-scores)
    boxes, labels = boxes[order], labels[order]
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    alive = np.ones(len(boxes), dtype=bool)
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        later = np.flatnonzero(alive[i + 1 :] & (labels[i + 1 :] == labels[i])) + i + 1
        sides = np.minimum(boxes[i, 2:], boxes[later, 2:]) - np.maximum(boxes[i, :2], boxes[later, :2])
        common = np.prod(np.maximum(sides, 0), axis=1)
        alive[later[common > THRESHOLD * (areas[i] + areas[later] - common)]] = False
    return int(alive.sum())


def seconds(work: Callable[[], int], repeats: int) -> tuple[float, int]:
    """The least processor time, and how many boxes stayed."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        kept = work()
        times.append(time.process_time() - begun)
    return min(times), kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--slow", type=int, default=100_000, help="most boxes for the slow ways (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| boxes | classes | here | torchvision | in turn | in turn / here | boxes kept |\n|---|---|---|---|---|---|---|"
    )
    for count in options.boxes:
        for classes in options.classes:
            print(row(count, classes, options.slow), flush=True)


def row(count: int, classes: int, slow: int) -> str:
    """One line of the table."""
    boxes, scores, labels = crowd(count, classes)
    found, tile = ImageResults(from_corners(boxes), scores, labels), Tile(0, 0, *IMAGE)
    tensors = [torch.from_numpy(part) for part in (boxes, scores, labels)]
    settings = TileSettings(640, threshold=THRESHOLD)
    here, kept = seconds(lambda: len(joined([tile], [found], IMAGE, settings)), 3)
    line = f"| {len(boxes):,} | {classes} | {here:.3f} |"
    if count > slow:
        return f"{line} | | | {kept:,} |"
    theirs, also_kept = seconds(lambda: len(batched_nms(*tensors, THRESHOLD)), 1)
    turn, left = seconds(lambda: in_turn(boxes, scores, labels), 1)
    if not kept == also_kept == left:
        raise SystemExit(f"{kept}, {also_kept} and {left} boxes stay: the ways disagree")
    return f"{line} {theirs:.2f} | {turn:.2f} | {turn / here:.0f} | {kept:,} |"


if __name__ == "__main__":
    sys.exit(run(main))
