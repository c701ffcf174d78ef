"""Folders of pictures, one a class, of which the training folder decides what the classes are and how they count."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import v2

from gsnet.data.passed_over import is_hidden
from gsnet.data.pictures import Decoder, content_of, decode, decoded
from gsnet.data.sharded import shard_classes, shards_in
from gsnet.interface.options import InputError, named_few

_LOG = logging.getLogger(__name__)
_KINDS = ", ".join(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)


def class_folders(split: Path) -> list[str]:
    """Names of the folders of classes, in the order of the alphabet; hidden ones, such as Jupyter makes, are none."""
    with os.scandir(split) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(Path(entry.name)))


def training_classes(folder: Path) -> list[str] | None:
    """Names of the classes of a data set's training folder, in the order in which they count; None without one.

    Raises InputError where it holds tar archives that cannot be read.
    """
    training = folder / "train"
    if not training.is_dir():
        return None
    if shards_in(training):
        return shard_classes(training)
    return class_folders(training) or None


class ClassFolder(datasets.ImageFolder):
    """Pictures in FOLDER/CLASS/IMAGE, labels by the place of the class in `names`; by default in the order of the alphabet.

    A class of `names` that the folder lacks, or that has no pictures, is a class without pictures. Hidden files, and what lies
    in hidden folders, are left alone; other files that are not read, in the folders of classes or beside them, are named in the
    log. Raises InputError where the folder has a class that `names` lacks, where without `names` a class is empty, and where
    there is no picture at all.
    named_by: in the sentence about such a class, what has these names; by default the training folder beside this one. decoder:
    from a file's bytes to a picture.
    """

    def __init__(
        self,
        folder: Path,
        transform: v2.Transform | None,
        names: Sequence[str] | None = None,
        named_by: str | None = None,
        decoder: Decoder = decoded,
    ) -> None:
        self.names, self.decoder = names, decoder
        self._passed_over: list[str] = []
        self.named_by = named_by or f"the training folder {folder.parent / 'train'}"
        try:
            super().__init__(folder, transform, loader=self._read, is_valid_file=self._is_picture, allow_empty=True)
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} has no CLASS/IMAGE below it: one folder of pictures a class is expected"
            ) from error
        filled = {label for _, label in self.samples}
        empty = [name for name, label in self.class_to_idx.items() if label not in filled]
        if not self.samples or (empty and names is None):
            raise InputError(f"{folder} has no pictures in {named_few(empty)}: {_KINDS} are read")
        self._passed_over += [entry.name for entry in folder.iterdir() if entry.is_file() and not is_hidden(entry)]
        if self._passed_over:
            _LOG.warning(
                "%s: files that are not read: %s (%s are)", folder, named_few(sorted(self._passed_over)), _KINDS
            )

    def picture(self, place: int) -> Image.Image:
        """The picture at a place, unchanged. Raises BrokenImageError."""
        return self._read(self.samples[place][0])

    def look_at(self, place: int) -> None:
        """Decode all of the picture at a place. Raises BrokenImageError."""
        decode(self.picture(place))

    def _is_picture(self, file: str) -> bool:
        below = file.removeprefix(str(self.root))
        # Of every one of perhaps a million files: Path would take minutes.
        if f"{os.sep}." in below:
            return False
        if file.lower().endswith(IMG_EXTENSIONS):
            return True
        if not is_hidden(Path(file)):
            self._passed_over.append(below.lstrip(os.sep))
        return False

    def _read(self, file: str) -> Image.Image:
        return self.decoder(content_of(Path(file)), Path(file))

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Names and labels; see the class."""
        found = class_folders(Path(directory))
        if not found:
            raise FileNotFoundError(f"{directory} has no folders of classes")
        if self.names is None:
            return found, {name: label for label, name in enumerate(found)}
        if strange := sorted(set(found) - set(self.names)):
            one = len(strange) == 1
            raise InputError(
                f"{directory} has the class{'' if one else 'es'} {named_few(strange)}, which {self.named_by} does not know: "
                + ("rename the folder, or take it away" if one else "rename the folders, or take them away")
            )
        return list(self.names), {name: label for label, name in enumerate(self.names)}


def folder_of_network(folder: Path, transform: v2.Transform | None, names: Sequence[str]) -> ClassFolder:
    """Pictures whose classes count as those of a network that names them. Raises InputError as ClassFolder does."""
    return ClassFolder(folder, transform, names, f"the network (classes {named_few(names)})")
