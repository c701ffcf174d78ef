"""Detections drawn into images: a colour for each class, labels where there is room, lines that fit the image's size."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gsnet.detection.scene import ImageResults, Scene
from gsnet.interface.files import written_whole

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN = 0.61803398875
_TRUTH = (255, 255, 255)
_LUMINANCE = (0.299, 0.587, 0.114)
_HIDDEN = 0.2  # share of a label that may lie on boxes of other objects


def class_colour(label: int) -> tuple[int, int, int]:
    """A strong colour, RGB from 0 to 255; neighbouring labels lie far apart on the wheel."""
    red, green, blue = colorsys.hsv_to_rgb((0.08 + label * _GOLDEN) % 1, 0.85 if label % 2 else 0.95, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def drawn(
    image: np.ndarray,
    results: ImageResults,
    class_names: Sequence[str],
    threshold: float = 0.3,
    truth: Scene | None = None,
    ids: np.ndarray | None = None,
) -> np.ndarray:
    """A copy of an RGB image (H, W, 3) with the detections above a score, and the objects of `truth` in thin white lines.

    ids: (D,) numbers of objects that are followed through a video, drawn in the place of scores.

    Names and scores stand at boxes whose label would cover no other label; in a crowd the colour alone tells the class,
    and a legend below the image says which it is.
    """
    canvas = np.ascontiguousarray(image).copy()
    unit = max(canvas.shape[:2]) / 1000
    line = max(1, round(1.5 * unit))
    if truth is not None:
        _draw_truth(canvas, truth)
    order = np.argsort(-results.scores, kind="stable")
    order = order[results.scores[order] >= threshold]
    results = results.chosen(order)
    texts = [f"{score:.2f}" for score in results.scores] if ids is None else [f"#{number}" for number in ids[order]]
    for box, label in zip(results.boxes[::-1], results.labels[::-1].tolist(), strict=True):
        corner, opposite = _points(box)
        cv2.rectangle(canvas, corner, opposite, (0, 0, 0), line + 2)
        cv2.rectangle(canvas, corner, opposite, class_colour(label), line)
    _draw_labels(canvas, results, class_names, texts, max(0.35, 0.5 * unit))
    counts = np.bincount(results.labels[results.labels >= 0], minlength=len(class_names))
    return np.concatenate([canvas, _legend(canvas.shape[1], class_names, counts.tolist(), max(0.4, 0.55 * unit))])


def _draw_truth(canvas: np.ndarray, truth: Scene) -> None:
    for box in truth.boxes[~truth.ignored]:
        cv2.rectangle(canvas, *_points(box), _TRUTH, 1)
    for box in truth.regions:
        (x1, y1), (x2, y2) = _points(box)
        canvas[max(y1, 0) : y2, max(x1, 0) : x2] //= 2


def _points(box: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    x, y, w, h = box.tolist()
    return (round(x), round(y)), (round(x + w), round(y + h))


def _draw_labels(
    canvas: np.ndarray, results: ImageResults, class_names: Sequence[str], texts: Sequence[str], size: float
) -> None:
    """Labels of the strongest detections first, above their box or inside at its top, where they hide no label and little
    of another box."""
    covered = np.zeros(canvas.shape[:2], dtype=bool)
    boxes = np.zeros(canvas.shape[:2], dtype=np.int32)
    for (x1, y1), (x2, y2) in map(_points, results.boxes):
        boxes[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] += 1
    thickness = max(1, round(size * 1.6))
    for box, told, label in zip(results.boxes, texts, results.labels.tolist(), strict=True):
        text = f"{class_names[label]} {told}"
        (width, height), base = cv2.getTextSize(text, _FONT, size, thickness)
        height += base + 2
        x = int(np.clip(round(box[0]), 0, max(0, canvas.shape[1] - width)))
        y = round(box[1]) - height
        if y < 0:
            y = round(box[1])
        place = (slice(max(y, 0), y + height), slice(x, x + width))
        own = int(y >= round(box[1]))
        if y + height > canvas.shape[0] or covered[place].any() or (boxes[place] > own).mean() > _HIDDEN:
            continue
        covered[place] = True
        colour = class_colour(label)
        canvas[place] = colour
        ink = (0, 0, 0) if np.dot(colour, _LUMINANCE) > 110 else (255, 255, 255)
        cv2.putText(canvas, text, (x, y + height - base), _FONT, size, ink, thickness, cv2.LINE_AA)


def _legend(width: int, class_names: Sequence[str], counts: list[int], size: float) -> np.ndarray:
    """A strip (h, width, 3) with colour, name and number of each class that was found."""
    thickness = max(1, round(size * 1.6))
    row = round(36 * size)
    entries = [(label, f"{name} {counts[label]}") for label, name in enumerate(class_names) if counts[label]]
    entries = entries or [(-1, "nothing found")]
    rows: list[list[tuple[int, str, int]]] = [[]]
    x = row // 2
    for label, text in entries:
        needed = row + cv2.getTextSize(text, _FONT, size, thickness)[0][0] + row // 2
        if x + needed > width and rows[-1]:
            rows.append([])
            x = row // 2
        rows[-1].append((label, text, x))
        x += needed
    strip = np.full((row * len(rows), width, 3), 24, dtype=np.uint8)
    for i, line in enumerate(rows):
        for label, text, x in line:
            top = i * row
            if label >= 0:
                cv2.rectangle(strip, (x, top + row // 4), (x + row // 2, top + 3 * row // 4), class_colour(label), -1)
            place = (x + round(0.7 * row), top + round(0.68 * row))
            cv2.putText(strip, text, place, _FONT, size, (235, 235, 235), thickness, cv2.LINE_AA)
    return strip


def write_png(file: Path, image: np.ndarray) -> None:
    """Write an RGB image (H, W, 3) uint8 as PNG, whole."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with written_whole(file, "wb") as stream:
        stream.write(encoded.tobytes())
