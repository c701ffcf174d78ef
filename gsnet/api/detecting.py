"""A trained detector, asked about one image at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gsnet.api.naming import said_in_python
from gsnet.api.pictures import check_is_several, pixels_of
from gsnet.detection.classes import only
from gsnet.detection.drawing import drawn
from gsnet.detection.inference import Finder, load_finder
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.preprocessing import check_sides, read_image
from gsnet.detection.scene import ImageResults, corners, from_corners
from gsnet.detection.score_limits import ScoreLimits
from gsnet.interface.options import InputError, device_name, named_few
from gsnet.interface.values import check_counts, plain

if TYPE_CHECKING:
    from PIL.Image import Image

# What the command line calls otherwise.
_KEYWORDS = {"input_image_size": "resolution", "dynamic": "dynamic=True"}


# Of arrays: equal where it is the same.
@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in an image, by falling score.

    boxes: (D, 4) as x1, y1, x2, y2 in pixels of the image. scores: (D,). labels: (D,), places in class_names. image: (H, W, 3)
    RGB, as it was looked at.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        found = ", ".join(f"{count} {name}" for name, count in zip(self.class_names, counts, strict=True) if count)
        height, width = self.image.shape[:2]
        return f"Detections({found or 'nothing'} in {width} x {height} pixels)"

    @property
    def names(self) -> list[str]:
        """The class of each detection."""
        return [self.class_names[label] for label in self.labels]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One for each detection, as JSON takes them: name, score, and box as x1, y1, x2, y2."""
        rows = zip(self.names, self.scores.tolist(), self.boxes.tolist(), strict=True)
        return [{"name": name, "score": score, "box": box} for name, score, box in rows]

    def draw(self) -> np.ndarray:
        """The image with boxes, names and a legend below: RGB (H', W, 3) uint8."""
        found = ImageResults(from_corners(self.boxes), self.scores, self.labels)
        return drawn(self.image, found, self.class_names, threshold=0.0)


class Detector:
    """A detector that train_detection.py trained, ready for images.

    detector = gsnet.Detector.load("save_dir/training")
    detector("street.jpg").as_dicts()
    """

    def __init__(self, finder: Finder, limits: ScoreLimits | None = None) -> None:
        """limits: least scores of classes, where that of the finder is not all."""
        self._finder, self._limits = finder, limits

    def __repr__(self) -> str:
        prepared = self._finder.preprocessing
        names = f"{len(self.class_names)} classes ({named_few(self.class_names)})"
        return f"Detector({names}, input {prepared.width} x {prepared.height}, on {self._finder.device})"

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str | None = None,
        score_threshold: float | Mapping[str, float] = 0.3,
        nms_threshold: float = 0.6,
        max_detections: int = 500,
        resolution: int | None = None,
    ) -> Detector:
        """The detector of a training's folder, of a checkpoint or of a file that gsnet export wrote (.onnx, .xml, .param).

        device: name of torch's, the CPU by default. score_threshold: less is not reported; by class where it is a table,
        as {"car": 0.4}, and 0.3 of the others. nms_threshold: of two boxes of a class whose IoU is larger the weaker goes.
        max_detections: of an image or a tile. resolution: side of the network's input in pixels, a multiple of 32, instead of
        the trained one. Raises InputError.
        """
        resolution = plain(resolution)
        if resolution is not None:
            check_counts(resolution=resolution)
            check_sides(resolution, resolution)
        chosen = device_name(None, device)
        limits = (
            ScoreLimits(by_class=score_threshold)
            if isinstance(score_threshold, Mapping)
            else ScoreLimits(score_threshold)
        )
        least = min((limits.usual, *limits.by_class.values()))
        settings = PostprocessSettings(least, nms_threshold, max_detections)
        with said_in_python(_KEYWORDS):
            finder = load_finder(path, chosen, settings, resolution)
        limits.of(finder.settings.classes)
        return cls(finder, limits)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it tells apart, by label."""
        return self._finder.settings.classes

    def __call__(
        self,
        image: str | Path | np.ndarray | Image,
        *,
        tile: int | None = None,
        overlap: float | None = None,
        classes: Collection[str] | None = None,
    ) -> Detections:
        """What is in an image: a file, an array (H, W, 3) uint8 of RGB, or a picture of Pillow's.

        tile: look at tiles of that side and at the whole, for large images; by default as the detector was trained, 0 for the
        image as one. overlap: share of a side that neighbouring tiles have in common, by default 0.2. classes: report these
        alone. Raises InputError for what is no such image, value or class.
        """
        pixels = _pixels(image)
        settings = self._finder.tiles(tile)
        if overlap is not None and settings is None:
            raise InputError(f"overlap {overlap} is of tiles, and this image is looked at as one: give tile, too")
        if settings is not None and overlap is not None:
            settings = replace(settings, overlap=overlap)
        found = self._finder.find_in(pixels) if settings is None else self._finder.find_in_tiles(pixels, settings)
        if self._limits is not None:
            found = found.chosen(self._limits.reached(found, self.class_names))
        if classes is not None:
            found = only(found, [classes] if isinstance(classes, str) else list(classes), self.class_names)
        return Detections(corners(found.boxes), found.scores, found.labels, self.class_names, pixels)

    def each(
        self,
        images: Iterable[str | Path | np.ndarray | Image],
        *,
        tile: int | None = None,
        overlap: float | None = None,
        classes: Collection[str] | None = None,
    ) -> Iterator[Detections]:
        """The same of one image after the other, such as the files of a folder or the frames of a video. Raises InputError."""
        check_is_several(images)
        return (self(image, tile=tile, overlap=overlap, classes=classes) for image in images)


def _pixels(image: str | Path | np.ndarray | Image) -> np.ndarray:
    return read_image(Path(image).expanduser()) if isinstance(image, str | Path) else pixels_of(image)
