"""Seconds to score a set of the size of VisDrone's validation split by both protocols: 548 images, 500 detections each.

python -m benchmarks.visdrone_evaluation
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gsnet.interface.running import run
from gsnet.detection.coco_evaluation import MAX_DETECTIONS, evaluate_coco
from gsnet.detection.coco_format import to_coco, to_coco_results
from gsnet.detection.scene import ImageResults, Scene, SceneSet
from gsnet.detection.visdrone_evaluation import evaluate_visdrone
from gsnet.detection.visdrone_format import CATEGORIES, CLASS_NAMES, read_results_folder, write_results

WIDTH, HEIGHT = 1360, 765
# Boxes of each class in the validation split.
COUNTS = np.array([8844, 5125, 1287, 14064, 1975, 750, 1045, 532, 251, 4886])


def synthetic_set(images: int, detections: int, seed: int = 0) -> tuple[SceneSet, list[ImageResults]]:
    """Ground truth with as many objects of each class as the split has, and detections of which two thirds lie near one."""
    rng = np.random.default_rng(seed)
    per_image = round(COUNTS.sum() / 548)
    scenes, results = [], []
    for i in range(images):
        labels = rng.choice(len(COUNTS), size=per_image, p=COUNTS / COUNTS.sum())
        sides = np.exp(rng.normal(3.3, 0.6, size=(per_image, 2))).clip(4, 300).round()
        corners = (rng.random((per_image, 2)) * ([WIDTH, HEIGHT] - sides)).round()
        boxes = np.concatenate([corners, sides], axis=1)
        regions = np.array([[0.0, 0, 200, 100], [900, 600, 300, 100]])
        ignored = rng.random(per_image) < 0.03
        scenes.append(Scene(f"{i:07d}", None, WIDTH, HEIGHT, boxes, labels, ignored, regions))
        results.append(_detections(rng, boxes, labels, detections))
    return SceneSet(CLASS_NAMES, CATEGORIES, tuple(scenes)), results


def _detections(rng: np.random.Generator, boxes: np.ndarray, labels: np.ndarray, count: int) -> ImageResults:
    chosen = rng.integers(len(boxes), size=count)
    near = rng.random(count) < 2 / 3
    found = boxes[chosen] + rng.normal(0, 0.1, size=(count, 4)) * np.tile(boxes[chosen, 2:], 2)
    found[~near, :2] = rng.random(((~near).sum(), 2)) * [WIDTH - 40, HEIGHT - 40]
    found[:, 2:] = np.maximum(found[:, 2:], 1)
    kinds = np.where(rng.random(count) < 0.8, labels[chosen], rng.integers(len(COUNTS), size=count))
    return ImageResults(found, rng.random(count), kinds).by_score()


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=548)
    parser.add_argument("--detections", type=int, default=500)
    options = parser.parse_args()
    data, results = synthetic_set(options.images, options.detections)
    with tempfile.TemporaryDirectory() as folder:
        for scene, found in zip(data.scenes, results, strict=True):
            write_results(Path(folder), scene.name, found)
        begin = time.process_time()
        results, _ = read_results_folder(Path(folder), data)
        print(f"reading {len(results)} result files      {time.process_time() - begin:6.1f} s")
    for name, evaluate in (
        ("VisDrone's official protocol", evaluate_visdrone),
        ("COCO's", evaluate_coco),
        ("COCO's, by pycocotools", by_pycocotools),
    ):
        begin = time.process_time()
        evaluate(data, results)
        print(f"{name:<30} {time.process_time() - begin:6.2f} s of one core", flush=True)


def by_pycocotools(data: SceneSet, results: list[ImageResults], regions: str = "discard") -> COCOeval:
    """The same evaluation by the program that the protocol comes from, with its arrays."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = to_coco(data, regions)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(to_coco_results(data, results)), "bbox")
        evaluation.params.maxDets = list(MAX_DETECTIONS)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


if __name__ == "__main__":
    sys.exit(run(main))
