"""Detection data sets in whatever format they come."""

from __future__ import annotations

from pathlib import Path

from gsnet.detection.coco_format import read_coco
from gsnet.detection.other_formats import read_uavdt, read_voc, read_yolo
from gsnet.detection.scene import SceneSet
from gsnet.detection.visdrone_format import read_visdrone
from gsnet.interface.options import InputError

FORMATS = ("auto", "visdrone", "coco", "yolo", "uavdt", "voc")


def read_data_set(path: Path, data_format: str = "auto", images: Path | None = None) -> SceneSet:
    """A data set, or one split of it.

    visdrone: a folder with `images/` and `annotations/`; coco: a JSON file, images beside it or in its folder's `images/`, or
    where `images` says; yolo: a folder with `images/` and `labels/`, or `ROOT/images/SPLIT` itself; uavdt: a folder with
    `UAV-benchmark-M/` and `UAV-benchmark-MOTD_v1.0/GT/`; voc: a folder with images and XML or CSV files. auto looks.
    Raises InputError, which says what was looked for.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"There is no data set {path}")
    if data_format == "auto":
        data_format = _found_format(path)
    if data_format == "visdrone":
        return read_visdrone(path)
    if data_format == "coco":
        return read_coco(path, images or _coco_images(path))
    if data_format == "yolo":
        return _yolo(path)
    if data_format == "uavdt":
        return read_uavdt(path / "UAV-benchmark-M", path / "UAV-benchmark-MOTD_v1.0" / "GT")
    if data_format == "voc":
        files = sorted((*path.glob("*.xml"), *path.glob("*.csv")))
        return read_voc(files, images or path)
    raise InputError(f"There is no data format {data_format!r}: use one of {', '.join(FORMATS)}")


def _found_format(path: Path) -> str:
    if path.is_file() and path.suffix.lower() == ".json":
        return "coco"
    if (path / "annotations").is_dir() and any((path / "annotations").glob("*.txt")):
        return "visdrone"
    if (path / "labels").is_dir() or (path.parent.name == "images" and (path.parent.parent / "labels").is_dir()):
        return "yolo"
    if (path / "UAV-benchmark-M").is_dir():
        return "uavdt"
    if path.is_dir() and any((*path.glob("*.xml"), *path.glob("*.csv"))):
        return "voc"
    raise InputError(
        f"{path} is no data set of a known format: a folder with images/ and annotations/ (VisDrone) or labels/ (YOLO), "
        "a COCO JSON file, UAVDT's folder, or images with XML or CSV files"
    )


def _coco_images(file: Path) -> Path:
    candidates = (file.parent / "images", file.parent.parent / "images")
    return next((folder for folder in candidates if folder.is_dir()), file.parent)


def _yolo(path: Path) -> SceneSet:
    if (path / "labels").is_dir():
        return read_yolo(path)
    return read_yolo(path.parent.parent, path.name)
