"""Pictures in tar archives, as WebDataset and tar itself write them: few large files in place of very many small ones.

A picture is found by its place, so that order, crops and what follows a kill are as of the same pictures in folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from gsnet.data.broken import BrokenImageError
from gsnet.data.pictures import Decoder, decoded
from gsnet.data.shard_index import ShardIndex, index_of, member_at
from gsnet.interface.options import InputError, named_few

NAMES = "classes.txt"


def shards_in(split: Path) -> list[Path]:
    """The archives in a split's folder, by their names. Raises InputError where it has folders of classes too."""
    found = sorted(split.glob("*.tar"))
    if found and any(entry.is_dir() and not entry.name.startswith(".") for entry in split.iterdir()):
        raise InputError(f"{split} holds tar archives and folders: leave there what is to be read alone")
    return found


def shard_classes(split: Path) -> list[str]:
    """Names of the classes in the order in which they count.

    Folders inside the archives in the order of the alphabet; where KEY.cls tell numbers, the lines of classes.txt in the folder
    above, and without that the numbers themselves, up to the largest that is told. Raises InputError.
    """
    return _names([index_of(shard) for shard in shards_in(split)], split)


class ShardedPictures(Dataset[tuple[Any, int]]):
    """The pictures of all archives in a folder, one archive after the other.

    transform: of a picture. names: of the classes as they count, by default those of `shard_classes`. decoder: from bytes to a
    picture. Raises InputError where a picture's class is none of those.
    """

    def __init__(
        self, split: Path, transform: Any, names: Sequence[str] | None = None, decoder: Decoder = decoded
    ) -> None:
        self.shards, self.transform, self.decoder = shards_in(split), transform, decoder
        indices = [index_of(shard) for shard in self.shards]
        self.root, self.classes = split, list(names) if names is not None else _names(indices, split)
        # Numbers that archives tell are those of a network, whatever classes there are; folders count by names.
        self.names = names if any(index.folders for index in indices) else self.classes
        self._shard = np.repeat(np.arange(len(indices)), [len(index) for index in indices])
        self._first = np.concatenate([index.first for index in indices])
        self._size = np.concatenate([index.size for index in indices])
        self._labels = np.concatenate(
            [self._counted(index, shard) for index, shard in zip(indices, self.shards, strict=True)]
        )

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        picture = self.picture(place)
        return picture if self.transform is None else self.transform(picture), int(self._labels[place])

    @property
    def targets(self) -> list[int]:
        """The label of every picture."""
        return self._labels.tolist()

    def picture(self, place: int) -> Image.Image:
        """The picture at a place, unchanged. Raises BrokenImageError."""
        shard, first, size = self.shards[self._shard[place]], int(self._first[place]), int(self._size[place])
        try:
            with shard.open("rb") as archive:
                archive.seek(first)
                content = archive.read(size)
            return self.decoder(content, shard)
        except OSError as error:
            reason = error.strerror or f"{error}"
            raise BrokenImageError(f"{shard} cannot be read ({reason})", shard, reason) from error
        except BrokenImageError as error:
            name = member_at(shard, first)
            message = f"{name} in {shard} is no picture that can be read ({error.reason})"
            raise BrokenImageError(message, shard / name, error.reason) from error

    def _counted(self, index: ShardIndex, shard: Path) -> np.ndarray:
        """The labels of an archive as `classes` count."""
        if not index.folders:
            if len(index) and int(index.labels.max()) >= len(self.classes):
                raise InputError(f"{shard} has a picture of class {index.labels.max()}: there are {len(self.classes)}")
            return index.labels
        if strange := sorted(set(index.folders) - set(self.classes)):
            raise InputError(f"{shard} has the class {named_few(strange)}, which is none of those that are known")
        return np.array([self.classes.index(name) for name in index.folders])[index.labels]


def _names(indices: Sequence[ShardIndex], split: Path) -> list[str]:
    by_folder = {bool(index.folders) for index in indices}
    if len(by_folder) > 1:
        raise InputError(f"{split}: some archives tell classes by folders, others by KEY.cls: choose one way")
    if by_folder == {True}:
        return sorted({name for index in indices for name in index.folders})
    count = max((int(index.labels.max()) + 1 for index in indices), default=0)
    told = split.parent / NAMES
    names = told.read_text(encoding="utf-8").split("\n") if told.is_file() else []
    names = [name.strip() for name in names if name.strip()] or [str(label) for label in range(count)]
    if len(names) < count:
        raise InputError(f"{told} names {len(names)} classes, and a picture is of class {count - 1}")
    return names
