"""What val_detection.py does with a model: a data set is evaluated, or pictures and videos of the user's are looked at."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from gsnet.detection.classes import aligned, of_classes
from gsnet.detection.data_set import LoadingSettings, detection_evaluation_loader
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.drawing import drawn, write_png
from gsnet.detection.georeferenced import predict_rasters
from gsnet.detection.image_check import checked
from gsnet.detection.inference import Finder, load_finder
from gsnet.detection.media import media_of
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.prediction import PredictionSettings, predict_media
from gsnet.detection.prediction_files import GEOJSON
from gsnet.detection.preprocessing import read_image
from gsnet.detection.report import evaluated
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.tiles import TileSettings
from gsnet.detection.visdrone_format import CLASS_NAMES, write_results
from gsnet.interface.files import made_for
from gsnet.interface.options import InputError, device_name

_LOG = logging.getLogger(__name__)


def run_model(options: Namespace) -> dict[str, Any]:
    """Evaluate on --data_dir, or look at --predict; returns the figures. Raises InputError."""
    with made_for(options.save_dir) if options.save_dir is not None else nullcontext():
        return _run(options)


def _run(options: Namespace) -> dict[str, Any]:
    finder = finder_of(options)
    tiles = tiles_wanted(options, finder)
    if options.predict is None:
        return _evaluate(options, finder, tiles)
    media = media_of(options.predict)
    settings = PredictionSettings(
        options.save_dir,
        tiles,
        options.draw_threshold,
        options.classes,
        options.save_as,
        options.skip_broken,
        options.frames,
        options.track,
    )
    predict = predict_rasters if GEOJSON in options.save_as else predict_media
    counts = predict(finder, media, settings)
    say_limits(finder, options, tiles)
    return {"predicted": counts, "milliseconds_per_image": finder.seconds.milliseconds_per_image()}


def finder_of(options: Namespace) -> Finder:
    """The detector that the options name, ready to work. Raises InputError."""
    device = device_name(options.gpu, options.device)
    postprocess = PostprocessSettings(options.score_threshold, options.nms_threshold, options.max_detections)
    return load_finder(
        options.weights,
        device,
        postprocess,
        options.input_image_size,
        half=options.fp16,
        batch_size=options.batch_size,
    )


def _evaluate(options: Namespace, finder: Finder, tiles: TileSettings | None) -> dict[str, Any]:
    options.draw_threshold.of(finder.settings.classes)
    data = _data(options, finder.settings.classes)
    _check_drawn(data, options)
    results = dict(_found(options, finder, data, tiles))
    say_limits(finder, options, tiles)
    ordered = [results[scene.name] for scene in data.scenes]
    if options.save_dir is not None:
        _write(options.save_dir / "results", data, ordered)
    for scene, found in list(zip(data.scenes, ordered, strict=True))[: options.draw]:
        if scene.image is not None:
            image = read_image(scene.image, (scene.width, scene.height))
            kept = found.chosen(options.draw_threshold.reached(found, data.class_names))
            picture = drawn(image, kept, data.class_names, threshold=0, truth=scene)
            write_png(options.save_dir / f"{scene.name}.png", picture)
    figures = evaluated(data, ordered, options.protocol, options.regions)
    if options.html is not None:
        from gsnet.detection.judging_page import write_page

        write_page(options.html, str(options.weights), figures, data, ordered, options.regions)
    return figures | {"milliseconds_per_image": finder.seconds.milliseconds_per_image()}


def _check_drawn(data: SceneSet, options: Namespace) -> None:
    """Raise InputError where a drawn picture would take the place of one of the data set."""
    given = {scene.image.resolve() for scene in data.scenes if scene.image is not None}
    for scene in data.scenes[: options.draw]:
        place = options.save_dir / f"{scene.name}.png"
        if place.resolve() in given:
            raise InputError(f"What is drawn of {scene.image} would replace {place}: choose another --save_dir")


def _data(options: Namespace, classes: tuple[str, ...]) -> SceneSet:
    """The data set of --data_dir with the model's classes, or --limit images of it.

    Raises InputError where it has objects of other classes.
    """
    kept = {"data_format": options.data_format, "split": options.split, "usual": "val"}
    data = read_data_set(options.data_dir, **kept, skip_broken=None)
    (data,) = checked([data], options.skip_broken)
    if options.classes is not None:
        data = of_classes(data, options.classes, options.data_dir)
    data = aligned(data, SceneSet(classes, tuple(range(1, len(classes) + 1)), ()), options.data_dir)
    total = len(data)
    if not total:
        raise InputError(f"{options.data_dir} has no images")
    if options.limit is None or options.limit >= total:
        return data
    return replace(data, scenes=tuple(data.scenes[i * total // options.limit] for i in range(options.limit)))


def _found(
    options: Namespace, finder: Finder, data: SceneSet, tiles: TileSettings | None
) -> Iterable[tuple[str, ImageResults]]:
    if tiles is not None:
        return finder.find_all_in_tiles(data.scenes, tiles)
    loading = LoadingSettings(finder.preprocessing, None, options.batch_size, options.workers)
    return finder.find_all(detection_evaluation_loader(data, loading))


def tiles_wanted(options: Namespace, finder: Finder) -> TileSettings | None:
    """How --tile and its companions look at an image, or how the detector was trained to; None for the image as one.

    Raises InputError.
    """
    given = {"overlap": options.overlap, "join": options.tile_join, "max_joined": options.max_joined}
    given |= {"whole": False if options.no_whole else None}
    changes = {name: value for name, value in given.items() if value is not None}
    tiles = finder.tiles(options.tile)
    if tiles is None:
        if changes:
            flags = {"overlap": "--overlap", "join": "--tile_join", "max_joined": "--max_joined", "whole": "--no_whole"}
            raise InputError(f"{flags[next(iter(changes))]} does nothing without --tile: leave it out")
        return None
    if options.tile is None:
        line = "Images are looked at in tiles of %d pixels, as the detector was trained: --tile 0 looks at whole ones"
        _LOG.info(line, tiles.side)
    return replace(tiles, **changes)


def say_limits(finder: Finder, options: Namespace, tiles: TileSettings | None) -> None:
    """One line for each limit that some image or tile came to."""
    reached = finder.limits_reached
    if reached["views"]:
        views = "images" if tiles is None else "tiles"
        line = "--max_detections %d was reached in %d of %d %s: more of lower scores may be there"
        _LOG.warning(line, options.max_detections, reached["views"], finder.views, views)
    if reached["joined images"]:
        line = "--max_joined %d was reached in %d of %d images: more of lower scores may be there"
        _LOG.warning(line, options.max_joined, reached["joined images"], finder.seconds.images)


def _write(folder: Path, data: SceneSet, results: list[ImageResults]) -> None:
    folder.mkdir(exist_ok=True)
    for scene, found in zip(data.scenes, results, strict=True):
        write_results(folder, scene.name, found, data.category_ids)
    if data.class_names == CLASS_NAMES:
        _LOG.info("%s has the official result files of %d images", folder, len(data))
