"""What a detection data set holds: classes, sizes, objects per image, and rows that are known kinds of faulty."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from gsnet.detection.scene import SceneSet
from gsnet.detection.visdrone_evaluation import outside_regions, region_integral
from gsnet.detection.visdrone_format import sanity
from gsnet.interface.options import InputError, named_few

# COCO's buckets by area in pixels of the original image.
SMALL, MEDIUM = 32**2, 96**2


def statistics(data: SceneSet) -> dict[str, Any]:
    """Counts of a data set as a plain dictionary. Raises InputError where it has no image."""
    if not len(data):
        raise InputError("The data set has no images")
    labels = np.concatenate([scene.labels for scene in data.scenes])
    boxes = np.concatenate([scene.boxes for scene in data.scenes])
    ignored = np.concatenate([scene.ignored for scene in data.scenes])
    per_image = np.array([len(scene.labels) for scene in data.scenes])
    widths, heights = ([getattr(scene, side) for scene in data.scenes] for side in ("width", "height"))
    faults: Counter[str] = Counter()
    for scene in data.scenes:
        faults.update(sanity(scene))
    return {
        "images": len(data),
        "image_width": [min(widths), max(widths)],
        "image_height": [min(heights), max(heights)],
        "boxes": len(labels),
        "ignored_boxes": int(ignored.sum()),
        "ignored_regions": sum(len(scene.regions) for scene in data.scenes),
        "boxes_half_in_regions": sum(_in_regions(scene) for scene in data.scenes),
        "objects_of_no_class": sum(len(scene.others) for scene in data.scenes),
        "objects_per_image": {
            "least": int(per_image.min()),
            "median": float(np.median(per_image)),
            "mean": float(per_image.mean()),
            "most": int(per_image.max()),
        },
        "classes": {name: _class(data, i, boxes[labels == i]) for i, name in enumerate(data.class_names)},
        "truncation": _shares([scene.truncation for scene in data.scenes]),
        "occlusion": _shares([scene.occlusion for scene in data.scenes]),
        "faults": dict(faults),
        "repeated_images": repeated_images(data),
        "broken_images": {str(error.file): error.reason for error in data.broken},
        "annotations_without_image": [str(file) for file in data.stray],
        "images_without_annotations": [str(file) for file in data.unlabelled],
    }


def repeated_images(data: SceneSet) -> list[list[str]]:
    """Names of images whose files are equal byte by byte, group by group."""
    by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for scene in data.scenes:
        if scene.image is not None and scene.image.is_file():
            by_size[scene.image.stat().st_size].append((scene.name, scene.image))
    by_content: dict[bytes, list[str]] = defaultdict(list)
    for name, file in (pair for group in by_size.values() if len(group) > 1 for pair in group):
        by_content[hashlib.sha256(file.read_bytes()).digest()].append(name)
    return [names for names in by_content.values() if len(names) > 1]


def _in_regions(scene) -> int:  # type: ignore[no-untyped-def]
    if not len(scene.regions):
        return 0
    return int((~outside_regions(scene.boxes, region_integral(scene.regions, scene.width, scene.height))).sum())


def _class(data: SceneSet, label: int, boxes: np.ndarray) -> dict[str, Any]:
    areas = boxes[:, 2] * boxes[:, 3]
    return {
        "images": sum(bool((scene.labels == label).any()) for scene in data.scenes),
        "boxes": len(boxes),
        "small": int((areas < SMALL).sum()),
        "medium": int(((areas >= SMALL) & (areas < MEDIUM)).sum()),
        "large": int((areas >= MEDIUM).sum()),
        "median_side": float(np.median(np.sqrt(np.maximum(areas, 0)))) if len(boxes) else None,
    }


def _shares(values: list[np.ndarray | None]) -> dict[str, int]:
    known = [part for part in values if part is not None]
    joined = np.concatenate(known) if known else np.zeros(0, dtype=np.int64)
    return {str(level): int(count) for level, count in zip(*np.unique(joined, return_counts=True), strict=True)}


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}-{most}"


def as_text(figures: dict[str, Any]) -> str:
    """The counts as a table."""
    objects = figures["objects_per_image"]
    width = max([18, *(len(name) for name in figures["classes"])])
    (w1, w2), (h1, h2) = figures["image_width"], figures["image_height"]
    lines = [
        f"{figures['images']} images, {_span(w1, w2)} x {_span(h1, h2)} pixels, {figures['boxes']} boxes",
        f"objects per image: {objects['least']} to {objects['most']}, mean {objects['mean']:.1f}, "
        f"median {objects['median']:.0f}",
        "",
        f"{'class':<{width}}{'images':>9}{'boxes':>9}{'small':>9}{'medium':>9}{'large':>9}{'median side':>13}",
    ]
    for name, row in figures["classes"].items():
        side = "-" if row["median_side"] is None else f"{row['median_side']:.0f} px"
        counts = "".join(f"{row[key]:>9}" for key in ("images", "boxes", "small", "medium", "large"))
        lines.append(f"{name:<{width}}{counts}{side:>13}")
    lines.append("")
    for name in ("ignored_boxes", "ignored_regions", "boxes_half_in_regions", "objects_of_no_class"):
        lines.append(f"{name.replace('_', ' ')}: {figures[name]}")
    for name in ("truncation", "occlusion"):
        if figures[name]:
            lines.append(f"{name}: " + ", ".join(f"level {level}: {count}" for level, count in figures[name].items()))
    lines += [f"{kind}: {count}" for kind, count in figures["faults"].items() if count]
    for name in ("annotations_without_image", "images_without_annotations"):
        if figures[name]:
            lines.append(f"{name.replace('_', ' ')}: {len(figures[name])} ({named_few(figures[name])})")
    lines += [f"broken image: {file} ({reason})" for file, reason in figures["broken_images"].items()]
    lines += ["the same image: " + ", ".join(names) for names in figures["repeated_images"]]
    return "\n".join(lines)
