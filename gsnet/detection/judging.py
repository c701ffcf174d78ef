"""Where a detector is right and wrong: curves, confusions, kinds of errors, counts, and the worst images.

Figures over all detections are those of COCO's protocol at an IoU of 0.5, with at most 500 detections of an image. What depends
on a threshold of the score (confusions, counts, images) takes the one at which F1, the harmonic mean of precision and recall,
is largest on average over classes; a user would set it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hotcoco import COCOeval

from gsnet.detection.coco_evaluation import MAX_DETECTIONS, SIZES, arrays, class_order, counted, detection_rows, mean
from gsnet.detection.scene import ImageResults, Scene, SceneSet, no_boxes, usable
from gsnet.detection.visdrone_evaluation import drop_ignored
from gsnet.interface.options import InputError

RECALLS = np.linspace(0, 1, 101)
SCORES = np.linspace(0, 1, 201)
# Kinds of errors, as Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020), define them.
ERRORS = {
    "Cls": "another class",
    "Loc": "badly placed",
    "Both": "another class, badly placed",
    "Dupe": "found twice",
    "Bkg": "nothing there",
    "Miss": "not found",
}


@dataclass(frozen=True)
class ImageErrors:
    """One image at the working threshold: its place in the data set, objects found, wrong detections, objects missed, F1."""

    place: int
    found: int
    wrong: int
    missed: int
    f1: float


@dataclass(frozen=True)
class Judgement:
    """What `judged` finds; classes without objects are left out of curves.

    precision: (classes, 101) at RECALLS. f1: (classes, 201) at SCORES. threshold: the score with the best mean F1. confusion:
    (classes + 1, classes + 1), rows the truth, columns what was found, the last of each for nothing. errors: number and what AP
    would gain without them, in points, by kind of `ERRORS`. sizes: AP by size of objects, per cent, None without such objects.
    counts: (images, 2), objects that there are and that were found. images: by F1, the worst first.
    """

    classes: tuple[str, ...]
    curve_classes: tuple[str, ...]
    precision: np.ndarray
    f1: np.ndarray
    threshold: float
    confusion: np.ndarray
    errors: dict[str, tuple[int, float]]
    sizes: dict[str, float | None]
    counts: np.ndarray
    images: tuple[ImageErrors, ...]

    @property
    def count_error(self) -> float:
        """Mean over images of |found - there|."""
        return float(np.abs(self.counts[:, 1] - self.counts[:, 0]).mean())


def judged(data: SceneSet, results: Sequence[ImageResults], regions: str = "discard") -> Judgement:
    """Judge detections image by image; regions as in `evaluate_coco`. Raises InputError where no object counts."""
    data, results = _regarded(data, results, regions)
    if all(scene.ignored.all() for scene in data.scenes):
        raise InputError("The ground truth holds no object that could be judged")
    evaluation = counted(data, results, regions)
    names = class_order(data, evaluation)
    found = arrays(evaluation)
    precision = found["precision"][0, :, :, 0, -1].T
    there = precision[:, 0] > -1
    f1 = _f1_by_score(evaluation, data, results)[there]
    threshold = float(SCORES[f1.mean(axis=0).argmax()])
    kept = [part.chosen(part.scores >= threshold) for part in results]
    working = counted(data, kept, regions)
    matrix = working.confusion_matrix(iou_thr=0.5, max_det=MAX_DETECTIONS[-1])["matrix"].astype(int)
    gains, numbers = evaluation.tide_errors()["delta_ap"], working.tide_errors()["counts"]
    return Judgement(
        classes=tuple(names),
        curve_classes=tuple(name for name, known in zip(names, there, strict=True) if known),
        precision=precision[there],
        f1=f1,
        threshold=threshold,
        confusion=matrix,
        errors={kind: (int(numbers[kind]), 100 * float(gains[kind])) for kind in ERRORS},
        sizes={size: mean(found["precision"][..., place, -1]) for place, size in enumerate(SIZES)},
        counts=np.array([_counts(scene, part) for scene, part in zip(data.scenes, kept, strict=True)]),
        images=_images(working.image_diagnostics()["img_summary"]),
    )


def _regarded(data: SceneSet, results: Sequence[ImageResults], regions: str) -> tuple[SceneSet, Sequence[ImageResults]]:
    """What the protocol counts: objects with an area, and with "drop" neither objects nor detections in regions."""
    scenes = data.scenes
    if regions == "drop":
        pairs = [drop_ignored(scene, found) for scene, found in zip(scenes, results, strict=True)]
        # What lay in them is gone: nobody needs to look for it again.
        scenes = tuple(replace(scene, regions=no_boxes()) for scene, _ in pairs)
        results = [found for _, found in pairs]
    return replace(data, scenes=tuple(map(usable, scenes))), results


def _f1_by_score(evaluation: COCOeval, data: SceneSet, results: Sequence[ImageResults]) -> np.ndarray:
    """F1 of each class, in the arrays' order, when only scores from each of SCORES on count: (classes, 201)."""
    rows = detection_rows(data, results)
    status = evaluation.image_diagnostics()["dt_status"]
    # Who matched an ignored object is neither right nor wrong, and is not named.
    states = np.array([status.get(number, "") for number in range(1, len(rows) + 1)], dtype=object)
    curves = []
    for category in evaluation.params.cat_ids:
        label = data.category_ids.index(category)
        objects = sum(int(((scene.labels == label) & ~scene.ignored).sum()) for scene in data.scenes)
        mine = rows[:, 6] == category
        right, wrong = (_at_least(rows[mine & (states == state), 5]) for state in ("tp", "fp"))
        curves.append(2 * right / np.maximum(right + wrong + objects, 1))
    return np.array(curves)


def _at_least(scores: np.ndarray) -> np.ndarray:
    """How many scores are not below each of SCORES."""
    return len(scores) - np.searchsorted(np.sort(scores), SCORES, side="left")


def _counts(scene: Scene, found: ImageResults) -> tuple[int, int]:
    return int((~scene.ignored).sum()), int((found.labels >= 0).sum())


def _images(summary: dict[int, dict[str, float]]) -> tuple[ImageErrors, ...]:
    images = [
        ImageErrors(number - 1, int(row["tp"]), int(row["fp"]), int(row["fn"]), float(row["f1"]))
        for number, row in summary.items()
    ]
    return tuple(sorted(images, key=lambda image: (image.f1, -image.wrong - image.missed, image.place)))
