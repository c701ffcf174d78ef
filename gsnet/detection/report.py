"""Figures of both protocols as text and as JSON. Each protocol has a table of its own: their figures do not compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gsnet.detection.coco_evaluation import CocoResult, evaluate_coco
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.visdrone_evaluation import VisDroneResult, evaluate_visdrone
from gsnet.interface.words import counted

PROTOCOLS = ("visdrone", "coco", "both")


def evaluated(
    data: SceneSet, results: Sequence[ImageResults], protocol: str, regions: str = "discard"
) -> dict[str, Any]:
    """One protocol's figures as a plain dictionary, or with "both" the two under their names; figures in per cent.

    regions: what COCO's protocol does with ignored regions, as in `coco_format.to_coco`.
    """
    if protocol == "both":
        return {name: evaluated(data, results, name, regions) for name in ("visdrone", "coco")}
    head = {"protocol": protocol, "unit": "percent", "images": len(data)}
    if protocol == "visdrone":
        return head | _visdrone(evaluate_visdrone(data, results))
    return head | {"regions": regions} | _coco(evaluate_coco(data, results, regions))


def _visdrone(result: VisDroneResult) -> dict[str, Any]:
    classes = {
        row.name: {"images": row.images, "objects": row.objects}
        | ({name: getattr(row, name) for name in ("AP", "AP50", "AP75", "AR500")} if row.images else {})
        for row in result.classes
    }
    counts = {"objects": result.kept_objects, "detections": result.kept_detections}
    return {**result.figures(), **counts, "classes": classes}


def _coco(result: CocoResult) -> dict[str, Any]:
    return {**result.figures, "classes": result.classes}


def as_text(figures: dict[str, Any]) -> str:
    """The figures of one protocol, or of both one after the other, as tables; then objects by file and times, if there."""
    lines: list[str] = []
    for part in (figures, figures.get("visdrone"), figures.get("coco")):
        if part and "protocol" in part:
            lines += [*_visdrone_lines(part), ""] if part["protocol"] == "visdrone" else [*_coco_lines(part), ""]
    if "predicted" in figures:
        # Each file was named when it was done.
        counts = figures["predicted"].values()
        lines.append(f"{counted(len(counts), 'file')}, {counted(sum(counts), 'object')}")
    if "milliseconds_per_image" in figures:
        times = figures["milliseconds_per_image"].items()
        lines.append("milliseconds an image: " + ", ".join(f"{name} {value:.1f}" for name, value in times))
    return "\n".join(lines).rstrip()


def _visdrone_lines(figures: dict[str, Any]) -> list[str]:
    names = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AR500")
    return [
        f"VisDrone's official protocol, {figures['images']} images, per cent, mean weighted by images with the class",
        _header("", names),
        _line("all", [figures[name] for name in names]),
        "",
        _header("class", ("images", "AP", "AP50", "AP75", "AR500")),
        *(
            _line(name, [row["images"], *(row.get(key) for key in ("AP", "AP50", "AP75", "AR500"))])
            for name, row in figures["classes"].items()
        ),
    ]


def _coco_lines(figures: dict[str, Any]) -> list[str]:
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    recalls = ("AR1", "AR10", "AR100", "AR500")
    per_class = ("AP", "AP50", "AP75", "AP_500", "AP50_500", "AP75_500")
    return [
        f"COCO's protocol, {figures['images']} images, per cent, plain class mean, ignored regions: {figures['regions']}",
        _header("detections", names),
        _line("up to 100", [figures[name] for name in names]),
        _line("up to 500", [figures[f"{name}_500"] for name in names]),
        "",
        _header("", recalls),
        _line("recall", [figures[name] for name in recalls]),
        "",
        _header("class", per_class),
        *(_line(name, [row[key] for key in per_class]) for name, row in figures["classes"].items()),
    ]


def _header(first: str, names: Sequence[str]) -> str:
    return f"{first:<18}" + "".join(f"{name:>11}" for name in names)


def _line(first: str, values: Sequence[float | int | None]) -> str:
    cells = ("-" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}" for value in values)
    return f"{first:<18}" + "".join(f"{cell:>11}" for cell in cells)
