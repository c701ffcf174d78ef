"""What a detection data set says of its images, independent of the format it came in, and what was found in them.

All boxes here are `left, top, width, height` in pixels of the image in the orientation that the annotations were made for,
float64, as VisDrone's text files and COCO's JSON have them, so that evaluation sees the very numbers of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

import numpy as np

from gsnet.data.broken import BrokenImageError
from gsnet.detection.image_files import ROUNDING
from gsnet.interface.options import InputError


def no_boxes() -> np.ndarray:
    """An empty array of boxes, (0, 4)."""
    return np.zeros((0, 4))


@dataclass(frozen=True)
class Scene:
    """One image and its ground truth, every row of the file, good or bad.

    name: how result files call the image, see `result_names`. boxes (M, 4), labels (M,) int64 from 0; ignored (M,) bool:
    objects of which neither finding nor missing counts, in their own class; regions (K, 4): areas in which nothing of any class
    counts; others (L, 4): objects of no class of the set. truncation and occlusion (M,) int64, areas (M,) in pixels, and lines
    (M,), the line of each box in its file, where the format has them; areas that are those of the boxes are not told.
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
    areas: np.ndarray | None = None

    def chosen(self, keep: np.ndarray, boxes: np.ndarray | None = None) -> Scene:
        """The scene with the objects of `keep` (bool or indices) only, their boxes replaced where `boxes` (M, 4) is given."""
        rows = {name: getattr(self, name) for name in ("truncation", "occlusion", "lines", "areas")}
        rows = {name: None if values is None else values[keep] for name, values in rows.items()}
        boxes = self.boxes if boxes is None else boxes
        return replace(self, boxes=boxes[keep], labels=self.labels[keep], ignored=self.ignored[keep], **rows)


@dataclass(frozen=True)
class SceneSet:
    """Images with their ground truth: class names by label, the category of each label in result files, and the images.

    broken: images that the data set names and that cannot be read; they are not among the scenes. stray: annotation files
    of which there is no image. unlabelled: images for which there is no annotation file, where the format takes them as
    images without objects.
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    scenes: tuple[Scene, ...]
    broken: tuple[BrokenImageError, ...] = ()
    stray: tuple[Path, ...] = ()
    unlabelled: tuple[Path, ...] = ()

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

    What was left out or clipped is added to `dropped` by its reason; what rounding moved beyond the border is no clipping.
    """
    boxes = clipped(scene.boxes, scene.width, scene.height)
    alive = (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    regions = clipped(scene.regions, scene.width, scene.height)
    alive_regions = (regions[:, 2] > 0) & (regions[:, 3] > 0)
    if dropped is not None:
        dropped["boxes without an area"] += int((~alive).sum())
        dropped["ignored regions without an area"] += int((~alive_regions).sum())
        cut = (np.abs(corners(boxes) - corners(scene.boxes)) > ROUNDING).any(axis=1)
        dropped["boxes clipped to their image"] += int(cut[alive].sum())
    return replace(scene.chosen(alive, boxes), regions=regions[alive_regions])


Item = TypeVar("Item")


def built(
    items: Iterable[Item], build: Callable[[Item], Scene]
) -> tuple[tuple[Scene, ...], tuple[BrokenImageError, ...]]:
    """The scenes of all items, and the images that cannot be read."""
    scenes, broken = [], []
    for item in items:
        try:
            scenes.append(build(item))
        except BrokenImageError as error:
            broken.append(error)
    return tuple(scenes), tuple(broken)


def result_names(paths: Sequence[PurePath]) -> list[str]:
    """Names for result files that tell images apart, one a path: their stems, or where two are alike, for all of them the path
    below the folder that they share, as in seq1_000001, and where that is not enough, the suffix too, as in a_jpg.

    Raises InputError where a path is given twice.
    """
    repeated = _repeated([str(path) for path in paths])
    if repeated:
        raise InputError(f"The image {repeated} is named twice")
    stems = [path.stem for path in paths]
    if not _repeated(stems):
        return stems
    short = _below_shared_folder(paths)
    joined = ["_".join(path.with_suffix("").parts) for path in short]
    if _repeated(joined):
        joined = ["_".join([*path.parent.parts, path.name.replace(".", "_")]) for path in short]
    if _repeated(joined):
        joined = [f"{name}_{number}" for number, name in enumerate(joined, start=1)]
    return joined


def _below_shared_folder(paths: Sequence[PurePath]) -> list[PurePath]:
    parents = [path.parent.parts for path in paths]
    shared = 0
    while all(len(parts) > shared and parts[shared] == parents[0][shared] for parts in parents):
        shared += 1
    return [PurePosixPath(*path.parts[shared:]) for path in paths]


def relative_names(paths: Sequence[Path]) -> list[str]:
    """Paths below the folder that all of them share, with forward slashes; the bare names where that is one folder."""
    return [str(path) for path in _below_shared_folder(paths)]


def _repeated(texts: Sequence[str]) -> str | None:
    return next((text for text, count in Counter(texts).items() if count > 1), None)
