"""The official VisDrone-DET protocol: average precision and recall with ignored regions, weighted by images with a class.

Written from the toolkit's rules, version 1.0.4, one function a rule: ignored regions take objects and detections away
(`outside_regions`), the first n lines of a result file count over all classes together (`_first`), detections are matched per
image, class and threshold (`_match`), precision is integrated over every recall step (`_average_precision`), and the mean over
classes is weighted by the number of images that hold the class (`evaluate_visdrone`). All figures are in per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gsnet.detection.scene import ImageResults, Scene, SceneSet
from gsnet.interface.options import InputError

# As the toolkit's 0.5:0.05:0.95 gives them, to the last bit.
THRESHOLDS = 0.5 + 0.05 * np.arange(10)
MAX_DETECTIONS = (1, 10, 100, 500)
_COVERED = 0.5


@dataclass(frozen=True)
class ClassResult:
    """One class: the images that hold it after ignored regions were applied, and its figures in per cent."""

    name: str
    images: int
    objects: int
    AP: float
    AP50: float
    AP75: float
    AR500: float


@dataclass(frozen=True)
class VisDroneResult:
    """Figures in per cent, averaged over classes with the number of images that hold a class as weight."""

    AP: float
    AP50: float
    AP75: float
    AR1: float
    AR10: float
    AR100: float
    AR500: float
    classes: tuple[ClassResult, ...]
    kept_objects: int
    kept_detections: int

    def figures(self) -> dict[str, float]:
        """The seven figures of the protocol by name."""
        return {name: getattr(self, name) for name in ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AR500")}


def round_half_away(values: np.ndarray) -> np.ndarray:
    """Whole numbers, halves rounded away from zero, as int64."""
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(np.int64)


def region_integral(regions: np.ndarray, width: int, height: int) -> np.ndarray:
    """Inclusive integral image (height + 1, width + 1) of the union of regions (K, 4), row and column 0 being zero.

    Pixels count from 1. A region covers the rows y to y + h and the columns x to x + w, both ends included.
    """
    mask = np.zeros((height + 1, width + 1), dtype=np.uint8)
    for x, y, w, h in np.maximum(round_half_away(regions), 1).tolist():
        mask[y : y + h + 1, x : x + w + 1] = 1
    return cv2.integral(mask)[1:, 1:]


def outside_regions(boxes: np.ndarray, integral: np.ndarray) -> np.ndarray:
    """Which boxes (M, 4) have less than half of their area in ignored regions, (M,) bool."""
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    x, y, w, h = np.maximum(round_half_away(boxes), 1).T
    x, y = np.minimum(x, width), np.minimum(y, height)
    right, bottom = np.minimum(x + w, width), np.minimum(y + h, height)
    covered = integral[y, x] + integral[bottom, right] - integral[y, right] - integral[bottom, x]
    return covered / (w * h) < _COVERED


def drop_ignored(scene: Scene, results: ImageResults) -> tuple[Scene, ImageResults]:
    """Ground truth and detections without those that lie to half or more in ignored regions, whatever their class."""
    if not len(scene.regions):
        return scene, results
    integral = region_integral(scene.regions, scene.width, scene.height)
    scene = scene.chosen(outside_regions(scene.boxes, integral))
    return scene, results.chosen(outside_regions(results.boxes, integral))


def evaluate_visdrone(data: SceneSet, results: Sequence[ImageResults]) -> VisDroneResult:
    """Score the detections of each image, in the order of its result file, as the official toolkit does.

    Raises InputError where no object is left to be evaluated.
    """
    pairs = [drop_ignored(scene, found) for scene, found in zip(data.scenes, results, strict=True)]
    classes = len(data.class_names)
    images, objects = np.zeros(classes), np.zeros(classes)
    for scene, _ in pairs:
        counts = np.bincount(scene.labels, minlength=classes)
        objects += counts
        images += counts > 0
    if not images.any():
        raise InputError("The ground truth holds no object that could be evaluated")
    precision, recall = _curves(pairs, objects)
    weights = images / images.sum()
    ap = 100 * precision.mean(axis=1)
    ap50, ap75 = 100 * precision[:, 0], 100 * precision[:, 5]
    ar = 100 * recall.mean(axis=2)
    per_class = tuple(
        ClassResult(name, int(images[i]), int(objects[i]), *map(float, (ap[i], ap50[i], ap75[i], ar[-1, i])))
        for i, name in enumerate(data.class_names)
    )
    ap_mean, ap50_mean, ap75_mean, *ar_means = (float(weights @ values) for values in (ap, ap50, ap75, *ar))
    ar1, ar10, ar100, ar500 = ar_means
    kept = int(objects.sum()), sum(len(found) for _, found in pairs)
    return VisDroneResult(ap_mean, ap50_mean, ap75_mean, ar1, ar10, ar100, ar500, per_class, *kept)


def _curves(pairs: Sequence[tuple[Scene, ImageResults]], objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision at the last cut, (classes, thresholds), and largest recall, (cuts, classes, thresholds)."""
    classes, steps = len(objects), len(THRESHOLDS)
    precision = np.zeros((classes, steps))
    recall = np.zeros((len(MAX_DETECTIONS), classes, steps))
    matches = _matches(pairs)
    for i, (_, labels, hits, _) in enumerate(matches):
        for label in np.flatnonzero(objects):
            recall[i, label] = hits[labels == label].sum(axis=0) / objects[label]
    scores, labels, hits, misses = matches[-1]
    for label in np.flatnonzero(objects):
        mine = labels == label
        order = np.argsort(-scores[mine], kind="stable")
        found = hits[mine][order].cumsum(axis=0)
        false = misses[mine][order].cumsum(axis=0)
        precision[label] = _average_precision(found / objects[label], found / np.maximum(found + false, 1))
    return precision, recall


def _average_precision(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Area under the envelope of precision over all recall steps; both (n, thresholds), result (thresholds,)."""
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    widths = np.diff(recall, axis=0, prepend=0.0)
    return (widths * envelope).sum(axis=0)


Matches = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _matches(pairs: Sequence[tuple[Scene, ImageResults]]) -> list[Matches]:
    """For each cut all detections within it, image by image and by descending score in each: scores, labels, and hit and miss
    at each threshold, (n, thresholds) bool. Neither hit nor miss is who was matched to an ignored object."""
    images = [_match_within_cuts(scene, results) for scene, results in pairs]
    joined = []
    for cut in zip(*images, strict=True):
        scores, labels, hits, misses = (np.concatenate(parts) for parts in zip(*cut, strict=True))
        joined.append((scores, labels, _unpacked(hits), _unpacked(misses)))
    return joined


def _match_within_cuts(scene: Scene, results: ImageResults) -> list[Matches]:
    """One image's detections within each cut, see `_match`."""
    if (np.diff(results.scores) > 0).any():
        return [_match(scene, results.chosen(np.arange(min(cut, len(results))))) for cut in MAX_DETECTIONS]
    # A detection's match depends on those of higher scores alone, which every cut that holds it holds too.
    matches = _match(scene, results.chosen(np.arange(min(MAX_DETECTIONS[-1], len(results)))))
    return [tuple(part[:cut] for part in matches) for cut in MAX_DETECTIONS]  # type: ignore[misc]


def _unpacked(masks: np.ndarray) -> np.ndarray:
    return (masks[:, None] >> np.arange(len(THRESHOLDS))) & 1 == 1


def _masks(overlaps: np.ndarray) -> np.ndarray:
    """For each overlap the thresholds that it reaches, as bits."""
    return (1 << np.searchsorted(THRESHOLDS, overlaps, side="right")) - 1


def _match(scene: Scene, results: ImageResults) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores and labels of one image's detections by descending score, and their hits and misses as bits of thresholds.

    At each threshold a detection takes the best object that is still free there; who found none may be matched to an
    ignored object, any number of times. All thresholds are handled at once: free and taken are bits.
    """
    results = results.by_score()
    intersections = _intersections(results.boxes, scene.boxes)
    intersections[results.labels[:, None] != scene.labels[None, :]] = 0
    found_areas, areas = _areas(results.boxes), _areas(scene.boxes)
    counted = ~scene.ignored
    inside = intersections[:, counted]
    unions = np.maximum(found_areas[:, None] + areas[None, counted] - inside, np.finfo(float).tiny)
    hits = _taken(np.where(inside > 0, inside / unions, 0))
    misses = ((1 << len(THRESHOLDS)) - 1) & ~hits
    if not counted.all() and len(results):
        best = intersections[:, ~counted].max(axis=1)
        shares = np.where(best > 0, best / np.maximum(found_areas, np.finfo(float).tiny), 0)
        misses &= ~_masks(shares)
    return results.scores, results.labels, hits, misses


def _taken(overlaps: np.ndarray) -> np.ndarray:
    """Bits of the thresholds at which each detection (row, best score first) takes an object (column), (D,) int64."""
    taken = np.zeros(len(overlaps), dtype=np.int64)
    rows, columns = np.nonzero(overlaps >= THRESHOLDS[0])
    values = overlaps[rows, columns]
    # Row by row, the largest overlap first; of equal ones the later object.
    order = np.lexsort((-columns, -values, rows))
    free = [(1 << len(THRESHOLDS)) - 1] * overlaps.shape[1]
    for row, column, reached in zip(
        rows[order].tolist(), columns[order].tolist(), _masks(values[order]).tolist(), strict=True
    ):
        won = reached & free[column] & ~int(taken[row])
        free[column] &= ~won
        taken[row] |= won
    return taken


def _areas(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2] * boxes[:, 3]


def _intersections(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Areas that boxes (D, 4) and (M, 4) have in common, (D, M)."""
    sides = []
    for axis in (0, 1):
        low = np.maximum(first[:, None, axis], second[None, :, axis])
        ends = [boxes[:, axis] + boxes[:, axis + 2] for boxes in (first, second)]
        sides.append(np.maximum(np.minimum(ends[0][:, None], ends[1][None, :]) - low, 0))
    return sides[0] * sides[1]
