"""Orthomosaics and other GeoTIFFs of any size: read tile by tile, and what is found as GeoJSON.

A file NAME.geojson (RFC 7946) is a FeatureCollection of polygons of longitude and latitude (WGS 84), one for each object, whose
properties are `class`, `score` and `box`: x1, y1, x2, y2 in pixels of the image.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gsnet.detection.inference import Finder
from gsnet.detection.media import Medium
from gsnet.detection.prediction import PredictionSettings, official
from gsnet.detection.scene import ImageResults, corners, result_names
from gsnet.detection.tiles import Tile, TileSettings, tiles_of
from gsnet.interface.files import made_for, write_text
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
_WGS84 = "EPSG:4326"
_SUFFIXES = (".tif", ".tiff")
# Digits of a degree: a centimetre.
_DIGITS = 7
_COLOURS = 3


def predict_rasters(finder: Finder, media: Sequence[Medium], settings: PredictionSettings) -> dict[str, int]:
    """NAME.geojson, and results/NAME.txt in VisDrone's columns, of every GeoTIFF; the number of objects by file.

    Tiles have the side of the network's input unless the settings say otherwise; the image is never looked at as one. Raises
    InputError for what is no GeoTIFF of 8 bits with a place on earth.
    """
    if importlib.util.find_spec("rasterio") is None:
        raise InputError("--save_as geojson needs a library that is not installed: pip install rasterio")
    settings.limits.of(finder.settings.classes)
    for medium in media:
        if medium.moving or medium.address or medium.path.suffix.lower() not in _SUFFIXES:
            raise InputError(f"{medium} is no GeoTIFF (.tif, .tiff): --save_as geojson is of these alone")
    side = max(finder.preprocessing.width, finder.preprocessing.height)
    tiles = replace(settings.tiles or TileSettings(side, threshold=finder.postprocess.iou_threshold), whole=False)
    names = result_names([medium.path for medium in media])
    with made_for(settings.results):
        return {
            str(medium): _predict(finder, medium.path, name, settings, tiles)
            for medium, name in zip(media, names, strict=True)
        }


def _predict(finder: Finder, file: Path, name: str, settings: PredictionSettings, tiles: TileSettings) -> int:
    import rasterio

    names = finder.settings.classes
    try:
        raster = rasterio.open(file)
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"{file} is no GeoTIFF that can be read ({error})") from error
    with raster:
        _check(raster, file)
        found = official(found_in_raster(finder, raster, tiles), name, names, settings)
        kept = found.chosen(settings.limits.reached(found, names)).by_score()
        write_text(settings.folder / f"{name}.geojson", json.dumps(as_geojson(kept, names, raster)) + "\n")
    _LOG.info("%s: %d objects", file, len(kept))
    return len(kept)


def _check(raster: Any, file: Path) -> None:
    if raster.crs is None:
        raise InputError(f"{file} does not say where on earth it lies: GeoJSON needs a coordinate reference system")
    if not raster.count:
        raise InputError(f"{file} has no bands")
    if any(kind != "uint8" for kind in raster.dtypes[:_COLOURS]):
        raise InputError(
            f"{file} has bands of {raster.dtypes[0]}: detectors look at 8 bits, which gdal_translate -ot Byte -scale makes"
        )


def found_in_raster(finder: Finder, raster: Any, settings: TileSettings) -> ImageResults:
    """What a detector finds in an opened raster, of which no more than a batch of tiles is read at a time.

    Tiles without a valid pixel are left out. The first three bands are red, green and blue, or the first one is grey.
    """
    tiles, found = [], []
    every = tiles_of(raster.width, raster.height, settings)
    finder.seconds.images += 1
    with tqdm(total=len(every), disable=not sys.stderr.isatty(), desc="tiles", leave=False) as bar:
        for batch in _batches(every, finder.batch_size):
            valid = [(tile, image) for tile in batch if (image := _read(raster, tile)) is not None]
            tiles += [tile for tile, _ in valid]
            found += finder.find_views([image for _, image in valid])
            bar.update(len(batch))
    return finder.joined(tiles, found, (raster.width, raster.height), settings) if tiles else ImageResults()


def _batches(tiles: list[Tile], size: int) -> Iterator[list[Tile]]:
    for first in range(0, len(tiles), size):
        yield tiles[first : first + size]


def _read(raster: Any, tile: Tile) -> np.ndarray | None:
    from rasterio.windows import Window

    window = Window(tile.left, tile.top, tile.width, tile.height)
    if not raster.dataset_mask(window=window).any():
        return None
    bands = [1, 2, 3] if raster.count >= _COLOURS else [1, 1, 1]
    return np.ascontiguousarray(raster.read(bands, window=window).transpose(1, 2, 0))


def as_geojson(found: ImageResults, class_names: Sequence[str], raster: Any) -> dict[str, Any]:
    """Detections in pixels of a raster as a FeatureCollection."""
    from rasterio.warp import transform

    boxes = corners(found.boxes)
    x, y = boxes[:, [0, 0, 2, 2, 0]].ravel(), boxes[:, [1, 3, 3, 1, 1]].ravel()
    here = raster.transform
    east, north = here.a * x + here.b * y + here.c, here.d * x + here.e * y + here.f
    degrees = np.array(transform(raster.crs, _WGS84, east, north)) if len(boxes) else np.zeros((2, 0))
    rings = degrees.T.round(_DIGITS).reshape(-1, 5, 2)
    rows = zip(rings, found.labels.tolist(), found.scores.tolist(), boxes.round(2).tolist(), strict=True)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_counter_clockwise(ring).tolist()]},
            "properties": {"class": class_names[label], "score": round(score, 4), "box": box},
        }
        for ring, label, score, box in rows
    ]
    return {"type": "FeatureCollection", "features": features}


def _counter_clockwise(ring: np.ndarray) -> np.ndarray:
    """A closed ring (5, 2) in the order that RFC 7946 (section 3.1.6) asks for, whichever way the raster lies."""
    (x, y), (x2, y2) = ring[:-1].T, ring[1:].T
    return ring if float(np.sum(x * y2 - x2 * y)) >= 0 else ring[::-1]
