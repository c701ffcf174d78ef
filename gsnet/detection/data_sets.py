"""Detection data sets in whatever format they come."""

from __future__ import annotations

from pathlib import Path

from gsnet.detection.coco_format import read_coco
from gsnet.detection.data_yaml import DESCRIPTION_SUFFIXES, listed
from gsnet.detection.image_check import without_broken
from gsnet.detection.image_files import is_image
from gsnet.detection.scene import SceneSet
from gsnet.detection.splits import split_of, splits_of
from gsnet.detection.uavdt_format import read_uavdt
from gsnet.detection.visdrone_format import read_visdrone
from gsnet.detection.visdrone_video import is_video_set, read_visdrone_video
from gsnet.detection.voc_format import read_voc
from gsnet.detection.yolo_format import label_file, read_yolo
from gsnet.interface.options import InputError

FORMATS = ("auto", "visdrone", "visdrone_vid", "coco", "yolo", "uavdt", "voc")


def read_data_set(
    path: Path,
    data_format: str = "auto",
    images: Path | None = None,
    split: str | None = None,
    usual: str = "train",
    skip_broken: int | None = 0,
) -> SceneSet:
    """A data set, or one split of it.

    visdrone: a folder with `images/` and `annotations/`; visdrone_vid: one with `sequences/` and `annotations/`; coco: a JSON
    file, images beside it, in `images/` or where `images` says, or a folder with `*.coco.json`; yolo: a folder with `images/`
    and `labels/`, one of images and labels, a data.yaml or a list of images; uavdt: a folder with `UAV-benchmark-M/` and
    `UAV-benchmark-MOTD_v1.0/GT/`; voc: a folder with images and XML or CSV files, or `JPEGImages/` and `Annotations/`. auto
    looks. A path with several splits gives the one called `split`, by default the `usual` one, or the only one.

    skip_broken: images that may be unreadable and are left out; None: any number. Raises InputError, which says what was
    looked for, and which images are broken.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"There is no data set {path}")
    parts = {} if _is_one_set(path) else splits_of(path)
    if split is not None and split not in parts:
        has = f"only {', '.join(parts)}" if parts else "no splits"
        raise InputError(f"{path} has {has}: there is nothing to take for --split {split}")
    if parts:
        split = split or (usual if usual in parts else next(iter(parts)))
        path = parts[split]
    found = _read(path, _found_format(path) if data_format == "auto" else data_format, images, split)
    return without_broken(found, skip_broken)


def has_split(path: Path, split: str) -> bool:
    """Whether a path has several splits, and this is one of them."""
    path = path.expanduser()
    return path.exists() and not _is_one_set(path) and split in splits_of(path)


def _read(path: Path, data_format: str, images: Path | None, split: str | None) -> SceneSet:
    if data_format == "visdrone":
        return read_visdrone(path)
    if data_format == "visdrone_vid":
        return read_visdrone_video(path)
    if data_format == "coco":
        file = _coco_file(path)
        return read_coco(file, images or _coco_images(file))
    if data_format == "yolo":
        return read_yolo(path, split if path.suffix.lower() in DESCRIPTION_SUFFIXES else None)
    if data_format == "uavdt":
        return read_uavdt(path / "UAV-benchmark-M", path / "UAV-benchmark-MOTD_v1.0" / "GT")
    if data_format == "voc":
        annotations, pictures = _voc_folders(path)
        return read_voc(sorted((*annotations.glob("*.xml"), *annotations.glob("*.csv"))), images or pictures)
    raise InputError(f"There is no data format {data_format!r}: use one of {', '.join(FORMATS)}")


def _is_one_set(path: Path) -> bool:
    """Whether a path is one set of images rather than a folder of several splits."""
    if path.is_file():
        return path.suffix.lower() not in DESCRIPTION_SUFFIXES
    if (path / "annotations").is_dir() and any((path / "annotations").glob("*.txt")):
        return True
    return bool(_coco_file_in(path)) or (path / "UAV-benchmark-M").is_dir() or _is_voc(path)


def _is_voc(path: Path) -> bool:
    """Whether a folder has Pascal VOC's annotations rather than some other table or an exported network beside its splits."""
    annotations, pictures = _voc_folders(path)
    return _has_xml(path) and (annotations != pictures or any(map(is_image, path.iterdir())))


def _found_format(path: Path) -> str:
    if path.is_file():
        return _format_of_file(path)
    if _coco_file_in(path) is not None:
        return "coco"
    if (path / "annotations").is_dir() and any((path / "annotations").glob("*.txt")):
        return "visdrone_vid" if is_video_set(path) else "visdrone"
    if (path / "labels").is_dir() or _in_images(path):
        return "yolo"
    if (path / "UAV-benchmark-M").is_dir():
        return "uavdt"
    if _has_xml(path):
        return "voc"
    if any(label_file(file).is_file() for file in path.iterdir() if is_image(file)):
        return "yolo"
    raise InputError(
        f"{path} is no data set of a known format: a folder with images/ and annotations/ (VisDrone), sequences/ and "
        "annotations/ (VisDrone-VID) or images/ and labels/ (YOLO), a data.yaml, a COCO JSON file, UAVDT's folder, images with "
        "XML, CSV or YOLO's text files, or a folder with train/ and val/ of these"
    )


def _format_of_file(path: Path) -> str:
    if path.suffix.lower() == ".json":
        return "coco"
    if path.suffix.lower() in DESCRIPTION_SUFFIXES:
        return "yolo"
    if path.suffix.lower() == ".txt":
        listed(path)
        return "yolo"
    raise InputError(
        f"{path} is no data set of a known format: files are a COCO JSON file, a data.yaml or a list of images"
    )


def _in_images(path: Path) -> bool:
    """Whether a folder lies below `images/`, which has `labels/` beside it."""
    return any(folder.name == "images" and (folder.parent / "labels").is_dir() for folder in (path, *path.parents))


def _has_xml(path: Path) -> bool:
    annotations = _voc_folders(path)[0]
    return any((*annotations.glob("*.xml"), *annotations.glob("*.csv")))


def _voc_folders(path: Path) -> tuple[Path, Path]:
    """Where Pascal VOC's annotations and images are: in folders of their own, or side by side."""
    for name in ("Annotations", "annotations"):
        for pictures in ("JPEGImages", "images"):
            if (path / name).is_dir() and (path / pictures).is_dir():
                return path / name, path / pictures
    return path, path


def _coco_file_in(folder: Path) -> Path | None:
    """The JSON file that Roboflow puts beside the images."""
    return next(iter(sorted(folder.glob("*.coco.json"))), None)


def _coco_file(path: Path) -> Path:
    if path.is_file():
        return path
    file = _coco_file_in(path)
    if file is None:
        raise InputError(f"{path} is a folder without a file *.coco.json: name the COCO JSON file itself")
    return file


def _coco_images(file: Path) -> list[Path]:
    """Where images of a COCO file may be: in a folder called like it or its split, in `images/`, or beside it."""
    root = file.parent.parent
    candidates = [file.parent / file.stem, file.parent / "images", root / "images"]
    split = split_of(file.stem)
    if split is not None:
        bases = (file.parent, root, file.parent / "images", root / "images")
        named = [folder for base in bases for folder in _folders(base) if split_of(folder.name) == split]
        candidates = [folder for folder in named if file.stem.endswith(folder.name)] + named + candidates
    return [folder for folder in candidates if folder.is_dir()] or [file.parent]


def _folders(base: Path) -> list[Path]:
    return [folder for folder in sorted(base.iterdir()) if folder.is_dir()] if base.is_dir() else []
