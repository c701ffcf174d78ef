"""Detections in pictures, videos and streams: drawn, and written as result files."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from gsnet.data.broken import BrokenImageError
from gsnet.detection.classes import only
from gsnet.detection.drawing import drawn, write_png
from gsnet.detection.image_check import report_broken
from gsnet.detection.inference import Finder
from gsnet.detection.media import Film, Medium, opened, read_picture, written
from gsnet.detection.prediction_files import COCO, LABELS, WRITERS, CocoFile
from gsnet.detection.scene import ImageResults, result_names
from gsnet.detection.score_limits import ScoreLimits
from gsnet.detection.tiles import TileSettings
from gsnet.detection.tracks import Tracks, mot_rows, require_tracker
from gsnet.detection.visdrone_format import write_results
from gsnet.detection.yolo_format import label_file
from gsnet.interface.files import kept_at_interrupt, made_for
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
# Frames after which a log, where no bar is seen, says how far a video is.
_FRAMES_OF_A_LINE = 250
# How results of a video's frames are called.
_FRAME = re.compile(r"(.+)_\d{7,}")


@dataclass(frozen=True)
class PredictionSettings:
    """What is left of the detections, and where.

    folder: of everything. tiles: how a picture is looked at, None for as one. limits: the least scores of what is drawn,
    counted and saved. classes: report these alone. save_as: names of `prediction_files.FORMS`. skip_broken: pictures that
    may be unreadable. frames: of a video or stream at most; None: all. track: follow objects through videos.
    """

    folder: Path
    tiles: TileSettings | None = None
    limits: ScoreLimits = field(default_factory=ScoreLimits)
    classes: Sequence[str] | None = None
    save_as: Sequence[str] = ()
    skip_broken: int = 0
    frames: int | None = None
    track: bool = False

    @property
    def results(self) -> Path:
        """Where official result files go."""
        return self.folder / "results"


def predict_media(finder: Finder, media: Sequence[Medium], settings: PredictionSettings) -> dict[str, int]:
    """Detections of everything into a folder: NAME.png or NAME.mp4 drawn, results/NAME.txt in VisDrone's columns. NAME is the
    file's, or tells it apart from others of its name, see `result_names`.

    A video has a result file a frame, results/NAME_0000001.txt, and with `track` also mot/NAME.txt. Returns the number of
    detections drawn, by source; up to skip_broken pictures that cannot be read are left out, which the log says. An interrupt
    leaves what was found until then. Raises BrokenImageError where there are more, and InputError.
    """
    settings.limits.of(finder.settings.classes)
    if settings.track:
        require_tracker()
        if not any(medium.moving for medium in media):
            raise InputError("--track follows objects through videos and streams: there is none")
    names = dict(zip(media, result_names(_paths(media)), strict=True))
    _check_places(media, names, settings)
    with made_for(settings.results):
        return _predicted(finder, media, names, settings)


def _predicted(
    finder: Finder, media: Sequence[Medium], names: Mapping[Medium, str], settings: PredictionSettings
) -> dict[str, int]:
    counts: dict[str, int] = {}
    unreadable: list[BrokenImageError] = []
    with ExitStack() as stack:
        coco = None
        if COCO in settings.save_as:
            coco = stack.enter_context(CocoFile(settings.folder, finder.settings.classes))
        looking = _Looking(finder, settings, coco)
        for medium in tqdm(media, disable=not sys.stderr.isatty() or len(media) == 1, desc="files", leave=False):
            name = names[medium]
            if medium.moving:
                counts[str(medium)] = _predict_video(medium, name, looking)
                continue
            try:
                image = read_picture(medium)
            except BrokenImageError as error:
                unreadable.append(error)
                if len(unreadable) > settings.skip_broken:
                    report_broken(unreadable, len(media), settings.skip_broken)
                _LOG.warning("Left out as broken: %s", error)
                continue
            found = looking.found_in(image, name)
            kept = looking.keep(image, found, name, f"{name}{medium.path.suffix}")
            write_png(settings.folder / f"{name}.png", drawn(image, kept, finder.settings.classes, threshold=0))
            counts[str(medium)] = len(kept)
            _LOG.info("%s: %d objects", medium, len(kept))
    return counts


def official(found: ImageResults, name: str, class_names: Sequence[str], settings: PredictionSettings) -> ImageResults:
    """The detections of the wanted classes, which are also written as official results."""
    found = only(found, settings.classes, class_names)
    write_results(settings.results, name, found, tuple(range(1, len(class_names) + 1)))
    return found


@dataclass
class _Looking:
    """A detector, and what becomes of the detections of a picture or frame."""

    finder: Finder
    settings: PredictionSettings
    coco: CocoFile | None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the detector tells apart."""
        return self.finder.settings.classes

    def found_in(self, image: np.ndarray, name: str) -> ImageResults:
        """All detections of the wanted classes, which are also written as official results."""
        tiles = self.settings.tiles
        found = self.finder.find_in(image) if tiles is None else self.finder.find_in_tiles(image, tiles)
        return official(found, name, self.class_names, self.settings)

    def sure(self, found: ImageResults) -> np.ndarray:
        """Which detections have the score that their class needs."""
        return self.settings.limits.reached(found, self.class_names)

    def keep(self, image: np.ndarray, found: ImageResults, name: str, file_name: str) -> ImageResults:
        """The detections with enough score, by score, which are also saved in the forms that were asked for."""
        kept = found.chosen(self.sure(found)).by_score()
        for form in self.settings.save_as:
            if form in WRITERS:
                WRITERS[form](image, kept, self.class_names, self.settings.folder, name)
        if self.coco is not None:
            self.coco.add((image.shape[1], image.shape[0]), kept, file_name)
        return kept


def _paths(media: Sequence[Medium]) -> list[Path]:
    """The path of each; of addresses that differ in what they ask for alone, all but the first have a number."""
    found: Counter[Path] = Counter()
    paths = []
    for medium in media:
        path = medium.path
        found[path] += 1
        if found[path] > 1 and medium.address:
            path = path.with_name(f"{path.stem}_{found[path]}{path.suffix}")
        paths.append(path)
    return paths


def _check_places(media: Sequence[Medium], names: dict[Medium, str], settings: PredictionSettings) -> None:
    """Raise InputError where a drawn picture or video would take the place of one that was given, labels that of what
    somebody has said of a picture, or results of a picture that of those of a video's frame."""
    folder = settings.folder
    videos = {names[medium]: medium for medium in media if medium.moving}
    given = {medium.path.resolve() for medium in media if not medium.address}
    for medium, name in names.items():
        drawn_file = folder / f"{name}{'.mp4' if medium.moving else '.png'}"
        if drawn_file.resolve() in given:
            raise InputError(f"What is drawn of {medium} would replace {drawn_file}: choose another --save_dir")
        labels = folder / LABELS / f"{name}.txt"
        if "yolo" in settings.save_as and labels.is_file() and labels.resolve() == label_file(medium.path).resolve():
            raise InputError(
                f"Labels of what is found in {medium} would replace {labels}: choose another --save_dir, or take those away"
            )
        of_frame = _FRAME.fullmatch(name)
        if not medium.moving and of_frame and of_frame[1] in videos:
            raise InputError(
                f"Results of {medium} would be called as those of a frame of {videos[of_frame[1]]}: look at one after the "
                "other, with another --save_dir"
            )


def _predict_video(medium: Medium, name: str, looking: _Looking) -> int:
    """Detections of every frame; the drawn video has the frames' own size and rate. Returns their number."""
    settings = looking.settings
    count = number = 0
    with ExitStack() as stack:
        film = stack.enter_context(opened(medium))
        writer = stack.enter_context(written(settings.folder / f"{name}.mp4", film.rate, film.size))
        show = _followed(name, film, looking, stack) if settings.track else None
        total = film.total if settings.frames is None else min(settings.frames, film.total or settings.frames)
        bar = tqdm(film.frames, total=total, disable=not sys.stderr.isatty(), desc=medium.path.name, leave=False)
        try:
            for number, image in enumerate(bar, start=1):
                frame = f"{name}_{number:07d}"
                found = looking.found_in(image, frame)
                kept = looking.keep(image, found, frame, frame)
                count += len(kept)
                picture = show(number, image, found) if show else drawn(image, kept, looking.class_names, threshold=0)
                writer.write(cv2.cvtColor(picture[: image.shape[0]], cv2.COLOR_RGB2BGR))
                if bar.disable and number % _FRAMES_OF_A_LINE == 0:
                    _LOG.info("%s: frame %d of %s, %d objects", medium, number, total or "a stream", count)
                if number == settings.frames:
                    break
        except KeyboardInterrupt:
            _LOG.warning("%s: interrupted after %d frames, which are in %s", medium, number, settings.folder)
            raise
        if not number:
            raise InputError(f"{medium} gives no frame: it is damaged or has ended")
    _LOG.info("%s: %d objects in %d frames", medium, count, number)
    return count


def _followed(
    name: str, film: Film, looking: _Looking, stack: ExitStack
) -> Callable[[int, np.ndarray, ImageResults], np.ndarray]:
    """What follows objects, writes mot/NAME.txt and draws a frame with their numbers."""
    folder = looking.settings.folder / "mot"
    folder.mkdir(exist_ok=True)
    rows = stack.enter_context(kept_at_interrupt(folder / f"{name}.txt"))
    tracks = Tracks(film.rate)

    def show(number: int, image: np.ndarray, found: ImageResults) -> np.ndarray:
        followed, numbers = tracks.update(found, looking.sure(found))
        rows.write(mot_rows(number, followed, numbers))
        return drawn(image, followed, looking.class_names, threshold=0, ids=numbers)

    return show
