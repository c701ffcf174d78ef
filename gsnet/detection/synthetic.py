"""Synthetic aerial scenes in VisDrone's format: drawn by OpenCV, decided by a seed alone, free to be passed on.

Every class has a shape and a colour of its own, so that a small network can learn them. Pictures say nothing about real images.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gsnet.detection.visdrone_format import CLASS_NAMES
from gsnet.interface.files import write_text, written_whole
from gsnet.interface.options import InputError

_SHAPES = ("box", "ellipse", "diamond", "cross")
_ATTEMPTS = 50


@dataclass(frozen=True)
class SyntheticSettings:
    """What is drawn: images of width x height pixels; objects: least and largest number in an image; classes: the first so
    many of VisDrone's; sides: shortest and longest side of an object in pixels; regions: probability of an ignored region,
    which is a corner of the image with unlabelled objects. overlap: how much of an object may be hidden, as IoU."""

    images: int = 8
    width: int = 320
    height: int = 192
    objects: tuple[int, int] = (4, 16)
    classes: int = 10
    sides: tuple[int, int] = (10, 48)
    regions: float = 0.25
    overlap: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= len(CLASS_NAMES):
            raise InputError(f"There are 1 to {len(CLASS_NAMES)} classes to draw, not {self.classes}")
        if min(self.width, self.height) <= self.sides[1]:
            raise InputError(f"Objects of {self.sides[1]} pixels do not fit into {self.width} x {self.height}")


def write_synthetic(folder: Path, settings: SyntheticSettings | None = None) -> Path:
    """Write `images/*.jpg` and `annotations/*.txt` below a folder, which is made, and return it.

    Image i of a seed is the same however many images there are.
    """
    settings = settings or SyntheticSettings()
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(settings.images):
        image, rows = draw_scene(settings, np.random.default_rng((settings.seed, i)))
        stem = f"{settings.seed:07d}_{i:05d}_d_{i + 1:07d}"
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        with written_whole(folder / "images" / f"{stem}.jpg", "wb") as file:
            file.write(encoded.tobytes())
        write_text(folder / "annotations" / f"{stem}.txt", "".join(",".join(map(str, row)) + "\n" for row in rows))
    return folder


def draw_scene(settings: SyntheticSettings, rng: np.random.Generator) -> tuple[np.ndarray, list[list[int]]]:
    """One scene: a BGR image (H, W, 3) and its rows in VisDrone's eight columns, an ignored region first."""
    image = _ground(settings, rng)
    rows: list[list[int]] = []
    region = None
    if rng.random() < settings.regions:
        region = [0, 0, settings.width // 4, settings.height // 4]
        rows.append([*region, 0, 0, 0, 0])
    boxes: list[list[int]] = []
    for _ in range(int(rng.integers(settings.objects[0], settings.objects[1], endpoint=True))):
        box = _place(settings, rng, boxes)
        if box is None:
            break
        label = int(rng.integers(settings.classes))
        boxes.append(box)
        _draw(image, box, label, rng)
        if region is None or _share_in(box, region) < 0.5:
            rows.append([*box, 1, label + 1, 0, 0])
    return image, rows


def _ground(settings: SyntheticSettings, rng: np.random.Generator) -> np.ndarray:
    """Fields and streets: coarse noise in earth colours, a grey stripe, fine grain."""
    coarse = rng.normal(0, 12, size=(6, 8, 1)) + np.array([70, 95, 85]) + rng.normal(0, 8, size=3)
    ground = cv2.resize(coarse.astype(np.float32), (settings.width, settings.height), interpolation=cv2.INTER_CUBIC)
    start, end = rng.integers(settings.height, size=2).tolist()
    cv2.line(ground, (0, start), (settings.width, end), (105, 105, 105), max(8, settings.height // 8))
    ground += rng.normal(0, 5, size=ground.shape)
    return ground.clip(0, 255).astype(np.uint8)


def _place(settings: SyntheticSettings, rng: np.random.Generator, boxes: list[list[int]]) -> list[int] | None:
    """A box that hides none of those before by more than the overlap allowed; None where no room is found."""
    low, high = np.log(settings.sides)
    for _ in range(_ATTEMPTS):
        w, h = np.exp(rng.uniform(low, high) + np.array([0, rng.uniform(-0.5, 0.5)])).round().astype(int)
        w, h = (int(np.clip(side, *settings.sides)) for side in (w, h))
        x, y = int(rng.integers(settings.width - w)), int(rng.integers(settings.height - h))
        if all(_iou([x, y, w, h], other) <= settings.overlap for other in boxes):
            return [x, y, w, h]
    return None


def _common(a: list[int], b: list[int]) -> int:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _iou(a: list[int], b: list[int]) -> float:
    common = _common(a, b)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def _share_in(box: list[int], region: list[int]) -> float:
    return _common(box, region) / (box[2] * box[3])


def _draw(image: np.ndarray, box: list[int], label: int, rng: np.random.Generator) -> None:
    x, y, w, h = box
    bright = 0.75 + 0.25 * float(rng.random())
    red, green, blue = colorsys.hsv_to_rgb(label / len(CLASS_NAMES), 0.85, bright)
    colour = (255 * blue, 255 * green, 255 * red)
    right, bottom = x + w - 1, y + h - 1
    shape = _SHAPES[label % len(_SHAPES)]
    if shape == "box":
        cv2.rectangle(image, (x, y), (right, bottom), colour, -1)
    elif shape == "ellipse":
        centre = ((x + right) / 2, (y + bottom) / 2)
        cv2.ellipse(image, (centre, (w - 1, h - 1), 0), colour, -1)
    elif shape == "diamond":
        points = [[x + w // 2, y], [right, y + h // 2], [x + w // 2, bottom], [x, y + h // 2]]
        cv2.fillPoly(image, [np.array(points, dtype=np.int32)], colour)
    else:
        cv2.rectangle(image, (x + w // 3, y), (right - w // 3, bottom), colour, -1)
        cv2.rectangle(image, (x, y + h // 3), (right, bottom - h // 3), colour, -1)
    cv2.rectangle(image, (x + w // 4, y + h // 4), (x + w // 2, y + h // 2), (235, 235, 235), -1)
