"""What --predict names: pictures, folders, videos and patterns, addresses of pictures and of streams, and cameras."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import cv2
import numpy as np

from gsnet.data.broken import BrokenImageError
from gsnet.data.passed_over import files_in
from gsnet.detection.image_files import IMAGE_SUFFIXES
from gsnet.detection.preprocessing import decoded_image, read_image
from gsnet.interface.options import InputError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_OF_PICTURES = ("http", "https")
_SECONDS = 30
_USUAL_RATE = 25.0


@dataclass(frozen=True)
class Medium:
    """One picture, video or stream. source: a path, an address, or the number of a camera. moving: it has frames."""

    source: str
    moving: bool

    @property
    def address(self) -> bool:
        """Whether it is fetched from elsewhere."""
        return "://" in self.source

    @property
    def camera(self) -> bool:
        """Whether it is a device of this machine."""
        return self.moving and self.source.isdecimal()

    @property
    def path(self) -> Path:
        """What names its results: the path of a file or of an address."""
        if self.camera:
            return Path(f"camera_{self.source}")
        if not self.address:
            return Path(self.source)
        parts = urlsplit(self.source)
        return Path(parts.netloc.rpartition("@")[2].replace(":", "_") + parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"camera {self.source}" if self.camera else self.source


@dataclass(frozen=True)
class Film:
    """A video or stream that was opened. frames: RGB (H, W, 3) uint8; total: how many, None where it has no end; rate: frames
    a second; size: width and height in pixels."""

    frames: Iterator[np.ndarray]
    total: int | None
    rate: float
    size: tuple[int, int]


def media_of(given: Sequence[str]) -> list[Medium]:
    """What the arguments of --predict name, the files of folders in the order of their names. Raises InputError."""
    found: list[Medium] = []
    for text in given:
        if text.isdecimal() and not Path(text).exists():
            found.append(Medium(text, moving=True))
        elif "://" in text:
            found.append(Medium(text, moving=not _is_picture(text)))
        else:
            found += [_of_file(file) for path in _matches(Path(text).expanduser()) for file in _files(path)]
    return list(dict.fromkeys(found))


def _of_file(file: Path) -> Medium:
    return Medium(str(file), moving=file.suffix.lower() in VIDEO_SUFFIXES)


def _files(path: Path) -> list[Path]:
    known = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    if path.is_dir():
        return files_in(path, known, "neither images nor videos")
    if not path.is_file():
        raise InputError(
            f"There is no file {path}: --predict takes images, folders, videos, patterns, addresses and numbers of cameras"
        )
    if path.suffix.lower() not in known:
        raise InputError(f"{path} is neither an image nor a video by its suffix")
    return [path]


def _matches(path: Path) -> list[Path]:
    """The files and folders that a pattern with *, ? or [ names, in order; a path that exists or is no pattern itself."""
    if path.exists() or not any(character in str(path) for character in "*?["):
        return [path]
    root = Path(path.anchor)
    matches = sorted(root.glob(str(path.relative_to(root))))
    if not matches:
        raise InputError(f"Nothing matches {path}")
    return matches


def _is_picture(address: str) -> bool:
    """Whether an address is that of a picture: by its suffix, or by what its server says. Raises InputError."""
    parts = urlsplit(address)
    suffix = PurePath(parts.path).suffix.lower()
    if parts.scheme not in _OF_PICTURES or suffix in VIDEO_SUFFIXES:
        return False
    if suffix in IMAGE_SUFFIXES:
        return True
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            return answer.headers.get_content_maintype() == "image"
    except (OSError, ValueError) as error:
        raise InputError(f"{address} cannot be fetched ({_reason(error)})") from error


def read_picture(medium: Medium) -> np.ndarray:
    """A picture as RGB (H, W, 3) uint8. Raises InputError, BrokenImageError where it is none or its server has none."""
    if not medium.address:
        return read_image(Path(medium.source))
    try:
        with urllib.request.urlopen(medium.source, timeout=_SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError) as error:
        reason = f"cannot be fetched ({_reason(error)})"
        raise BrokenImageError(f"{medium} {reason}", medium.path, reason) from error
    try:
        return decoded_image(medium.path, content)
    except BrokenImageError as error:
        message = f"{medium} is no image that can be read ({error.reason})"
        raise BrokenImageError(message, medium.path, error.reason) from error


def _reason(error: Exception) -> str:
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return f"{error.reason}"
    return f"{error}"


@contextmanager
def opened(medium: Medium) -> Iterator[Film]:
    """A video, stream or camera. Raises InputError where it cannot be opened."""
    video = cv2.VideoCapture(int(medium.source) if medium.camera else medium.source)
    try:
        if not video.isOpened():
            raise InputError(_unopened(medium))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = video.get(cv2.CAP_PROP_FPS)
        endless = medium.camera or medium.address or total <= 0
        yield Film(_frames(video), None if endless else total, rate if rate > 0 else _USUAL_RATE, size)
    finally:
        video.release()


def _unopened(medium: Medium) -> str:
    if medium.camera:
        return f"Camera {medium.source} cannot be opened: is it there, and does no other program hold it?"
    if medium.address:
        return f"{medium} cannot be opened: is it the address of a picture or a stream, and does its server answer?"
    return f"{medium} is no video that can be read"


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, frame = video.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


@contextmanager
def written(file: Path, rate: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    """A video of frames of a size (width, height), under a temporary name until the block ends; an interrupt keeps what was
    written. Raises InputError."""
    temporary = file.with_name(f".{file.stem}.part{file.suffix}")
    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    try:
        if not writer.isOpened():
            raise InputError(f"No video can be written to {file.parent}")
        yield writer
    except Exception:
        writer.release()
        temporary.unlink(missing_ok=True)
        raise
    finally:
        writer.release()
        if temporary.exists():
            temporary.replace(file)
