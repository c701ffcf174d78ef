"""Scoring of result files without a model."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from gsnet.detection.coco_format import read_coco, read_coco_results
from gsnet.detection.image_check import without_broken
from gsnet.detection.image_files import images_by_stem, read_header
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.visdrone_format import annotation_files, read_annotations, read_results_folder
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)


def read_sizes(file: Path) -> dict[str, tuple[int, int]]:
    """Sizes by image from JSON, {"stem": [width, height]}. Raises InputError where it is anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no JSON file ({error})") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{file} is no JSON object of image sizes: {{stem: [width, height]}}")
    for stem, size in content.items():
        whole = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
        if not whole:
            raise InputError(f"{file}: the size of {stem} is a list of two whole numbers, [width, height]")
    return {
        Path(stem).stem if stem.lower().endswith((".jpg", ".png")) else stem: tuple(size)
        for stem, size in content.items()
    }


def sizes_of_images(folder: Path, stems: list[str]) -> dict[str, tuple[int, int]]:
    """Sizes of the images of a folder that have one of these names; others are not opened. Raises InputError."""
    images = images_by_stem(folder)
    return {stem: read_header(images[stem]).upright for stem in stems if stem in images}


def read_truth(options: Namespace) -> SceneSet:
    """Ground truth of --annotations, a folder of VisDrone's files or a COCO JSON file. Raises InputError."""
    annotations: Path = options.annotations
    if annotations.is_file():
        data = read_coco(annotations, options.images)
        return without_broken(data, 0)
    stems = [file.stem for file in annotation_files(annotations)]
    if options.image_sizes is not None:
        return read_annotations(annotations, read_sizes(options.image_sizes))
    if options.images is None:
        raise InputError("The sizes of the images are needed too: give --images FOLDER or --image_sizes FILE.json")
    return read_annotations(annotations, sizes_of_images(options.images, stems))


def read_files(options: Namespace) -> tuple[SceneSet, list[ImageResults]]:
    """Ground truth and detections that the options name, a result file for every image. Raises InputError."""
    if options.annotations is None:
        raise InputError("--evaluate_results needs the ground truth: give --annotations")
    if options.images is not None and options.image_sizes is not None:
        raise InputError("--images and --image_sizes both give the sizes of the images: use one of them")
    data = read_truth(options)
    if options.evaluate_results.is_file():
        if not options.annotations.is_file():
            raise InputError(
                "A JSON file of results belongs to a JSON file of --annotations: results are a folder here"
            )
        content = json.loads(options.annotations.read_text(encoding="utf-8-sig"))
        return data, read_coco_results(options.evaluate_results, data, content)
    results, stray = read_results_folder(options.evaluate_results, data)
    if stray:
        shown = ", ".join(stray[:3]) + (" and more" if len(stray) > 3 else "")
        _LOG.warning("Not scored, since no image of the ground truth has the name: %s (%d files)", shown, len(stray))
    if not any(map(len, results)):
        _LOG.warning("The result files hold no detection at all")
    return data, results
