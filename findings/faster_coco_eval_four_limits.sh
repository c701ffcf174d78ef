#!/usr/bin/env bash
# faster-coco-eval 1.8.0 beside pycocotools 2.0.11: four limits of detections, maxDets = 1, 10, 100, 500, as for aerial images.
#
# Expected: a drop-in replacement whose `stats` holds the same twelve figures at the same places.
# Seen: it holds thirteen. From place 9 on all figures move: what pycocotools calls AR of small objects is AR at 500 there,
#   AR of medium ones is AR of small ones, and so on. With the usual three limits both agree.
# Last line: as described: stats[9] is AR of small objects by pycocotools and AR at 500 detections by faster-coco-eval
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pycocotools==2.0.11 faster-coco-eval==1.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import contextlib
import io
import json
from pathlib import Path

import faster_coco_eval
import pycocotools.coco
import pycocotools.cocoeval

PYCOCOTOOLS = pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval
FASTER = faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


# Four small objects, of which one is found; one medium object, which is found.
boxes = [[40 * i, 0, 10, 10] for i in range(4)] + [[0, 40, 50, 50]]
rows = [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes]
truth = [{**row, "id": 1 + i, "area": row["bbox"][2] ** 2, "iscrowd": 0} for i, row in enumerate(rows)]
images, categories = [{"id": 1, "width": 200, "height": 200, "file_name": "1.jpg"}], [{"id": 1, "name": "car"}]
Path("truth.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": truth}))
Path("found.json").write_text(json.dumps([{**rows[0], "score": 0.9}, {**rows[4], "score": 0.8}]))


def stats(library, limits):
    load, evaluator = library
    with contextlib.redirect_stdout(io.StringIO()):
        coco = load("truth.json")
        run = evaluator(coco, coco.loadRes("found.json"), "bbox")
        run.params.maxDets = limits
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [round(float(figure), 3) for figure in run.stats]


usual = stats(FASTER, [1, 10, 100])
expect("the usual limits, both", usual == stats(PYCOCOTOOLS, [1, 10, 100]), True)
four = [1, 10, 100, 500]
expect("figures by pycocotools", len(stats(PYCOCOTOOLS, four)), 12)
expect("figures by faster-coco-eval", len(stats(FASTER, four)), 13)
expect("place 9 by pycocotools", stats(PYCOCOTOOLS, four)[9], 0.25)
expect("place 9 by faster-coco-eval", stats(FASTER, four)[9], 0.4)
print("as described: stats[9] is AR of small objects by pycocotools and AR at 500 detections by faster-coco-eval")
PYTHON
