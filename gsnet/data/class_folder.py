"""Folders of pictures, one a class, of which the training folder decides what the classes are and how they count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes
from torchvision.transforms import v2

from gsnet.data.broken import BrokenImageError
from gsnet.interface.options import InputError, named_few

# Orientations of EXIF data that are not upright.
_TURNED = range(2, 9)


def read_picture(file: str | Path) -> Image.Image:
    """A picture as RGB of 8 bits, turned as its EXIF data says, as viewers show it. Raises BrokenImageError."""
    try:
        with Image.open(file) as picture:
            picture.load()
            found = eight_bits(upright(picture))
            # Pillow's conversion copies what is RGB already, which takes twice as long as decoding a large picture.
            return found if found.mode == "RGB" else found.convert("RGB")
    except FileNotFoundError as error:
        raise BrokenImageError(f"There is no file {file}", Path(file), "not there") from error
    except MemoryError:
        raise
    # Of damaged files the readers of Pillow raise errors of every kind: struct.error, IndexError, zlib.error, …
    except Exception as error:
        reason = "no picture in it" if isinstance(error, UnidentifiedImageError) else f"{error}".split("\n")[0]
        raise BrokenImageError(f"{file} is no picture that can be read ({reason})", Path(file), reason) from error


def upright(picture: Image.Image) -> Image.Image:
    """A loaded picture turned as its EXIF data says; itself where it stands upright or these data are damaged."""
    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
        return ImageOps.exif_transpose(picture) if turned else picture
    # Damaged data raise errors of every kind, struct.error among them; the picture is still one.
    except Exception:
        return picture


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits, as thermal cameras write, by the high byte of its greys, as OpenCV reads it; any other as it is.

    Pillow's own conversion cuts at 255, which makes nearly all of such a picture white.
    """
    if not picture.mode.startswith("I;16"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def training_classes(folder: Path) -> list[str] | None:
    """Names of the classes of a data set's training folder, in the order in which they count; None without one."""
    training = folder / "train"
    if not training.is_dir():
        return None
    try:
        return find_classes(training)[0]
    except FileNotFoundError:
        return None


class ClassFolder(datasets.ImageFolder):
    """Pictures in FOLDER/CLASS/IMAGE, labels by the place of the class in `names`; by default in the order of the alphabet.

    A class of `names` that the folder lacks, or that has no pictures, is a class without pictures. Raises InputError where
    the folder has a class that `names` lacks, where without `names` a class is empty, and where there is no picture at all.
    named_by: in the sentence about such a class, what has these names; by default the training folder beside this one.
    """

    def __init__(
        self,
        folder: Path,
        transform: v2.Transform | None,
        names: Sequence[str] | None = None,
        named_by: str | None = None,
    ) -> None:
        self.names = names
        self.named_by = named_by or f"the training folder {folder.parent / 'train'}"
        try:
            super().__init__(folder, transform, loader=read_picture, allow_empty=True)
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} has no CLASS/IMAGE below it: one folder of pictures a class is expected"
            ) from error
        filled = {label for _, label in self.samples}
        empty = [name for name, label in self.class_to_idx.items() if label not in filled]
        if not self.samples or (empty and names is None):
            kinds = ", ".join(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)
            raise InputError(f"{folder} has no pictures in {named_few(empty)}: {kinds} are read")

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Names and labels; see the class."""
        found, labels = super().find_classes(directory)
        if self.names is None:
            return found, labels
        if strange := sorted(set(found) - set(self.names)):
            raise InputError(
                f"{directory} has the class {named_few(strange)}, which {self.named_by} does not know: "
                "rename the folder, or take it away"
            )
        return list(self.names), {name: label for label, name in enumerate(self.names)}


def folder_of_network(folder: Path, transform: v2.Transform | None, names: Sequence[str]) -> ClassFolder:
    """Pictures whose classes count as those of a network that names them. Raises InputError as ClassFolder does."""
    return ClassFolder(folder, transform, names, f"the network (classes {named_few(names)})")
