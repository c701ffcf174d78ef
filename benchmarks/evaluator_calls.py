"""The same question put to each evaluator in its own words: average precision, and that at an overlap of 0.5, in per cent."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from gsnet.detection.coco_evaluation import evaluate_coco
from gsnet.detection.coco_format import to_coco, to_coco_results
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.visdrone_evaluation import evaluate_visdrone

Figures = tuple[float, float]


@dataclass(frozen=True)
class Question:
    """Ground truth, detections image by image, how many of an image count, and what becomes of ignored regions (`to_coco`)."""

    data: SceneSet
    results: Sequence[ImageResults]
    limit: int
    regions: str = "discard"

    def coco(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Both in COCO's JSON; loading changes them, so that every caller gets copies."""
        return to_coco(self.data, self.regions), copy.deepcopy(to_coco_results(self.data, self.results))

    def by_image(self) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """Annotations and detections of each image, in COCO's JSON."""
        content, results = self.coco()
        groups: dict[int, tuple[list, list]] = {image["id"]: ([], []) for image in content["images"]}
        for row in content["annotations"]:
            groups[row["image_id"]][0].append(row)
        for row in results:
            groups[row["image_id"]][1].append(row)
        return list(groups.values())


def ours(question: Question) -> Figures:
    """This toolkit's reading of the COCO protocol."""
    figures = evaluate_coco(question.data, question.results, question.regions).figures
    ending = "" if question.limit == 100 else f"_{question.limit}"
    return _known(figures[f"AP{ending}"]), _known(figures[f"AP50{ending}"])


def _known(figure: float | None) -> float:
    return float("nan") if figure is None else figure


def visdrone(question: Question) -> Figures:
    """VisDrone's official protocol; always at most 500 detections of an image."""
    result = evaluate_visdrone(question.data, [found.by_score() for found in question.results])
    return result.AP, result.AP50


def pycocotools(question: Question) -> Figures:
    """The reference."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content, results = question.coco()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        return _summary(COCOeval(truth, truth.loadRes(results), "bbox"), question)


def faster_coco_eval(question: Question) -> Figures:
    """A copy of the reference in C++."""
    from faster_coco_eval import COCO, COCOeval_faster

    content, results = question.coco()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(content)
        return _summary(COCOeval_faster(truth, truth.loadRes(results), "bbox"), question)


def hotcoco(question: Question) -> Figures:
    """A copy of the reference in Rust."""
    from hotcoco import COCO, COCOeval

    content, results = question.coco()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(content)
        return _summary(COCOeval(truth, truth.loadRes(results), "bbox"), question)


def _summary(evaluation: Any, question: Question) -> Figures:
    evaluation.params.maxDets = [1, 10, question.limit]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ap, ap50 = evaluation.stats[:2]
    # -1 is no figure in per cent.
    return tuple(float(figure) * (100 if figure >= 0 else 1) for figure in (ap, ap50))  # type: ignore[return-value]


def torchmetrics(question: Question) -> Figures:
    """Its default back end, pycocotools."""
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(box_format="xywh", max_detection_thresholds=[1, 10, question.limit])

    def tensors(rows: list[dict[str, Any]], keys: dict[str, tuple[str, torch.dtype]]) -> dict[str, torch.Tensor]:
        boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float32).reshape(-1, 4)
        rest = {to: torch.tensor([row[key] for row in rows], dtype=kind) for to, (key, kind) in keys.items()}
        return {"boxes": boxes, **rest}

    labels = {"labels": ("category_id", torch.int64)}
    for truth, found in question.by_image():
        wanted = tensors(truth, labels | {"iscrowd": ("iscrowd", torch.int64), "area": ("area", torch.float32)})
        metric.update([tensors(found, labels | {"scores": ("score", torch.float32)})], [wanted])
    result = metric.compute()
    ap, ap50 = result["map"].item(), result["map_50"].item()
    return (100 * ap if ap >= 0 else ap), (100 * ap50 if ap50 >= 0 else ap50)


def _corners(rows: list[dict[str, Any]]) -> np.ndarray:
    boxes = np.array([row["bbox"] for row in rows], dtype=float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def supervision(question: Question) -> Figures:
    """Its own copy of the protocol; crowds and areas as its COCO reader hands them over."""
    from supervision import Detections
    from supervision.metrics import MeanAveragePrecision

    metric = MeanAveragePrecision(max_detection_thresholds=(1, 10, question.limit))

    def detections(rows: list[dict[str, Any]], found: bool) -> Any:
        if not rows:
            return Detections.empty()
        extra = {} if found else {key: np.array([row[key] for row in rows]) for key in ("iscrowd", "area")}
        scores = np.array([row["score"] for row in rows]) if found else None
        labels = np.array([row["category_id"] for row in rows])
        return Detections(xyxy=_corners(rows), class_id=labels, confidence=scores, data=extra)

    for truth, found in question.by_image():
        metric.update(detections(found, True), detections(truth, False))
    result = metric.compute()
    return 100 * float(result.map50_95), 100 * float(result.map50)


def ultralytics(question: Question) -> Figures:
    """The matching and the integration of its validator. Crowds are left out, as its converter of COCO's files does; detections
    are cut beforehand, as its suppression does."""
    # Its settings are written where this names.
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    import torch
    from torchvision.ops import box_iou
    from ultralytics.engine.validator import BaseValidator
    from ultralytics.utils.metrics import ap_per_class

    validator = SimpleNamespace(iouv=torch.linspace(0.5, 0.95, 10))
    match: Callable[..., torch.Tensor] = BaseValidator.match_predictions
    hits: list[np.ndarray] = []
    scores: list[list[float]] = []
    labels: list[np.ndarray] = []
    wanted: list[np.ndarray] = []
    for truth, found in question.by_image():
        truth = [row for row in truth if not row["iscrowd"]]
        best = sorted(found, key=lambda row: -row["score"])[: question.limit]
        classes, own = (np.array([row["category_id"] for row in rows], dtype=int) for rows in (best, truth))
        overlaps = box_iou(torch.tensor(_corners(truth)), torch.tensor(_corners(best)))
        correct = match(validator, torch.tensor(classes), torch.tensor(own), overlaps)
        hits.append(correct.numpy().reshape(-1, 10))
        scores.append([row["score"] for row in best])
        labels.append(classes)
        wanted.append(own)
    columns = np.concatenate(scores), np.concatenate(labels), np.concatenate(wanted)
    ap = ap_per_class(np.concatenate(hits), *columns)[5]
    return 100 * float(ap.mean()), 100 * float(ap[:, 0].mean())
