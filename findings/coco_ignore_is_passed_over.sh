#!/usr/bin/env bash
# pycocotools 2.0.11 and faster-coco-eval 1.8.0: annotations with `"ignore": 1`, as converters of pictures from the air write it.
#
# Expected: such an object counts neither way: found or not, the figures are the same. The evaluator knows the key: it reads it,
#   and gives it to every annotation that has none.
# Seen: the next line of its code puts iscrowd in its place. An object that is to be ignored and is not found halves AP, 50 instead
#   of 100, the same figure as without the key. `"iscrowd": 1` does what the key says, and gives 100.
# Last line: as described: an object with ignore counts as any other in both, one with iscrowd does not count
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 faster-coco-eval==1.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' | grep -E "^(pycocotools|faster|as described)"
import copy

import faster_coco_eval
import pycocotools.coco
import pycocotools.cocoeval

LIBRARIES = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}


def box(number, left, **more):
    place = [left, 10.0, 40.0, 40.0]
    return {"id": number, "image_id": 1, "category_id": 1, "bbox": place, "area": 1600.0, "iscrowd": 0} | more


def average_precision(library, **mark):
    """AP where one of two objects, the one with the mark, is not found."""
    coco, evaluator = LIBRARIES[library]
    truth = coco()
    truth.dataset = {
        "images": [{"id": 1, "width": 200, "height": 100, "file_name": "1.jpg"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [box(1, 10.0), box(2, 100.0, **mark)],
    }
    truth.createIndex()
    found = truth.loadRes([{"image_id": 1, "category_id": 1, "bbox": copy.copy(box(1, 10.0)["bbox"]), "score": 0.9}])
    judged = evaluator(truth, found, "bbox")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    return round(100 * float(judged.stats[0]))


for library in LIBRARIES:
    seen = [average_precision(library, **mark) for mark in ({}, {"ignore": 1}, {"iscrowd": 1})]
    print(f"{library}: AP {seen[0]} without a mark, {seen[1]} with ignore, {seen[2]} with iscrowd")
    if seen != [50, 50, 100]:
        raise SystemExit("changed")
print("as described: an object with ignore counts as any other in both, one with iscrowd does not count")
PYTHON
