"""Detections of tiles become those of an image: the same as by torchvision, and as by looking at every pair in turn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import batched_nms, box_iou

from gsnet.detection import joining
from gsnet.detection.joining import first_of_each, overlapping_pairs
from gsnet.detection.scene import ImageResults, corners, from_corners
from gsnet.detection.tiles import Tile, TileSettings, joined
from gsnet.interface.options import InputError


def crowd(count: int, side: float, largest: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of all sizes, the second half close to the first, with scores and two classes."""
    generator = np.random.default_rng(seed)
    half = (count + 1) // 2
    corner, size = generator.uniform(0, side, (half, 2)), np.exp(generator.uniform(0, np.log(largest), (half, 2)))
    corner = np.concatenate([corner, corner + generator.normal(0, largest / 30, (half, 2))])[:count]
    size = np.concatenate([size, size * np.exp(generator.normal(0, 0.1, (half, 2)))])[:count]
    labels = np.tile(generator.integers(0, 2, half), 2)[:count]
    return np.concatenate([corner, corner + size], axis=1), generator.permutation(count) / count, labels


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.sampled_from([50.0, 400.0]), st.sampled_from([8.0, 300.0]), st.integers(0, 10**6))
def test_pairs_share_what_torchvision_says(count, side, largest, seed):
    boxes, _, labels = crowd(count, side, largest, seed)
    compare_pairs(boxes, labels)


@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_of_two_classes_are_apart_in_a_narrow_strip_too(axis):
    """Many more rows of cells than columns, and the other way round."""
    boxes, _, labels = crowd(400, 400, 8, 0)
    boxes[:, [axis, axis + 2]] = boxes[:, [axis, axis + 2]] % 4 + [0, 6]
    compare_pairs(boxes, labels)


def test_candidates_are_compared_some_at_a_time(monkeypatch):
    monkeypatch.setattr(joining, "_AT_A_TIME", 7)
    found = joining._portions(np.array([3, 3, 3, 3, 9, 1, 1]))
    assert [(part.start, part.stop) for part in found] == [(0, 2), (2, 4), (4, 5), (5, 7)]
    boxes, _, labels = crowd(60, 50, 8, 0)
    compare_pairs(boxes, labels)


def compare_pairs(boxes, labels):
    """Each pair once, and what it shares by torchvision, which looks at all of them."""
    count = len(boxes)
    pairs = overlapping_pairs(boxes, labels)
    assert (pairs.earlier < pairs.later).all()
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    found = np.zeros((count, count))
    np.add.at(
        found,
        (pairs.earlier, pairs.later),
        pairs.common / (areas[pairs.earlier] + areas[pairs.later] - pairs.common),
    )
    expected = np.triu(box_iou(*[torch.from_numpy(boxes)] * 2).numpy() * (labels[:, None] == labels[None]), 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_without_cut_boxes_it_is_the_suppression_of_torchvision(seed):
    boxes, scores, labels = crowd(2000, 600, 80, seed)
    found = ImageResults(from_corners(boxes), scores, labels)
    image = (10_000, 10_000)
    ours = joined([Tile(0, 0, *image)], [found], image, TileSettings(640, threshold=0.5))
    kept = batched_nms(*(torch.from_numpy(part) for part in (boxes, scores, labels)), 0.5).numpy()
    assert np.array_equal(ours.scores, scores[kept]) and 1000 < len(kept) < 1900


def test_what_is_removed_removes_nothing():
    # 0 removes 1, so that 2 stays, which removes 3; 4 would go by 3 alone.
    earlier, later = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    assert first_of_each(5, earlier, later).tolist() == [0, 0, 2, 2, 4]


def test_the_first_that_stays_stands_for_a_box():
    # 1 goes by 0, 3 by 1, which has gone, and by 2.
    assert first_of_each(4, np.array([0, 1, 2]), np.array([1, 3, 3])).tolist() == [0, 0, 2, 2]


def test_nested_boxes_become_one_and_merged_ones_grow():
    # A lorry, and its cabin, in the whole image and in a tile; their IoU is .25, and the cabin sticks out by 2 pixels.
    rows = np.array([[100.0, 100, 40, 100], [100, 98, 40, 25]])
    found = ImageResults(rows, np.array([0.9, 0.6]), np.array([3, 3]))
    tile, image = [Tile(0, 0, 640, 640)], (640, 640)
    boxes = {
        way: joined(tile, [found], image, TileSettings(640, join=way)).boxes for way in ("iou", "smaller", "merge")
    }
    assert np.array_equal(boxes["iou"], rows) and np.array_equal(boxes["smaller"], rows[:1])
    assert boxes["merge"].tolist() == [[100, 98, 40, 102]]


def test_a_smaller_box_with_the_higher_score_stands_for_the_one_around_it():
    rows = np.array([[100.0, 100, 40, 100], [100, 98, 40, 25]])
    found = ImageResults(rows, np.array([0.6, 0.9]), np.array([3, 3]))
    kept = {
        way: joined([Tile(0, 0, 640, 640)], [found], (640, 640), TileSettings(640, join=way)).boxes.tolist()
        for way in ("smaller", "merge")
    }
    assert kept == {"smaller": [[100, 98, 40, 25]], "merge": [[100, 98, 40, 102]]}


def test_no_box_and_boxes_left_of_the_image():
    nothing = ImageResults(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int))
    assert len(joined([Tile(0, 0, 64, 64)], [nothing], (64, 64), TileSettings(64))) == 0
    outside = np.array([[-30.0, -20, 5, 5], [-30, -20, 5, 5]])
    assert overlapping_pairs(corners(outside), np.zeros(2, dtype=int)).common.tolist() == [25]


@pytest.mark.parametrize("values", [{"side": 31}, {"side": 64, "overlap": 1.0}, {"side": 64, "join": "most"}])
def test_impossible_values_are_refused(values):
    with pytest.raises(InputError):
        TileSettings(**values)
