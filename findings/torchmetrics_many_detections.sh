#!/usr/bin/env bash
# torchmetrics 1.9.0: MeanAveragePrecision with 1, 10 and 500 detections, as for aerial images; back ends pycocotools 2.0.11 and
# faster-coco-eval 1.8.0, torch 2.14.1.
#
# Expected: the mean average precision at 500 detections, the same by either back end: the class is the same.
# Seen: `map` is -1 by the back end that is the default (pycocotools looks for a limit of 100 by number), with all other figures
#   right, so that training that keeps the best `map` keeps the first epoch; by the other back end `map` is right.
# Last line: as described: map at 500 detections is -1.0 by pycocotools and 1.0 by faster-coco-eval
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6 \
    torchmetrics==1.9.0 pycocotools==2.0.11 faster-coco-eval==1.8.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torchmetrics.detection import MeanAveragePrecision


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def figures(backend, most):
    metric = MeanAveragePrecision(max_detection_thresholds=[1, 10, most], backend=backend)
    boxes, labels = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]]), torch.tensor([0, 0])
    metric.update([{"boxes": boxes, "labels": labels, "scores": torch.tensor([0.9, 0.8])}], [{"boxes": boxes, "labels": labels}])
    result = metric.compute()
    return result["map"].item(), result["map_50"].item()


for backend, stated in (("pycocotools", -1.0), ("faster_coco_eval", 1.0)):
    expect(f"map and map_50 at 100, {backend}", figures(backend, 100), (1.0, 1.0))
    expect(f"map and map_50 at 500, {backend}", figures(backend, 500), (stated, 1.0))
print("as described: map at 500 detections is -1.0 by pycocotools and 1.0 by faster-coco-eval")
PYTHON
