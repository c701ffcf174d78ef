"""Detections in pictures, folders of pictures and videos: drawn, and written as result files."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from gsnet.data.broken import BrokenImageError
from gsnet.detection.classes import labels_of
from gsnet.detection.drawing import drawn, write_png
from gsnet.detection.image_check import report_broken
from gsnet.detection.image_files import IMAGE_SUFFIXES
from gsnet.detection.inference import Finder
from gsnet.detection.prediction_files import WRITERS
from gsnet.detection.preprocessing import read_image
from gsnet.detection.scene import ImageResults, result_names
from gsnet.detection.tiles import TileSettings
from gsnet.detection.visdrone_format import write_results
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def media_of(paths: Sequence[Path]) -> list[Path]:
    """The images and videos that paths name, those of folders in the order of their names. Raises InputError."""
    found: list[Path] = []
    for path in [match for given in paths for match in _matches(given.expanduser())]:
        if path.is_dir():
            inside = [
                file for file in sorted(path.iterdir()) if file.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
            ]
            if not inside:
                raise InputError(f"{path} has neither images nor videos")
            found += inside
        elif not path.is_file():
            raise InputError(f"There is no file {path}: --predict takes images, folders and videos")
        elif path.suffix.lower() not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
            raise InputError(f"{path} is neither an image nor a video by its suffix")
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _matches(path: Path) -> list[Path]:
    """The files and folders that a pattern with *, ? or [ names, in order; a path that exists or is no pattern itself."""
    if path.exists() or not any(character in str(path) for character in "*?["):
        return [path]
    root = Path(path.anchor)
    matches = sorted(root.glob(str(path.relative_to(root))))
    if not matches:
        raise InputError(f"Nothing matches {path}")
    return matches


def predict_media(
    finder: Finder,
    media: Sequence[Path],
    folder: Path,
    tiles: TileSettings | None,
    threshold: float,
    skip_broken: int = 0,
    classes: Sequence[str] | None = None,
    save_as: Sequence[str] = (),
) -> dict[str, int]:
    """Detections of every file into a folder: NAME.png or NAME.mp4 drawn, results/NAME.txt in VisDrone's columns. NAME is the
    file's, or tells it apart from others of its name, see `result_names`.

    A video has a result file a frame, results/NAME_0000001.txt. classes: report these alone. save_as: what else is written of
    what is drawn, names of `WRITERS`. Returns the number of detections drawn, by file; up to skip_broken images that cannot be
    read are left out, which the log says. Raises BrokenImageError where there are more.
    """
    class_names = finder.settings.classes
    categories = tuple(range(1, len(class_names) + 1))
    labels = labels_of(class_names if classes is None else classes, class_names)
    (folder / "results").mkdir(parents=True, exist_ok=True)

    def look(image: np.ndarray, name: str) -> ImageResults:
        found = finder.find_in(image) if tiles is None else finder.find_in_tiles(image, tiles)
        found = found.chosen(np.isin(found.labels, labels))
        write_results(folder / "results", name, found, categories)
        for form in save_as:
            WRITERS[form](image, found.chosen(found.scores >= threshold).by_score(), class_names, folder, name)
        return found

    names = dict(zip(media, result_names(media), strict=True))
    _check_places(media, names, folder)
    counts = {}
    unreadable: list[BrokenImageError] = []
    for file in tqdm(media, disable=not sys.stderr.isatty() or len(media) == 1, desc="files", leave=False):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            counts[str(file)] = _predict_video(file, names[file], folder, look, class_names, threshold)
            continue
        try:
            image = read_image(file)
        except BrokenImageError as error:
            unreadable.append(error)
            if len(unreadable) > skip_broken:
                report_broken(unreadable, len(media), skip_broken)
            _LOG.warning("Left out as broken: %s", error)
            continue
        found = look(image, names[file])
        write_png(folder / f"{names[file]}.png", drawn(image, found, class_names, threshold))
        counts[str(file)] = int((found.scores >= threshold).sum())
        _LOG.info("%s: %d objects", file, counts[str(file)])
    return counts


def _check_places(media: Sequence[Path], names: dict[Path, str], folder: Path) -> None:
    """Raise InputError where a drawn picture or video would take the place of one that was given."""
    given = {file.resolve() for file in media}
    for file, name in names.items():
        drawn_file = folder / f"{name}{'.mp4' if file.suffix.lower() in VIDEO_SUFFIXES else '.png'}"
        if drawn_file.resolve() in given:
            raise InputError(f"What is drawn of {file} would replace {drawn_file}: choose another --save_dir")


def _predict_video(file: Path, name: str, folder: Path, look, classes: Sequence[str], threshold: float) -> int:  # type: ignore[no-untyped-def]
    """Detections of every frame; the drawn video has the frames' own size and rate."""
    output = folder / f"{name}.mp4"
    temporary = folder / f".{name}.part.mp4"
    count = 0
    with _reading(file) as (frames, total, rate, size), _writing(temporary, rate, size) as writer:
        bar = tqdm(frames, total=total, disable=not sys.stderr.isatty(), desc=file.name, leave=False)
        for number, frame in enumerate(bar, start=1):
            image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            found = look(image, f"{name}_{number:07d}")
            count += int((found.scores >= threshold).sum())
            picture = drawn(image, found, classes, threshold)[: image.shape[0]]
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    temporary.replace(output)
    _LOG.info("%s: %d objects in %d frames", file, count, total)
    return count


@contextmanager
def _reading(file: Path) -> Iterator[tuple[Iterator[np.ndarray], int, float, tuple[int, int]]]:
    video = cv2.VideoCapture(str(file))
    try:
        if not video.isOpened():
            raise InputError(f"{file} is no video that can be read")
        size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        total, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS) or 25.0
        yield _frames(video), total, rate, size
    finally:
        video.release()


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, frame = video.read()
        if not there:
            return
        yield frame


@contextmanager
def _writing(file: Path, rate: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    try:
        if not writer.isOpened():
            raise InputError(f"No video can be written to {file.parent}")
        yield writer
    finally:
        writer.release()
