"""Pictures in tar archives, as WebDataset and tar itself write them: few large files in place of very many small ones.

A picture is found by its place, so that order, crops and what follows a kill are as of the same pictures in folders.
"""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from gsnet.data.broken import BrokenImageError
from gsnet.data.passed_over import in_words
from gsnet.data.pictures import Decoder, decode, decoded
from gsnet.data.shard_index import ShardIndex, index_of, member_at
from gsnet.interface.options import InputError, named_few

_LOG = logging.getLogger(__name__)
NAMES = "classes.txt"
# Endings of compressed archives, and what makes a plain one in the place of each.
_COMPRESSED = {
    (".tar.gz", ".tgz"): "gunzip",
    (".tar.bz2", ".tbz2", ".tbz"): "bunzip2",
    (".tar.xz", ".txz"): "unxz",
    (".tar.zst", ".tzst"): "unzstd --rm",
}


def shards_in(split: Path) -> list[Path]:
    """The archives in a split's folder, by their names.

    Raises InputError where it has folders of classes too, and for compressed archives unless there are such folders alone.
    """
    found = sorted(file for file in split.iterdir() if _is_shard(file))
    folders = any(entry.is_dir() and not entry.name.startswith(".") for entry in split.iterdir())
    if found and folders:
        raise InputError(f"{split} holds tar archives and folders: leave there what is to be read alone")
    if not folders:
        _refuse_compressed(split)
    return found


def _refuse_compressed(split: Path) -> None:
    """Raise InputError for a compressed archive, of which nothing would be read."""
    for file in sorted(split.iterdir()):
        for endings, command in _COMPRESSED.items():
            if file.name.lower().endswith(endings) and not file.name.startswith("."):
                raise InputError(
                    f"{file} is compressed, and pictures are read at their places in an archive, which a compressed one "
                    f"does not have: make a plain .tar of it by {command} {shlex.quote(str(file))}"
                )


def _is_shard(file: Path) -> bool:
    # Hidden ones are what macOS notes of a file on other file systems.
    return file.suffix.lower() == ".tar" and not file.name.startswith(".") and not file.is_dir()


def shard_classes(split: Path) -> list[str]:
    """Names of the classes in the order in which they count.

    Folders inside the archives in the order of the alphabet; where KEY.cls tell numbers, the lines of classes.txt in the folder
    above, and without that the numbers themselves, up to the largest that is told. Raises InputError.
    """
    return _names([index_of(shard) for shard in shards_in(split)], split)


class ShardedPictures(Dataset[tuple[Any, int]]):
    """The pictures of all archives in a folder, one archive after the other.

    transform: of a picture. names: of the classes as they count, by default those of `shard_classes`; numbers are places among
    them, unless classes.txt says of which names they are. decoder: from bytes to a picture. Raises InputError where a
    picture's class is none of those.
    """

    def __init__(
        self, split: Path, transform: Any, names: Sequence[str] | None = None, decoder: Decoder = decoded
    ) -> None:
        self.shards, self.transform, self.decoder = shards_in(split), transform, decoder
        indices = [index_of(shard) for shard in self.shards]
        if passed_over := sum((Counter(index.passed_over) for index in indices), Counter()):
            kinds = ", ".join(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)
            _LOG.warning("%s: passed over in archives: %s; %s are read", split, in_words(passed_over), kinds)
        self.root, self.classes = split, list(names) if names is not None else _names(indices, split)
        # Numbers that archives tell are those of a network, whatever classes there are; folders count by names.
        self.names = names if any(index.folders for index in indices) else self.classes
        self._shard = np.repeat(np.arange(len(indices)), [len(index) for index in indices])
        self._first = np.concatenate([index.first for index in indices])
        self._size = np.concatenate([index.size for index in indices])
        told = _told_names(split) if names is not None else []
        self._labels = np.concatenate(
            [self._counted(index, shard, told) for index, shard in zip(indices, self.shards, strict=True)]
        )

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        picture = self.picture(place)
        # What is decoded no earlier than it is changed is found to be broken no earlier.
        with self._named(place):
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
        except OSError as error:
            reason = error.strerror or f"{error}"
            raise BrokenImageError(f"{shard} cannot be read ({reason})", shard, reason) from error
        with self._named(place):
            return self.decoder(content, shard)

    def look_at(self, place: int) -> None:
        """Decode all of the picture at a place. Raises BrokenImageError."""
        picture = self.picture(place)
        with self._named(place):
            decode(picture)

    @contextmanager
    def _named(self, place: int) -> Iterator[None]:
        """What is said here of the archive of a picture that is broken is said of the picture."""
        try:
            yield
        except BrokenImageError as error:
            shard = self.shards[self._shard[place]]
            if error.file != shard:
                raise
            name = member_at(shard, int(self._first[place]))
            message = f"{name} in {shard} is no picture that can be read ({error.reason})"
            raise BrokenImageError(message, shard / name, error.reason) from error

    def _counted(self, index: ShardIndex, shard: Path, told: Sequence[str]) -> np.ndarray:
        """The labels of an archive as `classes` count. told: what classes.txt calls its numbers, if it does."""
        names: Sequence[str] = index.folders
        if not names:
            if self._are_numbers_of(told):
                self._check_numbers(index, shard, len(self.classes))
                return index.labels
            self._check_numbers(index, shard, len(told))
            names = [told[label] for label in range(int(index.labels.max()) + 1)]
        if strange := sorted({names[label] for label in np.unique(index.labels)} - set(self.classes)):
            which = "class {}, which is none" if len(strange) == 1 else "classes {}, which are none"
            raise InputError(f"{shard} has the {which.format(named_few(strange))} of those that are known")
        # Of a class without pictures here the name need not be known.
        places = {name: label for label, name in reversed([*enumerate(self.classes)])}
        return np.array([places.get(name, -1) for name in names])[index.labels]

    def _are_numbers_of(self, told: Sequence[str]) -> bool:
        """Whether told numbers count as `classes` do: these have no other names that would say where they are."""
        return (
            not told or list(told) == self.classes or self.classes == [str(label) for label in range(len(self.classes))]
        )

    @staticmethod
    def _check_numbers(index: ShardIndex, shard: Path, classes: int) -> None:
        if int(index.labels.max()) >= classes:
            raise InputError(f"{shard} has a picture of class {index.labels.max()}: there are {classes}")


def _told_names(split: Path) -> list[str]:
    """The lines of classes.txt beside a split's folder; none without it. Raises InputError."""
    file = split.parent / NAMES
    if not file.is_file():
        return []
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not written in UTF-8") from error
    if "" in names:
        raise InputError(
            f"{file} has no name in line {names.index('') + 1}: each line is that of the class of its number"
        )
    return names


def _names(indices: Sequence[ShardIndex], split: Path) -> list[str]:
    by_folder = {bool(index.folders) for index in indices}
    if len(by_folder) > 1:
        raise InputError(f"{split}: some archives tell classes by folders, others by KEY.cls: choose one way")
    if by_folder == {True}:
        return sorted({name for index in indices for name in index.folders})
    count = max((int(index.labels.max()) + 1 for index in indices), default=0)
    names = _told_names(split) or [str(label) for label in range(count)]
    if len(names) < count:
        raise InputError(f"{split.parent / NAMES} names {len(names)} classes, and a picture is of class {count - 1}")
    return names
