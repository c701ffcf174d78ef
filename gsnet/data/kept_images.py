"""Images that are decoded once and stay in memory as they were decoded, 8 bits a channel.

What is made of an image afterwards is made of the same pixels: a training with kept images has the same bits as without.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gsnet.data.reading import read_by_threads
from gsnet.data.skipping import BrokenSplit
from gsnet.interface.words import duration

_LOG = logging.getLogger(__name__)
# Images lie one after the other in pieces of this size: reading processes that are forked share them with this one, which
# arrays of their own, next to counters that change, would not be for long.
_PIECE = 1 << 26


def pixels_of(image: Image.Image) -> np.ndarray:
    """An image as (height, width, 3) of 8 bits."""
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


class KeptImages(Dataset[tuple[Tensor, int]]):
    """A data set whose images, once kept, are not read again.

    pictures: pairs of what `pixels_of` gives and a label, as `data_set` has them with that as transform. transform: from a PIL
    image to a tensor. room: bytes of images that are kept; what does not fit is read anew each time.
    """

    def __init__(self, pictures: Dataset, transform: v2.Transform, room: float) -> None:
        self.pictures, self.transform, self.room = pictures, transform, room
        # What a data set says of its images, where it does.
        for name in ("classes", "targets"):
            if hasattr(pictures, name):
                setattr(self, name, getattr(pictures, name))
        self._pieces: list[np.ndarray] = []
        self._end = 0
        # Of each image the piece, its first byte there, height, width and label; -1 where it is not kept.
        self._places = np.full((len(self), 5), -1, dtype=np.int64)
        self.bytes, self._full = 0, False

    def __len__(self) -> int:
        return len(self.pictures)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels, label = self.pixels(index)
        return self.transform(Image.fromarray(pixels)), label

    def pixels(self, index: int) -> tuple[np.ndarray, int]:
        """An image as (height, width, 3) of 8 bits, and its label. Raises BrokenImageError where it is read and broken."""
        piece, first, height, width, label = self._places[index].tolist()
        if piece < 0:
            return self.pictures[index]
        return self._pieces[piece][first : first + 3 * height * width].reshape(height, width, 3), label

    @property
    def kept(self) -> int:
        """How many images are in memory."""
        return int((self._places[:, 0] >= 0).sum())

    def keep(self, indices: Sequence[int], split: BrokenSplit, threads: int) -> None:
        """Read images, by so many threads, and keep those that there is room for.

        Broken ones are noted in their data set. Raises BrokenImageError where more of them are than may be gone past.
        """
        begin = time.perf_counter()
        read = partial(split.or_none, read=self.pictures.__getitem__)
        for chunk in read_by_threads(indices, read, threads, f"{split.name} images"):
            for index, picture in chunk:
                if picture is not None:
                    self._put(index, *picture)
            if self._full:
                break
        self._say(indices, split.name, time.perf_counter() - begin)

    def _put(self, index: int, pixels: np.ndarray, label: int) -> None:
        size = pixels.size
        self._full = self._full or self.bytes + size > self.room
        if self._full:
            return
        if not self._pieces or self._end + size > len(self._pieces[-1]):
            self._pieces.append(np.empty(max(size, _PIECE), dtype=np.uint8))
            self._end = 0
        self._pieces[-1][self._end : self._end + size] = pixels.reshape(-1)
        self._places[index] = (len(self._pieces) - 1, self._end, *pixels.shape[:2], label)
        self._end += size
        self.bytes += size

    def _say(self, indices: Sequence[int], name: str, seconds: float) -> None:
        kept = self.kept
        others = "are read as they come" if self._full else "cannot be read"
        rest = "" if kept == len(indices) else f" of {len(indices):,}, the others {others}"
        _LOG.info(
            "%s %s images are kept in memory, %.1f MB (%s)%s",
            f"{kept:,}",
            name,
            self.bytes / 1e6,
            duration(seconds),
            rest,
        )
