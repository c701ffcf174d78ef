"""One HTML page, which needs no connection, of what a detector does right and wrong."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gsnet.detection import judging_pictures as pictures
from gsnet.detection.drawing import drawn
from gsnet.detection.judging import Judgement, judged
from gsnet.detection.preprocessing import read_image
from gsnet.detection.report import as_text
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.interface.files import write_text
from gsnet.interface.version import version

_LOG = logging.getLogger(__name__)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
pre { background: #f5f5f5; padding: 1rem; overflow-x: auto; font-size: 13px; }
svg, img { max-width: 100%; height: auto; }
figure { margin: 1.5rem 0; } figcaption { color: #555; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
"""
_WIDEST = 1400


def write_page(
    file: Path,
    title: str,
    figures: dict[str, Any],
    data: SceneSet,
    results: Sequence[ImageResults],
    regions: str = "discard",
) -> None:
    """Judge, and write the page. Raises InputError where there is nothing to judge, or no place for it."""
    found = judged(data, results, regions)
    write_text(file, page(title, figures, found, data, results))
    _LOG.info("%s: a page for a browser", file)


def page(
    title: str,
    figures: dict[str, Any],
    found: Judgement,
    data: SceneSet,
    results: Sequence[ImageResults],
    worst: int = 6,
) -> str:
    """The page. figures: of both protocols, as `report.evaluated` gives them; worst: so many images are drawn."""
    parts = [
        f"<h1>{escape(title)}</h1><p>{len(data)} images, {int(found.counts[:, 0].sum())} objects, "
        f"{sum(map(len, results))} detections. {_threshold(found)} gsnet {escape(version())}</p>",
        _figure(pictures.curves(found), "Precision falls as more is found; the dashed line is the threshold."),
        _figure(
            pictures.errors(found),
            "What goes wrong, and what AP50 would gain if it did not: kinds as TIDE defines them, so that their "
            "numbers are not the matrix's.",
        ),
        _figure(
            pictures.confusion(found),
            "What objects of each class are found as; last row: found where nothing is. Here objects are paired with "
            "detections of any class; in the table of images below, as in AP, with those of their own.",
        ),
        _figure(pictures.counts(found), "How many objects are found in each image."),
        "<h2>By size of objects</h2>",
        _table(("objects", "AP"), [(size, "-" if ap is None else f"{ap:.2f}") for size, ap in found.sizes.items()]),
        "<h2>The worst images</h2>",
        _worst(found, data, results, worst),
        f"<h2>All figures</h2><pre>{escape(as_text(figures))}</pre>",
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return head + "\n".join(parts) + "</html>\n"


def _threshold(found: Judgement) -> str:
    if not found.f1.any():
        return "<b>No detection lies on an object of its class</b> at an IoU of 0.5: what follows counts all of them."
    return f"What follows from a threshold takes scores from <b>{found.threshold:.3g}</b>, where F1 is largest."


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _worst(found: Judgement, data: SceneSet, results: Sequence[ImageResults], count: int) -> str:
    chosen = [image for image in found.images if image.wrong + image.missed][:count]
    rows = [
        (data.scenes[image.place].name, image.found, image.wrong, image.missed, f"{image.f1:.2f}") for image in chosen
    ]
    parts = [_table(("image", "found", "wrong", "missed", "F1"), rows)]
    for image in chosen:
        scene = data.scenes[image.place]
        if scene.image is not None and scene.image.is_file():
            pixels = read_image(scene.image, (scene.width, scene.height))
            kept = results[image.place]
            kept = kept.chosen(kept.labels >= 0)
            picture = drawn(pixels, kept, data.class_names, found.threshold, scene)
            words = f"{scene.name}: {image.found} found, {image.wrong} wrong, {image.missed} missed; white: the truth"
            parts.append(_figure(_embedded(picture), words))
    return "".join(parts)


def _embedded(image: np.ndarray) -> str:
    scale = min(1.0, _WIDEST / image.shape[1])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}">'
