"""A detector at work: batches in, detections in pixels of the images' files out, and the time that each part takes."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gsnet.detection.checkpoint import load_detector
from gsnet.detection.data_set import collated
from gsnet.detection.exported import is_exported, load_exported
from gsnet.detection.postprocess import PostprocessSettings, Reader, detections
from gsnet.detection.preprocessing import Preprocessing, read_image
from gsnet.detection.scene import ImageResults, Scene, from_corners
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.targets import Batch, Detections, Targets
from gsnet.detection.tiles import Tile, TileSettings, joined, tiles_of
from gsnet.interface.options import InputError
from gsnet.runtimes.timing import clock_of
from gsnet.validation.precision import autocast, half_type

# With fewer batches of tiles an image is done before a bar can be read.
_BATCHES_OF_A_BAR = 4
_IMAGES_OF_A_LINE = 50
_LOG = logging.getLogger(__name__)


@dataclass
class Seconds:
    """Time spent, in seconds, over a number of images: reading and resizing, the network, and what follows it."""

    images: int = 0
    reading: float = 0.0
    network: float = 0.0
    postprocessing: float = 0.0

    def milliseconds_per_image(self) -> dict[str, float]:
        """Each part and their sum, in milliseconds of one image."""
        parts = {name: getattr(self, name) for name in ("reading", "network", "postprocessing")}
        parts["total"] = sum(parts.values())
        return {name: 1000 * value / max(self.images, 1) for name, value in parts.items()}


@dataclass
class Finder:
    """A network with all that its predictions need to become detections.

    network: images (N, 3, H, W) to predictions (N, priors, classes + 32), on the device and in evaluation mode already, or to
    what `read` makes detections of. dtype: of mixed precision, None for float32. batch_size: tiles at a time. trained_tiles:
    how it looks at large images, where it was trained on windows of them. views: images and tiles looked at so far;
    limits_reached: in how many of them, and of joined images, a limit left nothing more in.
    """

    network: Callable[[Tensor], Tensor]
    settings: DetectorSettings
    preprocessing: Preprocessing
    postprocess: PostprocessSettings
    device: str = "cpu"
    dtype: torch.dtype | None = None
    batch_size: int = 8
    trained_tiles: TileSettings | None = None
    seconds: Seconds = field(default_factory=Seconds)
    views: int = 0
    limits_reached: Counter[str] = field(default_factory=Counter)
    read: Reader = detections

    def tiles(self, side: int | None = None) -> TileSettings | None:
        """How to look at large images: in tiles of a side in pixels, by default as the detector was trained; None for 0, or
        where it was trained on whole ones. Raises InputError."""
        tiles = self.trained_tiles if side is None else TileSettings(side) if side else None
        return None if tiles is None else replace(tiles, threshold=self.postprocess.iou_threshold)

    @torch.inference_mode()
    def find(self, batch: Batch) -> list[ImageResults]:
        """The detections of every image of a batch, in pixels of its file, by descending score."""
        clock = clock_of(self.device)
        begin = clock()
        with autocast(self.device, self.dtype):
            predictions = self.network(batch.images.to(self.device))
        middle = clock()
        height, width = batch.images.shape[-2:]
        found = self.read(predictions, (height, width), self.settings, self.postprocess)
        results = [as_results(part, target) for part, target in zip(found, batch.targets, strict=True)]
        self.views += len(results)
        self.limits_reached["views"] += sum(len(part) == self.postprocess.max_detections for part in results)
        self.seconds.network += middle - begin
        self.seconds.postprocessing += clock() - middle
        return results

    def find_in(self, image: np.ndarray) -> ImageResults:
        """The detections of one RGB image (H, W, 3) uint8."""
        self.seconds.images += 1
        return self.find_views([image])[0]

    def find_in_tiles(self, image: np.ndarray, settings: TileSettings) -> ImageResults:
        """The detections of one RGB image, looked at in tiles and joined; a progress bar on a terminal where they are many."""
        height, width = image.shape[:2]
        tiles = tiles_of(width, height, settings)
        self.seconds.images += 1
        found = self.find_views([tile.cut(image) for tile in tiles])
        return self.joined(tiles, found, (width, height), settings)

    def joined(
        self, tiles: Sequence[Tile], found: Sequence[ImageResults], size: tuple[int, int], settings: TileSettings
    ) -> ImageResults:
        """The detections of an image of a size (width, height) from those of its tiles."""
        begin = time.perf_counter()
        whole = joined(tiles, found, size, settings)
        if len(whole) == settings.max_joined:
            self.limits_reached["joined images"] += 1
        self.seconds.postprocessing += time.perf_counter() - begin
        return whole

    def find_views(self, images: Sequence[np.ndarray]) -> list[ImageResults]:
        """The detections of RGB images (H, W, 3) uint8, a batch at a time; a progress bar where they are many."""
        results: list[ImageResults] = []
        batches = range(0, len(images), self.batch_size)
        quiet = len(batches) < _BATCHES_OF_A_BAR or not sys.stderr.isatty()
        for first in tqdm(batches, disable=quiet, desc="tiles", leave=False):
            begin = time.perf_counter()
            samples = [self._sample(image) for image in images[first : first + self.batch_size]]
            batch = collated(samples)
            self.seconds.reading += time.perf_counter() - begin
            results += self.find(batch)
        return results

    def _sample(self, image: np.ndarray) -> tuple[torch.Tensor, Targets]:
        values, placement = self.preprocessing.apply(image)
        matrix = torch.from_numpy(placement.matrix).float()
        return torch.from_numpy(values), Targets(to_input=matrix, original_size=(image.shape[0], image.shape[1]))

    def find_all(self, batches: Iterable[Batch]) -> Iterator[tuple[str, ImageResults]]:
        """Image ids and detections, batch by batch, with a progress bar on a terminal."""
        begin = time.perf_counter()
        for batch in tqdm(batches, disable=not sys.stderr.isatty(), desc="detection", leave=False):
            self.seconds.reading += time.perf_counter() - begin
            self.seconds.images += len(batch)
            yield from zip((target.image_id for target in batch.targets), self.find(batch), strict=True)
            begin = time.perf_counter()

    def find_all_in_tiles(self, scenes: Sequence[Scene], settings: TileSettings) -> Iterator[tuple[str, ImageResults]]:
        """Names of images and detections, each image looked at in tiles; a progress bar on a terminal, lines elsewhere.

        Raises InputError where an image has no file, BrokenImageError where it cannot be read.
        """
        shown = sys.stderr.isatty()
        for number, scene in enumerate(tqdm(scenes, disable=not shown, desc="detection", leave=False), start=1):
            if scene.image is None:
                raise InputError(f"The data set names no image file for {scene.name}")
            begin = time.perf_counter()
            image = read_image(scene.image, (scene.width, scene.height))
            self.seconds.reading += time.perf_counter() - begin
            yield scene.name, self.find_in_tiles(image, settings)
            if number % _IMAGES_OF_A_LINE == 0 and not shown:
                _LOG.info("%d of %d images", number, len(scenes))


def load_finder(
    path: str | Path,
    device: str,
    postprocess: PostprocessSettings,
    input_image_size: int | None = None,
    *,
    half: bool = False,
    batch_size: int = 8,
) -> Finder:
    """The detector of a training's folder, of a checkpoint or of an exported file, ready to work. Raises InputError.

    input_image_size: side of the network's input in pixels, instead of the trained one. half: mixed precision, bfloat16 on a
    CPU, float16 on a GPU.
    """
    if is_exported(path):
        if device != "cpu" or half:
            raise InputError(
                f"{path} runs on the processor, in the precision that it was written in: leave --gpu, --device and --fp16 out"
            )
        export = load_exported(Path(path).expanduser(), postprocess, input_image_size)
        described = (export.network, export.settings, export.preprocessing, postprocess)
        return Finder(*described, device, None, batch_size, export.tiles, read=export.read)
    loaded = load_detector(path, device)
    preprocessing = loaded.preprocessing
    if input_image_size is not None:
        preprocessing = replace(preprocessing, width=input_image_size, height=input_image_size)
    parts = (loaded.detector, loaded.settings, preprocessing, postprocess)
    return Finder(*parts, device, half_type(device) if half else None, batch_size, loaded.tiles)


def as_results(found: Detections, target: Targets) -> ImageResults:
    """Detections in pixels of the input as results in pixels of the image's file."""
    found = Detections(found.boxes.cpu(), found.scores.cpu(), found.labels.cpu()).mapped_back(target)
    boxes = from_corners(found.boxes.double().numpy().reshape(-1, 4))
    return ImageResults(boxes, found.scores.double().numpy(), found.labels.numpy())
