"""Where a detector is right and wrong, on a case that is counted by hand, and the page of it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gsnet.detection.judging import SCORES, judged
from gsnet.detection.judging_page import write_page
from gsnet.detection.report import evaluated
from gsnet.detection.scene import ImageResults, Scene, SceneSet
from gsnet.interface.options import InputError

# Three cars and a bus; the third car is alone in the second image.
BOXES = np.array([[0.0, 0, 20, 20], [40, 0, 20, 20], [80, 0, 40, 20]])


def case() -> tuple[SceneSet, list[ImageResults]]:
    first = Scene("first", None, 200, 100, BOXES, np.array([1, 1, 0]), np.zeros(3, dtype=bool))
    second = Scene("second", None, 200, 100, BOXES[:1], np.array([1]), np.zeros(1, dtype=bool))
    # Two cars found, one of them twice, the bus taken for a car, and a car where nothing is; category ids fall.
    found = np.array([*BOXES, [150, 60, 20, 20], [0, 0, 20, 20]])
    results = ImageResults(found, np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.ones(5, dtype=int))
    return SceneSet(("bus", "car", "van"), (9, 4, 12), (first, second)), [results, ImageResults()]


def test_a_case_counted_by_hand():
    found = judged(*case())
    # In the order of category ids; no van is there.
    assert found.classes == ("car", "bus", "van") and found.curve_classes == ("car", "bus")
    car, bus = found.f1
    # 2 TP / (2 TP + FP + FN): one car right of three, two, then one wrong after the other.
    for score, f1 in ((0.95, 0), (0.85, 2 / 4), (0.75, 4 / 5), (0.65, 4 / 6), (0.55, 4 / 7), (0.4, 4 / 8)):
        assert car[np.searchsorted(SCORES, score)] == pytest.approx(f1), score
    assert not bus.any()
    assert 0.7 < found.threshold <= 0.8
    assert found.precision[0, [0, 60]].tolist() == [1, 1] and found.precision[0, 70] == 0
    # Rows: car, bus, van, nothing. At the threshold two cars are found, one car and the bus are not.
    assert found.confusion.tolist() == [[2, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert {kind: number for kind, (number, _) in found.errors.items() if number} == {"Miss": 2}
    assert found.counts.tolist() == [[3, 2], [1, 0]] and found.count_error == 1
    worst, other = found.images
    assert (worst.place, worst.found, worst.wrong, worst.missed, worst.f1) == (1, 0, 0, 1, 0)
    assert (other.place, other.found, other.wrong, other.missed) == (0, 2, 0, 1)


def test_what_is_dropped_counts_nowhere():
    """As if what lies in a region, and what has no area, had never been there."""
    data, results = case()
    first, second = data.scenes
    boxes, there = np.array([*BOXES, [5.0, 5, 0, 9]]), np.array([True, False, True])
    region = np.array([[38.0, 0, 24, 24]])
    labels, ignored = np.array([*first.labels, 1]), np.zeros(4, dtype=bool)
    covered = replace(first, boxes=boxes, labels=labels, ignored=ignored, regions=region)
    found = judged(replace(data, scenes=(covered, second)), results, "drop")
    without = replace(data, scenes=(first.chosen(there), second))
    expected = judged(without, [results[0].chosen(np.array([*there, True, True])), results[1]])
    assert np.array_equal(found.f1, expected.f1) and found.threshold == expected.threshold
    assert found.counts.tolist() == expected.counts.tolist() == [[2, 1], [1, 0]]
    assert found.images == expected.images and np.array_equal(found.confusion, expected.confusion)


def test_the_page_shows_all_of_it_without_a_connection(tmp_path):
    data, results = case()
    write_page(tmp_path / "deep/page.html", "<cars>", evaluated(data, results, "both"), data, results)
    text = (tmp_path / "deep/page.html").read_text()
    assert "<h1>&lt;cars&gt;</h1>" in text and text.count("<svg") == 4
    assert "another class" in text and "COCO's protocol" in text.replace("&#x27;", "'")
    assert re.search(r"<td>second</td><td>0</td><td>0</td><td>1</td>", text)
    assert not re.search(r'(src|href)="http', text)


def test_without_objects_there_is_nothing_to_judge(tmp_path):
    data, results = case()
    empty = SceneSet(data.class_names, data.category_ids, (data.scenes[0].chosen(np.zeros(3, dtype=bool)),))
    with pytest.raises(InputError, match="no object"):
        write_page(tmp_path / "page.html", "", {}, empty, results[1:])
    assert not (tmp_path / "page.html").exists()
