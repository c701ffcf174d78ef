"""COCO's average precision and recall, counted by hotcoco and read from its arrays.

hotcoco is pycocotools in Rust: the same arrays to the last bit, in a fortieth of the time where 500 detections count
(docs/evaluators.md). The arrays are read, since the summary of pycocotools and what follows it has places for three limits of
detections. Figures are in per cent, and None where the ground truth has no object of that kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from hotcoco import COCO, COCOeval

from gsnet.detection.coco_format import to_coco
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.visdrone_evaluation import drop_ignored

MAX_DETECTIONS = (1, 10, 100, 500)
SIZES = ("all", "small", "medium", "large")
_USUAL, _MANY = 2, 3  # places of 100 and 500 in MAX_DETECTIONS


@dataclass(frozen=True)
class CocoResult:
    """figures: by name, as `coco_figures` documents them; classes: AP, AP50, AP75 of each class at 100 and at 500."""

    figures: dict[str, float | None]
    classes: dict[str, dict[str, float | None]]


def evaluate_coco(data: SceneSet, results: Sequence[ImageResults], regions: str = "discard") -> CocoResult:
    """Score detections as the COCO API does, with at most 100 and at most 500 per image and class.

    regions: what happens to ignored regions, as in `to_coco`; "drop" takes detections in them away as well.
    """
    evaluation = counted(data, results, regions)
    return _result(evaluation, class_order(data, evaluation))


def counted(data: SceneSet, results: Sequence[ImageResults], regions: str = "discard") -> COCOeval:
    """The same with all that was counted: arrays by threshold, recall, class, size and limit, and matches by image."""
    content = to_coco(data, regions)
    if regions == "drop":
        results = [drop_ignored(scene, found)[1] for scene, found in zip(data.scenes, results, strict=True)]
    return _counted(content, detection_rows(data, results))


def detection_rows(data: SceneSet, results: Sequence[ImageResults]) -> np.ndarray:
    """Image id, box, score and category id of each detection of a class, (D, 7), each image's by descending score."""
    categories, parts = np.array(data.category_ids), [np.zeros((0, 7))]
    for image_id, found in enumerate(results, start=1):
        found = found.by_score()
        found = found.chosen(found.labels >= 0)
        image_ids = np.full(len(found), image_id)
        parts.append(np.column_stack([image_ids, found.boxes, found.scores, categories[found.labels]]))
    return np.concatenate(parts)


def evaluate_json(content: dict[str, Any], results: list[dict[str, Any]] | np.ndarray) -> CocoResult:
    """The same for ground truth in COCO's JSON, and results as its list or as rows of image, box, score and category."""
    evaluation = _counted(content, results)
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    return _result(evaluation, [names[i] for i in evaluation.params.cat_ids])


def _counted(content: dict[str, Any], results: list[dict[str, Any]] | np.ndarray) -> COCOeval:
    # An annotation with the id 0 counts as not found, in pycocotools too; nothing refers to these ids.
    rows = [row | {"id": number} for number, row in enumerate(content["annotations"], start=1)]
    truth = COCO(content | {"annotations": rows})
    evaluation = COCOeval(truth, truth.load_res(results), "bbox")
    evaluation.params.max_dets = list(MAX_DETECTIONS)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def class_order(data: SceneSet, evaluation: COCOeval) -> list[str]:
    """Names of classes as the arrays have them, by their category ids."""
    names = dict(zip(data.category_ids, data.class_names, strict=True))
    return [names[i] for i in evaluation.params.cat_ids]


def arrays(evaluation: COCOeval) -> dict[str, np.ndarray]:
    """precision and scores (thresholds, recalls, classes, sizes, limits), recall (thresholds, classes, sizes, limits)."""
    return cast(dict[str, np.ndarray], evaluation.eval)


def _result(evaluation: COCOeval, names: Sequence[str]) -> CocoResult:
    found = arrays(evaluation)
    return CocoResult(coco_figures(found["precision"], found["recall"]), _by_class(found["precision"], names))


def coco_figures(precision: np.ndarray, recall: np.ndarray) -> dict[str, float | None]:
    """The figures by name: AP, AP50, AP75, AP_small, AP_medium, AP_large, AR1, AR10, AR100, AR_small, AR_medium and AR_large
    with at most 100 detections per image and class; AP_500, AP50_500 … AR_large_500 with at most 500.

    precision (thresholds, recalls, classes, sizes, limits) and recall (thresholds, classes, sizes, limits) as in COCOeval.
    """
    figures: dict[str, float | None] = {}
    for ending, limit in (("", _USUAL), ("_500", _MANY)):
        for name, part in (("AP", slice(None)), ("AP50", 0), ("AP75", 5)):
            figures[name + ending] = mean(precision[part, ..., 0, limit])
        for size, name in enumerate(SIZES[1:], start=1):
            figures[f"AP_{name}{ending}"] = mean(precision[..., size, limit])
            figures[f"AR_{name}{ending}"] = mean(recall[..., size, limit])
    for limit, number in enumerate(MAX_DETECTIONS):
        figures[f"AR{number}"] = mean(recall[..., 0, limit])
    return figures


def _by_class(precision: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            f"{figure}{ending}": mean(precision[part, ..., i, 0, limit])
            for ending, limit in (("", _USUAL), ("_500", _MANY))
            for figure, part in (("AP", slice(None)), ("AP50", 0), ("AP75", 5))
        }
        for i, name in enumerate(names)
    }


def mean(values: np.ndarray) -> float | None:
    """Mean in per cent without the -1 of what does not exist."""
    values = values[values > -1]
    return 100 * float(values.mean()) if values.size else None
