"""What a detection data set says of its images, independent of the format it came in, and what was found in them.

All boxes here are `left, top, width, height` in pixels of the image as it lies in the file, float64, as VisDrone's text
files and COCO's JSON have them, so that evaluation sees the very numbers of the file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from gsnet.interface.options import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def no_boxes() -> np.ndarray:
    """An empty array of boxes, (0, 4)."""
    return np.zeros((0, 4))


@dataclass(frozen=True)
class Scene:
    """One image and its ground truth, every row of the file, good or bad.

    name: how result files call the image (its stem). boxes (M, 4), labels (M,) int64 from 0; ignored (M,) bool: objects
    of which neither finding nor missing counts, in their own class; regions (K, 4): areas in which nothing of any class
    counts; others (L, 4): objects of no class of the set. truncation and occlusion (M,) int64, and lines (M,), the line of
    each box in its file, where the format has them.
    """

    name: str
    image: Path | None
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray
    regions: np.ndarray = field(default_factory=no_boxes)
    others: np.ndarray = field(default_factory=no_boxes)
    truncation: np.ndarray | None = None
    occlusion: np.ndarray | None = None
    lines: np.ndarray | None = None

    def chosen(self, keep: np.ndarray, boxes: np.ndarray | None = None) -> Scene:
        """The scene with the objects of `keep` (bool or indices) only, their boxes replaced where `boxes` (M, 4) is given."""
        rows = {name: getattr(self, name) for name in ("truncation", "occlusion", "lines")}
        rows = {name: None if values is None else values[keep] for name, values in rows.items()}
        boxes = self.boxes if boxes is None else boxes
        return replace(self, boxes=boxes[keep], labels=self.labels[keep], ignored=self.ignored[keep], **rows)


@dataclass(frozen=True)
class SceneSet:
    """Images with their ground truth: class names by label, the category of each label in result files, and the images."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)


@dataclass(frozen=True)
class ImageResults:
    """What was found in one image, in the order of the result file: boxes (D, 4), scores (D,), labels (D,) int64.

    A label of -1 stands for a category that is not evaluated; it still takes its place in the order.
    """

    boxes: np.ndarray = field(default_factory=no_boxes)
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, keep: np.ndarray) -> ImageResults:
        """The detections that `keep` (bool or indices) names."""
        return ImageResults(self.boxes[keep], self.scores[keep], self.labels[keep])

    def by_score(self) -> ImageResults:
        """The same, by descending score; equal scores keep their order."""
        return self.chosen(np.argsort(-self.scores, kind="stable"))


def corners(boxes: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) `left, top, width, height` as `x1, y1, x2, y2`."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def from_corners(boxes: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) `x1, y1, x2, y2` as `left, top, width, height`."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def clipped(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes (M, 4) cut to their image; sides that had been negative or outside become 0."""
    inside = corners(boxes).clip(0, [width, height, width, height])
    return np.maximum(from_corners(inside), 0)


def with_others_as_regions(scene: Scene) -> Scene:
    """The scene in which objects of no class are regions where nothing counts."""
    return replace(scene, regions=np.concatenate([scene.regions, scene.others]), others=no_boxes())


def usable(scene: Scene, dropped: Counter[str] | None = None) -> Scene:
    """The scene as training and COCO files can use it: boxes clipped to the image, those without an area left out.

    What was left out or clipped is added to `dropped` by its reason.
    """
    boxes = clipped(scene.boxes, scene.width, scene.height)
    alive = (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    regions = clipped(scene.regions, scene.width, scene.height)
    alive_regions = (regions[:, 2] > 0) & (regions[:, 3] > 0)
    if dropped is not None:
        dropped["boxes without an area"] += int((~alive).sum())
        dropped["ignored regions without an area"] += int((~alive_regions).sum())
        dropped["boxes clipped to their image"] += int((boxes != scene.boxes).any(axis=1)[alive].sum())
    return replace(scene.chosen(alive, boxes), regions=regions[alive_regions])


def image_size(file: Path) -> tuple[int, int]:
    """Width and height from an image's header, as stored (a rotation in its EXIF data is not applied).

    Raises InputError where the file is no image.
    """
    try:
        with Image.open(file) as image:
            return image.size
    except FileNotFoundError as error:
        raise InputError(f"There is no image {file}") from error
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{file} is no image that can be read ({error})") from error


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by their name without suffix. Raises InputError where there are none, or two of one name."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: the images were expected in it")
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in IMAGE_SUFFIXES or file.name.startswith("."):
            continue
        if file.stem in found:
            raise InputError(f"{found[file.stem]} and {file.name} have the same name: keep one of them")
        found[file.stem] = file
    if not found:
        raise InputError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    return found
