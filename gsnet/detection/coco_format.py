"""COCO's JSON: reading it as a data set, and writing a data set and its results in it.

Format: cocodataset.org, "Data format", object detection. Regions without a class have no place there and are kept under the
additional key `ignored_regions`, [{"image_id": 1, "bbox": [x, y, w, h]}].
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gsnet.detection.scene import ImageResults, Scene, SceneSet, usable
from gsnet.detection.visdrone_evaluation import outside_regions, region_integral
from gsnet.interface.options import InputError

REGIONS = ("discard", "crowd", "drop")
_KEYS = {"images": ("id", "width", "height", "file_name"), "annotations": ("id", "image_id", "category_id", "bbox")}


def read_coco(file: Path, images: Path | None = None) -> SceneSet:
    """A data set in COCO's JSON; labels count the categories in the order of their ids.

    images: the folder that the file names are relative to; without it no image is looked for. iscrowd becomes an ignored
    object, `ignored_regions` become regions. Raises InputError, which names file, entry and rule.
    """
    content = _loaded(file)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    labels = {category["id"]: label for label, category in enumerate(categories)}
    rows = _by_image(file, content, labels)
    regions = defaultdict(list)
    for entry in content.get("ignored_regions", []):
        regions[entry["image_id"]].append(_box(file, "ignored_regions", entry))
    scenes = tuple(
        _scene(image, rows[image["id"]], regions[image["id"]], images, labels) for image in content["images"]
    )
    names = Counter(scene.name for scene in scenes)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise InputError(
            f"{file}: images: two files have the name {repeated[0]!r}, so that results could not tell them apart"
        )
    return SceneSet(tuple(str(category["name"]) for category in categories), tuple(labels), scenes)


def _loaded(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no JSON file ({error})") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise InputError(f"{file} has no lists `images`, `annotations` and `categories` as a COCO data set has")
    for name, keys in (*_KEYS.items(), ("categories", ("id", "name"))):
        for number, entry in enumerate(content[name]):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing and missing != ["id"]:
                raise InputError(f"{file}: {name}[{number}] has no {missing[-1]!r}")
    return content


def _by_image(file: Path, content: dict[str, Any], labels: dict[int, int]) -> dict[Any, list[dict]]:
    known = {image.get("id") for image in content["images"]}
    rows: dict[Any, list[dict]] = defaultdict(list)
    for number, entry in enumerate(content["annotations"]):
        place = f"annotations[{number}]"
        if entry["image_id"] not in known:
            raise InputError(f"{file}: {place}: there is no image with the id {entry['image_id']}")
        if entry["category_id"] not in labels:
            raise InputError(f"{file}: {place}: there is no category with the id {entry['category_id']}")
        rows[entry["image_id"]].append({**entry, "bbox": _box(file, place, entry)})
    return rows


def _box(file: Path, place: str, entry: dict[str, Any]) -> list[float]:
    box = entry.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(value, int | float) and math.isfinite(value) for value in box)
    ):
        raise InputError(f"{file}: {place}: bbox is a list of four numbers [left, top, width, height]")
    return box


def _scene(image: dict, rows: list[dict], regions: list, folder: Path | None, labels: dict[int, int]) -> Scene:
    name = Path(image["file_name"])
    return Scene(
        name=name.stem,
        image=None if folder is None else _file(folder, name),
        width=int(image["width"]),
        height=int(image["height"]),
        boxes=np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4),
        labels=np.array([labels[row["category_id"]] for row in rows], dtype=np.int64),
        ignored=np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool),
        regions=np.array(regions, dtype=np.float64).reshape(-1, 4),
        truncation=_extra(rows, "truncation"),
        occlusion=_extra(rows, "occlusion"),
    )


def _file(folder: Path, name: Path) -> Path:
    """The image below its folder, by the path in the JSON or, where that repeats the folder, by its bare name."""
    return folder / name.name if not (folder / name).is_file() and (folder / name.name).is_file() else folder / name


def _extra(rows: list[dict], key: str) -> np.ndarray | None:
    if not all(key in row for row in rows):
        return None
    return np.array([int(row[key]) for row in rows], dtype=np.int64)


def to_coco(data: SceneSet, regions: str = "discard", dropped: Counter[str] | None = None) -> dict[str, Any]:
    """A data set as COCO's JSON: boxes clipped to their images, those without an area left out, ids from 1 in order.

    regions: "discard" keeps ignored regions only under `ignored_regions`; "crowd" adds one `iscrowd` annotation for each
    region and class; "drop" leaves objects out of which half or more lies in regions, as VisDrone's protocol does.
    `dropped` counts what was left out.
    """
    dropped = Counter() if dropped is None else dropped
    content: dict[str, Any] = {"info": {}, "licenses": [], "images": [], "annotations": [], "ignored_regions": []}
    content["categories"] = [
        {"id": i, "name": name} for i, name in zip(data.category_ids, data.class_names, strict=True)
    ]
    for image_id, scene in enumerate(data.scenes, start=1):
        file_name = scene.name if scene.image is None else scene.image.name
        content["images"].append({"id": image_id, "width": scene.width, "height": scene.height, "file_name": file_name})
        dropped["objects of no class"] += len(scene.others)
        scene = usable(_outside(scene, dropped) if regions == "drop" else scene, dropped)
        content["ignored_regions"] += [{"image_id": image_id, "bbox": box} for box in _plain(scene.regions)]
        for row in _annotations(scene, data.category_ids, crowded=regions == "crowd"):
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": image_id, **row})
    return content


def _outside(scene: Scene, dropped: Counter[str]) -> Scene:
    if not len(scene.regions):
        return scene
    keep = outside_regions(scene.boxes, region_integral(scene.regions, scene.width, scene.height))
    dropped["boxes in ignored regions"] += int((~keep).sum())
    return scene.chosen(keep)


def _annotations(scene: Scene, category_ids: Sequence[int], crowded: bool) -> list[dict[str, Any]]:
    truncation = np.zeros(len(scene.boxes)) if scene.truncation is None else scene.truncation
    occlusion = np.zeros(len(scene.boxes)) if scene.occlusion is None else scene.occlusion
    rows = [
        _annotation(box, category_ids[label], ignored) | {"truncation": int(cut), "occlusion": int(hidden)}
        for box, label, ignored, cut, hidden in zip(
            _plain(scene.boxes), scene.labels, scene.ignored, truncation, occlusion, strict=True
        )
    ]
    if crowded:
        rows += [_annotation(box, category, True) for box in _plain(scene.regions) for category in category_ids]
    return rows


def _annotation(box: list[float], category: int, crowd: bool) -> dict[str, Any]:
    return {"category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}


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
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no JSON file ({error})") from error
    if not isinstance(entries, list):
        raise InputError(f"{file} is no list of results")
    places = {image["id"]: place for place, image in enumerate(content["images"])}
    rows: list[list[tuple]] = [[] for _ in data.scenes]
    for number, entry in enumerate(entries):
        place = f"entry {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("score"), (int, float)):
            raise InputError(f"{file}: {place}: a result has image_id, category_id, bbox and score")
        if entry.get("image_id") not in places or entry.get("category_id") not in data.category_ids:
            raise InputError(f"{file}: {place}: its image or its category is not in the ground truth")
        label = data.category_ids.index(entry["category_id"])
        rows[places[entry["image_id"]]].append((_box(file, place, entry), entry["score"], label))
    return [_results(found) for found in rows]


def _results(rows: list[tuple]) -> ImageResults:
    if not rows:
        return ImageResults()
    boxes, scores, labels = zip(*rows, strict=True)
    return ImageResults(np.array(boxes, dtype=np.float64), np.array(scores, dtype=np.float64), np.array(labels))
