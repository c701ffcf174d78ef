#!/usr/bin/env bash
# pycocotools 2.0.11, faster-coco-eval 1.8.0, hotcoco 1.3.0: ground truth whose annotations are numbered from 0.
#
# Expected: perfect detections score 100 % whatever the annotations are called; COCO's format only asks for unique ids.
# Seen: to pycocotools a matched id of 0 means "not matched": the object of id 0 can never be found, and who found it becomes a
#   false positive with the highest score. Two objects, both found exactly: AP 25 %, without a word. faster-coco-eval has the same
#   figures and warns, hotcoco has not: the same files give 25 and 100 by two evaluators.
# Last line: as described: AP 0.252 by pycocotools and faster-coco-eval, 1.000 by hotcoco; numbered from 1, 1.000 by all
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import contextlib
import io
import json
from pathlib import Path

import faster_coco_eval
import hotcoco
import pycocotools.coco
import pycocotools.cocoeval

BOXES = [[0, 0, 10, 10], [20, 20, 10, 10]]


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def average_precisions(first_id):
    rows = [{"image_id": 1, "category_id": 1, "bbox": box} for box in BOXES]
    truth = [{**row, "id": first_id + i, "area": 100, "iscrowd": 0} for i, row in enumerate(rows)]
    found = [{**row, "score": 0.9 - 0.1 * i} for i, row in enumerate(rows)]
    images, categories = [{"id": 1, "width": 64, "height": 64, "file_name": "1.jpg"}], [{"id": 1, "name": "car"}]
    Path("truth.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": truth}))
    Path("found.json").write_text(json.dumps(found))
    with contextlib.redirect_stdout(io.StringIO()):
        for load, evaluator in (
            (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
            (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
            (hotcoco.COCO, hotcoco.COCOeval),
        ):
            coco = load("truth.json")
            run = evaluator(coco, coco.loadRes("found.json"), "bbox")
            run.evaluate()
            run.accumulate()
            run.summarize()
            yield round(float(run.stats[0]), 3)


expect("AP, ids 1 and 2", list(average_precisions(1)), [1.0, 1.0, 1.0])
expect("AP, ids 0 and 1", list(average_precisions(0)), [0.252, 0.252, 1.0])
print("as described: AP 0.252 by pycocotools and faster-coco-eval, 1.000 by hotcoco; numbered from 1, 1.000 by all")
PYTHON
