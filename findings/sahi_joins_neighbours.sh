#!/usr/bin/env bash
# sahi 0.12.8: how detections of tiles are joined by default (greedy merging, intersection over the smaller box above 0.5).
#
# Expected: boxes of the same object are joined; neighbours in a crowd and small objects in front of larger ones stay apart.
# Seen: three people in a row, each box 60 % on the one before, become one box around two of them and a third; a person in front of
#   a truck of the same class "moving" is gone. By IoU, the measure of most others, all stay. Counting by tiles loses objects where
#   they stand close.
# Last line: as described: 3 neighbours became 2 boxes, of a nested pair 1 was left; by IoU 3 and 2 stay
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sahi==0.12.8 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import inspect

from sahi.postprocess.combine import GreedyNMMPostprocess
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

NEIGHBOURS = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
NESTED = [[0, 0, 100, 100], [10, 10, 20, 20]]


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def joined(boxes, metric):
    found = [
        ObjectPrediction(bbox=box, score=0.9 - 0.1 * i, category_id=0, category_name="moving", full_shape=[200, 200])
        for i, box in enumerate(boxes)
    ]
    results = GreedyNMMPostprocess(match_threshold=0.5, match_metric=metric)(found)
    return sorted([round(float(x)) for x in result.bbox.to_xyxy()] for result in results)


options = inspect.signature(get_sliced_prediction).parameters
names = ("postprocess_type", "postprocess_match_metric", "postprocess_match_threshold")
expect("defaults", [options[name].default for name in names], ["GREEDYNMM", "IOS", 0.5])
expect("neighbours", joined(NEIGHBOURS, "IOS"), [[0, 0, 14, 10], [8, 0, 18, 10]])
expect("nested", joined(NESTED, "IOS"), [[0, 0, 100, 100]])
expect("neighbours by IoU", joined(NEIGHBOURS, "IOU"), NEIGHBOURS)
expect("nested by IoU", joined(NESTED, "IOU"), NESTED)
print("as described: 3 neighbours became 2 boxes, of a nested pair 1 was left; by IoU 3 and 2 stay")
PYTHON
