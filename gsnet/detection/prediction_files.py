"""What --predict leaves of an image beside the drawn picture, in the forms that other programs read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gsnet.detection.drawing import write_png
from gsnet.detection.scene import ImageResults, clipped, corners
from gsnet.interface.files import write_text

# An image, its detections by falling score, the names of classes, a folder, and the image's name in it.
Writer = Callable[[np.ndarray, ImageResults, Sequence[str], Path, str], None]


def write_json(image: np.ndarray, found: ImageResults, class_names: Sequence[str], folder: Path, name: str) -> None:
    """json/NAME.json: width and height of the image, and for each object its name, score and box as x1, y1, x2, y2."""
    rows = zip(found.labels.tolist(), found.scores.tolist(), corners(found.boxes).round(3).tolist(), strict=True)
    objects = [{"name": class_names[label], "score": score, "box": box} for label, score, box in rows]
    content = {"width": image.shape[1], "height": image.shape[0], "objects": objects}
    write_text(_inside(folder, "json") / f"{name}.json", json.dumps(content, indent=1) + "\n")


def write_yolo(image: np.ndarray, found: ImageResults, class_names: Sequence[str], folder: Path, name: str) -> None:
    """labels/NAME.txt: a line an object, class, centre and size as shares of the image's, and score, as Ultralytics has it."""
    height, width = image.shape[:2]
    boxes = clipped(found.boxes, width, height)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    shares = np.concatenate([centres, boxes[:, 2:]], axis=1) / [width, height, width, height]
    lines = [
        " ".join([str(label), *(f"{share:.6f}" for share in row), f"{score:.6f}"]) + "\n"
        for label, row, score in zip(found.labels.tolist(), shares.tolist(), found.scores.tolist(), strict=True)
    ]
    write_text(_inside(folder, "labels") / f"{name}.txt", "".join(lines))


def write_crops(image: np.ndarray, found: ImageResults, class_names: Sequence[str], folder: Path, name: str) -> None:
    """crops/CLASS/NAME_1.png, …: every object cut out, the highest score first; boxes without a pixel are left out."""
    height, width = image.shape[:2]
    for number, (box, label) in enumerate(
        zip(corners(clipped(found.boxes, width, height)), found.labels.tolist(), strict=True), start=1
    ):
        left, top = np.floor(box[:2]).astype(int)
        right, bottom = np.ceil(box[2:]).astype(int)
        if right > left and bottom > top:
            place = _inside(folder, "crops", class_names[label].replace("/", "_"))
            write_png(place / f"{name}_{number}.png", image[top:bottom, left:right])


def _inside(folder: Path, *names: str) -> Path:
    place = folder.joinpath(*names)
    place.mkdir(parents=True, exist_ok=True)
    return place


WRITERS: dict[str, Writer] = {"json": write_json, "yolo": write_yolo, "crops": write_crops}
