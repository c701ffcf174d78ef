"""What --predict leaves of an image beside the drawn picture, in the forms that other programs read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gsnet.detection.drawing import write_png
from gsnet.detection.scene import ImageResults, clipped, corners
from gsnet.interface.files import write_text, written_whole

# An image, its detections by falling score, the names of classes, a folder, and the image's name in it.
Writer = Callable[[np.ndarray, ImageResults, Sequence[str], Path, str], None]
# Where labels of pictures go.
LABELS = "labels"


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
    write_text(_inside(folder, LABELS) / f"{name}.txt", "".join(lines))


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
# One file of all images, and what georeferenced images become in place of everything else.
COCO, GEOJSON = "coco", "geojson"
FORMS = (*WRITERS, COCO, GEOJSON)


class CocoFile:
    """coco.json in a folder: images and categories, and each object as an annotation, which is a row of COCO's results too.

    A context. Rows lie in hidden files until it ends, so that a long video needs no memory; an interrupt keeps them.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder, self._class_names = folder, class_names
        self._parts = {name: folder / f".coco.{name}.part" for name in ("images", "annotations")}
        self._counts = dict.fromkeys(self._parts, 0)

    def __enter__(self) -> CocoFile:
        self._streams = {name: part.open("w", encoding="utf-8") for name, part in self._parts.items()}
        return self

    def add(self, size: tuple[int, int], found: ImageResults, file_name: str) -> None:
        """The objects of one image of a size (width, height)."""
        self._row("images", {"file_name": file_name, "width": size[0], "height": size[1]})
        image = self._counts["images"]
        rows = zip(found.labels.tolist(), found.boxes.round(3).tolist(), found.scores.tolist(), strict=True)
        for label, box, score in rows:
            area = round(box[2] * box[3], 3)
            row = {"image_id": image, "category_id": label + 1, "bbox": box, "score": score, "area": area, "iscrowd": 0}
            self._row("annotations", row)

    def _row(self, name: str, values: dict[str, object]) -> None:
        self._counts[name] += 1
        before = ",\n" if self._counts[name] > 1 else ""
        self._streams[name].write(before + json.dumps({"id": self._counts[name]} | values))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()
        try:
            if kind is None or not issubclass(kind, Exception):
                self._join()
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)

    def _join(self) -> None:
        categories = [{"id": number, "name": name} for number, name in enumerate(self._class_names, start=1)]
        with written_whole(self._folder / "coco.json") as file:
            file.write(f'{{"categories": {json.dumps(categories)}')
            for name, part in self._parts.items():
                file.write(f',\n"{name}": [\n')
                with part.open(encoding="utf-8") as stream:
                    shutil.copyfileobj(stream, file)
                file.write("]")
            file.write("}\n")
