"""COCO's JSON: reading it as a data set, and writing a data set and its results in it.

Format: cocodataset.org, "Data format", object detection. Regions without a class have no place there and are kept under the
additional key `ignored_regions`, [{"image_id": 1, "bbox": [x, y, w, h]}].
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gsnet.detection.classes import distinct_names
from gsnet.detection.coco_entries import (
    Ids,
    box_of,
    category_ids,
    category_name,
    check_once,
    crowd_of,
    path_of,
    read_entries,
    read_json,
    say_passed_over,
    side_of,
)
from gsnet.detection.image_files import read_header
from gsnet.detection.scene import (
    ImageResults,
    Scene,
    SceneSet,
    built,
    relative_names,
    result_names,
    usable,
)
from gsnet.detection.visdrone_evaluation import outside_regions, region_integral
from gsnet.interface.options import InputError

REGIONS = ("discard", "crowd", "drop")


def read_coco(file: Path, images: Path | Sequence[Path] | None = None) -> SceneSet:
    """A data set in COCO's JSON; labels count the categories in the order of their ids.

    images: the folder that the file names are relative to, or several, of which the first that has the image counts; without
    any, no image is looked for. Images are told apart by their paths. An image without width or height in the file is asked
    itself. iscrowd becomes an ignored object, `ignored_regions` become regions; an area that is another than the box's is kept,
    by which sizes of objects are told apart. Raises InputError, which names file, entry
    and rule.
    """
    lists = read_entries(file)
    numbers = category_ids(file, lists["categories"])
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ids = tuple(numbers[place] for place in order)
    names = distinct_names([category_name(file, place, lists["categories"][place]) for place in order], ids, file)
    rows, regions = _by_image(file, lists, dict(zip(order, range(len(order)), strict=True)))
    paths = [path_of(file, number, image) for number, image in enumerate(lists["images"])]
    called = _names(file, paths)
    found = _found(file, paths, images)

    def scene(number: int) -> Scene:
        width, height = _size(file, number, lists["images"][number], found[number])
        return _scene(called[number], found[number], width, height, rows[number], regions[number])

    scenes, broken = built(range(len(paths)), scene)
    return SceneSet(names, ids, scenes, broken)


def _names(file: Path, paths: Sequence[PurePosixPath]) -> list[str]:
    try:
        return result_names(paths)
    except InputError as error:
        raise InputError(f"{file}: images: {error}") from error


def _by_image(file: Path, lists: dict[str, list], labels: dict[int, int]) -> tuple[list[list[dict]], list[list]]:
    """Annotations, with box, label and crowd checked, and regions of each image; labels: by the place of the category."""
    images, categories = Ids(file, "images", lists["images"], "file_name"), Ids(file, "categories", lists["categories"])
    check_once(file, lists["annotations"])
    say_passed_over(file, lists["annotations"])
    rows: list[list[dict]] = [[] for _ in lists["images"]]
    regions: list[list] = [[] for _ in lists["images"]]
    for number, entry in enumerate(lists["annotations"]):
        place = f"annotations[{number}]"
        image, category = images.place(entry["image_id"]), categories.place(entry["category_id"])
        if image is None:
            raise InputError(f"{file}: {place}: there is no image with the id {entry['image_id']}")
        if category is None:
            raise InputError(f"{file}: {place}: there is no category with the id {entry['category_id']}")
        checked = {"bbox": box_of(file, place, entry), "iscrowd": crowd_of(file, place, entry)}
        rows[image].append({**entry, **checked, "label": labels[category]})
    for number, entry in enumerate(lists["ignored_regions"]):
        place = f"ignored_regions[{number}]"
        image = images.place(entry["image_id"])
        if image is None:
            raise InputError(f"{file}: {place}: there is no image with the id {entry['image_id']}")
        regions[image].append(box_of(file, place, entry))
    return rows, regions


def _found(file: Path, paths: Sequence[PurePosixPath], images: Path | Sequence[Path] | None) -> list[Path | None]:
    """The image of every path. Raises InputError where two paths lead to one image."""
    if images is None:
        return [None] * len(paths)
    folders = [images] if isinstance(images, Path) else list(images)
    found = [_file(folders, path) for path in paths]
    owners: dict[Path, PurePosixPath] = {}
    for place, path in zip(found, paths, strict=True):
        if place in owners:
            raise InputError(
                f"{file}: images: of {owners[place]} and {path} only one image was found, {place}: "
                "name the folder that these paths begin in"
            )
        owners[place] = path
    return list(found)


def _file(folders: Sequence[Path], path: PurePosixPath) -> Path:
    """The image below one of the folders, by the path in the JSON or, where that begins elsewhere, as on another machine, by
    as much of its end as is there, at least the bare name."""
    for begin in range(len(path.parts)):
        for folder in folders:
            place = folder.joinpath(*path.parts[begin:])
            if place.is_file():
                return place
    return folders[0].joinpath(*path.parts)


def _size(file: Path, number: int, image: dict[str, Any], found: Path | None) -> tuple[int, int]:
    width, height = (side_of(file, number, image, side) for side in ("width", "height"))
    if width and height:
        return width, height
    if found is None or not found.is_file():
        missing = "height" if width else "width"
        raise InputError(
            f"{file}: images[{number}] ({image['file_name']}) has no {missing}, and the image was not found that would say it"
        )
    return read_header(found).upright


def _scene(name: str, image: Path | None, width: int, height: int, rows: list[dict], regions: list) -> Scene:
    return Scene(
        name=name,
        image=image,
        width=width,
        height=height,
        boxes=np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4),
        labels=np.array([row["label"] for row in rows], dtype=np.int64),
        ignored=np.array([row["iscrowd"] for row in rows], dtype=bool),
        regions=np.array(regions, dtype=np.float64).reshape(-1, 4),
        areas=_areas(rows),
        truncation=_extra(rows, "truncation"),
        occlusion=_extra(rows, "occlusion"),
    )


def _areas(rows: list[dict]) -> np.ndarray | None:
    """What the file says of objects' areas, in COCO that of their outlines; None where they are those of the boxes."""
    of_boxes = [row["bbox"][2] * row["bbox"][3] for row in rows]
    told = [row.get("area") for row in rows]
    found = [
        float(area) if isinstance(area, int | float) and 0 < area < math.inf else of_box
        for area, of_box in zip(told, of_boxes, strict=True)
    ]
    return None if found == of_boxes else np.array(found)


def _extra(rows: list[dict], key: str) -> np.ndarray | None:
    if not all(isinstance(row.get(key), int | float) for row in rows):
        return None
    return np.array([int(row[key]) for row in rows], dtype=np.int64)


def to_coco(
    data: SceneSet, regions: str = "discard", dropped: Counter[str] | None = None, folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """A data set as COCO's JSON: boxes clipped to their images, those without an area left out, ids from 1 in order.

    regions: "discard" keeps ignored regions only under `ignored_regions`; "crowd" adds one `iscrowd` annotation for each
    region and class; "drop" leaves objects out of which half or more lies in regions, as VisDrone's protocol does.
    `dropped` counts what was left out. folders: images are called by their paths in the first of these that holds them all;
    else by those below the folder that they share, which of one split alone are bare names that other splits may have, too.
    """
    dropped = Counter() if dropped is None else dropped
    content: dict[str, Any] = {"info": {}, "licenses": [], "images": [], "annotations": [], "ignored_regions": []}
    content["categories"] = [
        {"id": i, "name": name} for i, name in zip(data.category_ids, data.class_names, strict=True)
    ]
    for image_id, (scene, file_name) in enumerate(zip(data.scenes, _file_names(data, folders), strict=True), start=1):
        content["images"].append({"id": image_id, "width": scene.width, "height": scene.height, "file_name": file_name})
        dropped["objects of no class"] += len(scene.others)
        scene = usable(_outside(scene, dropped) if regions == "drop" else scene, dropped)
        content["ignored_regions"] += [{"image_id": image_id, "bbox": box} for box in _plain(scene.regions)]
        for row in _annotations(scene, data.category_ids, crowded=regions == "crowd"):
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": image_id, **row})
    return content


def _file_names(data: SceneSet, folders: Sequence[Path]) -> list[str]:
    """Paths of images in the first folder that holds all of them, or else below the one that they share."""
    files = [scene.image for scene in data.scenes if scene.image is not None]
    if len(files) < len(data):
        return [scene.name if scene.image is None else scene.image.name for scene in data.scenes]
    # Not resolved: what a link leads to may lie anywhere.
    whole = [Path(os.path.normpath(file.absolute())) for file in files]
    for folder in (Path(os.path.normpath(folder.absolute())) for folder in folders):
        if all(file.is_relative_to(folder) for file in whole):
            return [file.relative_to(folder).as_posix() for file in whole]
    return relative_names(files)


def _outside(scene: Scene, dropped: Counter[str]) -> Scene:
    if not len(scene.regions):
        return scene
    keep = outside_regions(scene.boxes, region_integral(scene.regions, scene.width, scene.height))
    dropped["boxes in ignored regions"] += int((~keep).sum())
    return scene.chosen(keep)


def _annotations(scene: Scene, category_ids: Sequence[int], crowded: bool) -> list[dict[str, Any]]:
    truncation = np.zeros(len(scene.boxes)) if scene.truncation is None else scene.truncation
    occlusion = np.zeros(len(scene.boxes)) if scene.occlusion is None else scene.occlusion
    boxes = _plain(scene.boxes)
    areas = [box[2] * box[3] for box in boxes] if scene.areas is None else scene.areas.tolist()
    rows = [
        _annotation(box, category_ids[label], ignored, area) | {"truncation": int(cut), "occlusion": int(hidden)}
        for box, label, ignored, area, cut, hidden in zip(
            boxes, scene.labels, scene.ignored, areas, truncation, occlusion, strict=True
        )
    ]
    if crowded:
        regions = [(box, box[2] * box[3]) for box in _plain(scene.regions)]
        rows += [_annotation(box, category, True, area) for box, area in regions for category in category_ids]
    return rows


def _annotation(box: list[float], category: int, crowd: bool, area: float) -> dict[str, Any]:
    return {"category_id": category, "bbox": box, "area": area, "iscrowd": int(crowd)}


def _plain(boxes: np.ndarray) -> list[list[float]]:
    """Boxes as lists; whole numbers are written as such."""
    return [[int(value) if value == int(value) else value for value in box] for box in boxes.tolist()]


def to_coco_results(data: SceneSet, results: Sequence[ImageResults]) -> list[dict[str, Any]]:
    """Detections as COCO's list of results, each image's by descending score, with the image ids of `to_coco`."""
    rows = []
    for image_id, found in enumerate(results, start=1):
        found = found.by_score()
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True):
            if label >= 0:
                rows.append(
                    {"image_id": image_id, "category_id": data.category_ids[label], "bbox": box, "score": score}
                )
    return rows


def read_coco_results(file: Path, data: SceneSet, content: dict[str, Any]) -> list[ImageResults]:
    """A COCO list of results as detections by image of the data set that `content` (COCO's JSON) describes.

    Raises InputError where the file is no such list, or an image or a category is unknown.
    """
    entries = read_json(file)
    if not isinstance(entries, list):
        raise InputError(f"{file} is no list of results")
    images = Ids(file, "images", content["images"])
    categories = Ids(file, "categories", [{"id": number} for number in data.category_ids])
    rows: list[list[tuple]] = [[] for _ in data.scenes]
    for number, entry in enumerate(entries):
        place = f"entry {number}"
        score = entry.get("score") if isinstance(entry, dict) else None
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise InputError(f"{file}: {place}: a result has image_id, category_id, bbox and score, a number")
        image, label = images.place(entry.get("image_id")), categories.place(entry.get("category_id"))
        if image is None or label is None:
            raise InputError(f"{file}: {place}: its image or its category is not in the ground truth")
        rows[image].append((box_of(file, place, entry), score, label))
    return [_results(found) for found in rows]


def _results(rows: list[tuple]) -> ImageResults:
    if not rows:
        return ImageResults()
    boxes, scores, labels = zip(*rows, strict=True)
    return ImageResults(np.array(boxes, dtype=np.float64), np.array(scores, dtype=np.float64), np.array(labels))
