"""Photographs that are decoded once and stay in memory, for trainings that see few of them often."""

from __future__ import annotations

from pathlib import Path

from gsnet.detection.preprocessing import Picture, read_picture, shown_smaller


class KeptPictures:
    """Photographs as they were decoded, each read once as long as they take at most `room` bytes; the others are read anew.

    One that is shown at half its size or less is read anew too: decoded smaller its pixels are others, and a training has the
    same bits with kept photographs as without. Nobody may write into what this returns. Each process keeps its own.
    """

    def __init__(self, room: float = 0) -> None:
        self.room, self.bytes = room, 0
        self._kept: dict[tuple[Path, tuple[int, int]], Picture] = {}

    def read(self, file: Path, size: tuple[int, int], scale: float) -> Picture:
        """What `read_picture` returns, and raises."""
        if shown_smaller(scale):
            return read_picture(file, size, scale)
        kept = self._kept.get((file, size))
        if kept is not None:
            return kept
        picture = read_picture(file, size, scale)
        if self.bytes + picture.image.nbytes <= self.room:
            self.bytes += picture.image.nbytes
            self._kept[file, size] = picture
        return picture
