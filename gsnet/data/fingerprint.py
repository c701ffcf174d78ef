"""What tells the images of a data set from others that may come to lie in the same place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset

from gsnet.data.class_folder import ClassFolder
from gsnet.data.kept_images import KeptImages
from gsnet.data.sharded import ShardedPictures


def fingerprint(images: Dataset) -> str:
    """A digest of how many images there are, and of names and sizes of the files that they lie in, as far as they are known.

    images: a data set of `gsnet.data`, kept in memory or not. Each file is asked for its size. Raises OSError.
    """
    if isinstance(images, KeptImages):
        images = images.pictures
    digest = hashlib.sha256(f"{len(images)}".encode())  # type: ignore[arg-type]
    for file, below in _files(images):
        digest.update(f"\n{below} {Path(file).stat().st_size}".encode())
    return digest.hexdigest()


def _files(images: Dataset) -> Iterator[tuple[str, str]]:
    """Files, and what they are called below the data set's folder."""
    if isinstance(images, ClassFolder):
        for file, _ in images.samples:
            yield file, file.removeprefix(str(images.root))
    elif isinstance(images, ShardedPictures):
        for shard in images.shards:
            yield str(shard), shard.name
