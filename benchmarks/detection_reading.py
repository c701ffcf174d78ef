"""What one training image costs the processor until it is the network's input, part by part, beside a plain loop.

    python -m benchmarks.detection_reading
    python -m benchmarks.detection_reading --input 640 640 --images 20

Images: those of 1920 x 1080 pixels in GSNET_DATA/aerial_cars.tar. Three ways take the same images in turn: this toolkit's with
every file decoded as a whole, the same with files decoded as small as they are shown, and the steps of NanoDet-Plus'
data pipeline written down plainly: OpenCV's imread, one warp of the whole image to the input, brightness, contrast and
saturation each in half of the cases, mean and deviation, channels first. Milliseconds of one thread's processor time, the
median over images; warps and colours are random and the same for the first two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from gsnet.detection.augmentation import Augmentation
from gsnet.detection.image_files import read_header
from gsnet.detection.preprocessing import DEVIATION, MEAN, Placement, Preprocessing, read_picture, scale_of
from gsnet.detection.sample import Sample, placed
from gsnet.detection.tiles import Tile

ARCHIVE = "aerial_cars.tar"
PARTS = ("read", "warp", "colours", "normalise")
BOXES = np.random.default_rng(0).uniform(0, 1000, (30, 2)).repeat(2, axis=1)[:, [0, 2, 1, 3]] + [0, 0, 27, 27]
Result = TypeVar("Result")


class Clock:
    """Milliseconds of each part of each image, way by way."""

    def __init__(self) -> None:
        self.spent: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def timed(self, way: str, part: str, work: Callable[[], Result]) -> Result:
        """Do a part and note what it took."""
        begin = time.process_time()
        result = work()
        self.spent[way][part].append(1000 * (time.process_time() - begin))
        return result


def ours(clock: Clock, way: str, file: Path, seed: int, target: Preprocessing, as_shown: bool) -> np.ndarray:
    """An image by this toolkit's training."""
    rng, change = np.random.default_rng(seed), Augmentation()
    size = read_header(file).upright
    placement = change.placement(rng, target, Tile(0, 0, *size))
    scale = scale_of(placement.matrix) if as_shown else 1.0
    picture = clock.timed(way, "read", lambda: read_picture(file, size, scale))
    sample = Sample(picture.image, BOXES, np.zeros(len(BOXES), dtype=np.int64), np.zeros((0, 4)), picture.blocks)
    there = clock.timed(way, "warp", lambda: placed(sample, placement, change.minimal_side, change.minimal_share))
    image = clock.timed(way, "colours", lambda: change.recoloured(rng, there.image))
    return clock.timed(way, "normalise", lambda: target.normalised(image))


def plain(clock: Clock, way: str, file: Path, seed: int, target: Preprocessing) -> np.ndarray:
    """An image by NanoDet-Plus' steps."""
    rng, change = np.random.default_rng(seed), Augmentation()
    placement = change.placement(rng, target, Tile(0, 0, *read_header(file).upright))
    whole: Any = clock.timed(way, "read", lambda: cv2.imread(str(file)))
    there = clock.timed(way, "warp", lambda: _warped_at_once(whole, placement))
    coloured = clock.timed(way, "colours", lambda: _recoloured(rng, there))
    return clock.timed(way, "normalise", lambda: _normalised(coloured))


def _warped_at_once(image: np.ndarray, placement: Placement) -> np.ndarray:
    matrix = np.vstack([placement.matrix, [0, 0, 1]])
    corners = np.stack([BOXES[:, [0, 2, 2, 0]], BOXES[:, [1, 1, 3, 3]], np.ones((len(BOXES), 4))])
    np.einsum("ij,jmk->imk", matrix, corners)
    return cv2.warpPerspective(image, matrix, (placement.width, placement.height))


def _recoloured(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    values: Any = image.astype(np.float32) / 255
    if rng.random() < 0.5:
        values += rng.uniform(-0.2, 0.2)
    if rng.random() < 0.5:
        values *= rng.uniform(0.6, 1.4)
    if rng.random() < 0.5:
        hsv: Any = cv2.cvtColor(values, cv2.COLOR_BGR2HSV)
        hsv[..., 1] *= rng.uniform(0.5, 1.2)
        values = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return values


def _normalised(image: np.ndarray) -> np.ndarray:
    mean, deviation = (np.array(value[::-1], np.float32).reshape(1, 1, 3) / 255 for value in (MEAN, DEVIATION))
    return np.ascontiguousarray(((image - mean) / deviation).transpose(2, 0, 1))


def table(clock: Clock) -> str:
    """Rows of ways, columns of parts; the last one against the plain loop."""
    medians = {
        way: [statistics.median(parts[part]) for part in PARTS]
        + [statistics.median(map(sum, zip(*parts.values(), strict=True)))]
        for way, parts in clock.spent.items()
    }
    reference = medians["NanoDet-Plus' steps"][-1]
    lines = [f"| way | {' | '.join(PARTS)} | all | of the plain loop |", "|---|" + "---:|" * (len(PARTS) + 2)]
    for way, values in medians.items():
        lines.append(f"| {way} | " + " | ".join(f"{v:.1f}" for v in values) + f" | {values[-1] / reference:.2f} |")
    return "\n".join(lines)


def files(folder: Path, count: int) -> list[Path]:
    """Images of 1920 x 1080 pixels."""
    with tarfile.open(data_file(ARCHIVE)) as archive:
        archive.extractall(folder, filter="data")
    found = [f for f in sorted(folder.rglob("*.jpg")) if read_header(f).stored == (1920, 1080)]
    return found[:count]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=int, nargs=2, default=[640, 384], metavar="PIXELS")
    parser.add_argument("--images", type=int, default=50)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = options.input
    target, clock = Preprocessing(width, height, keep_ratio=True), Clock()
    with tempfile.TemporaryDirectory() as folder:
        for seed, file in enumerate(files(Path(folder), options.images)):
            ours(clock, "decoded as a whole", file, seed, target, False)
            ours(clock, "decoded as it is shown", file, seed, target, True)
            plain(clock, "NanoDet-Plus' steps", file, seed, target)
    print(table(clock))


if __name__ == "__main__":
    sys.exit(run(main))
