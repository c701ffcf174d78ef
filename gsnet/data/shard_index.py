"""Where the pictures of a tar archive lie, and of which class they are: found once, and remembered.

Looking through an archive takes some 20 microseconds a member, so a minute for as many pictures as ImageNet has. What was found
is kept below ~/.cache/gsnet (XDG_CACHE_HOME), and taken as long as the archive has the size and the time that it had.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from gsnet.data.passed_over import in_words, lies_hidden, suffixes_of
from gsnet.interface.files import written_whole
from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
_LABEL = ".cls"
_FORMAT = 4
# No data set has so many; larger numbers are something else, and would make as many classes.
_MOST_CLASSES = 1_000_000
# Archives end in blocks of zeros, which fill up the last record: of 10 KB as tar writes them, seldom of more than this.
_LONGEST_END = 1 << 20


@dataclass(frozen=True)
class ShardIndex:
    """The pictures of one archive in its order.

    first, size: of each picture's bytes in the archive, (pictures,). folders: names of the folders that pictures lie in, where
    these are their classes; none where labels are told. labels: numbers that KEY.cls tell or places in `folders`, (pictures,).
    passed_over: how many members of each suffix are not read, those aside that belong to a picture's sample.
    """

    first: np.ndarray
    size: np.ndarray
    labels: np.ndarray
    folders: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)


def index_of(shard: Path) -> ShardIndex:
    """What an archive holds. Raises InputError where that is no tar archive, or its pictures have no classes."""
    state = shard.stat()
    stamp = f"{_FORMAT} {state.st_size} {state.st_mtime_ns}"
    kept = _kept_in(shard)
    known = _remembered(kept, stamp)
    if known is None:
        known = _looked_through(shard)
        _remember(kept, stamp, known)
    return known


def member_at(shard: Path, first: int) -> str:
    """The name of the member whose bytes begin at a place of an archive."""
    with tarfile.open(shard, "r:") as archive:
        return next((member.name for member in archive if member.offset_data == first), f"byte {first}")


def _looked_through(shard: Path) -> ShardIndex:
    pictures: list[tuple[PurePosixPath, int, int]] = []
    others: list[PurePosixPath] = []
    told: dict[str, int] = {}
    named: dict[str, PurePosixPath] = {}
    try:
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as content:
            for member in archive:
                path = PurePosixPath(member.name)
                if lies_hidden(path) or not (member.isfile() or member.islnk() or member.issym()):
                    continue
                if path.suffix.lower() in IMG_EXTENSIONS:
                    _check_stored(member, shard)
                    pictures.append((path, member.offset_data, member.size))
                elif path.suffix.lower() == _LABEL and member.isfile():
                    if _key(path) in told:
                        raise InputError(_two_classes(shard, named[_key(path)], path))
                    named[_key(path)] = path
                    told[_key(path)] = _number(content, member, shard)
                else:
                    others.append(path)
            _check_end(content, archive.offset, shard)
    except (tarfile.TarError, EOFError) as error:
        if pictures or told:
            raise InputError(
                f"{shard} has no end: it was cut or damaged ({error}), so pack or copy it again"
            ) from error
        raise InputError(f"{shard} is no tar archive that can be read ({error}): compressed ones are not") from error
    samples = {_key(path) for path, *_ in pictures}
    passed_over = suffixes_of(path for path in others if _key(path) not in samples)
    if not pictures:
        raise InputError(f"{shard} has no pictures in it" + (f", but {in_words(passed_over)}" if passed_over else ""))
    places = np.array([place for _, *place in pictures], dtype=np.int64)
    labels, folders = _classes(shard, [path for path, *_ in pictures], told)
    return ShardIndex(places[:, 0], places[:, 1], np.array(labels, dtype=np.int64), folders, passed_over)


def _two_classes(shard: Path, first: PurePosixPath, second: PurePosixPath) -> str:
    """What is wrong with two classes of one sample."""
    if first == second:
        return f"{shard} has {first} twice: each sample needs a KEY of its own"
    return (
        f"{shard} has {first} and {second}, which are of one sample, {_key(first)}: a KEY ends at the first dot of a name, so "
        "write dots within it otherwise"
    )


def _check_stored(member: tarfile.TarInfo, shard: Path) -> None:
    """Raise InputError where the bytes of a picture are not those behind its header: it would be missing without a word."""
    if member.islnk() or member.issym():
        raise InputError(
            f"{shard}: {member.name} is a link to {member.linkname}: pack pictures with tar --dereference --hard-dereference"
        )
    if member.issparse():
        raise InputError(f"{shard}: {member.name} is packed with holes in it: pack pictures without --sparse")


def _check_end(content: IO[bytes], offset: int, shard: Path) -> None:
    """Raise InputError unless there is an end where reading stopped, and nothing after it; `tarfile` itself does not ask."""
    content.seek(offset)
    end = content.read(_LONGEST_END)
    if end[: tarfile.BLOCKSIZE].count(0) == tarfile.BLOCKSIZE:
        if end.count(0) < len(end):
            raise InputError(
                f"{shard} has more behind its end, as cat makes of archives: join them with tar --concatenate"
            )
        return
    raise InputError(f"{shard} has no end: it was cut or damaged at byte {offset:,}, so pack or copy it again")


def _classes(shard: Path, pictures: list[PurePosixPath], told: dict[str, int]) -> tuple[list[int], tuple[str, ...]]:
    if told:
        _check_once(shard, pictures, _key)
        silent = [path for path in pictures if _key(path) not in told]
        if silent:
            raise InputError(f"{shard}: {silent[0]} has no {_key(silent[0])}{_LABEL} beside it, as others have")
        return [told[_key(path)] for path in pictures], ()
    names = [path.parent.name for path in pictures]
    if "" in names:
        path = pictures[names.index("")]
        raise InputError(
            f"{shard}: {path} is of no class: it lies in no folder of one, and there is no {_key(path)}{_LABEL}"
        )
    _check_once(shard, pictures, str)
    other = next((path for path in pictures if path.parent.parent != pictures[0].parent.parent), None)
    if other is not None:
        raise InputError(
            f"{shard}: {pictures[0]} and {other} do not both lie in CLASS/IMAGE: all folders of classes belong into one folder"
        )
    folders = tuple(sorted(set(names)))
    label_of = {name: label for label, name in enumerate(folders)}
    return [label_of[name] for name in names], folders


def _check_once(shard: Path, pictures: list[PurePosixPath], key: Callable[[PurePosixPath], str]) -> None:
    """Raise InputError where two pictures have one key: as tar unpacks them the later one replaces the earlier one."""
    first: dict[str, PurePosixPath] = {}
    for path in pictures:
        known = first.setdefault(key(path), path)
        if known is not path:
            which = f"{path} twice" if known == path else f"{known} and {path}, which are one sample"
            raise InputError(f"{shard} holds {which}: leave one picture of them in it")


def _key(path: PurePosixPath) -> str:
    """What the members of one sample have in common: their name up to its first dot, as WebDataset has it."""
    return str(path.with_name(path.name.partition(".")[0]))


def _number(content: IO[bytes], member: tarfile.TarInfo, shard: Path) -> int:
    content.seek(member.offset_data)
    text = content.read(min(member.size, 20)).decode("utf-8", "replace").strip()
    if not text.isdecimal() or int(text) >= _MOST_CLASSES:
        raise InputError(f"{shard}: {member.name} holds {text!r}: the number of a class is expected, from 0")
    return int(text)


def _kept_in(shard: Path) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gsnet/shards"
    return folder / f"{hashlib.sha256(str(shard.resolve()).encode()).hexdigest()[:32]}.npz"


def _remembered(kept: Path, stamp: str) -> ShardIndex | None:
    try:
        with np.load(kept, allow_pickle=False) as found:
            if str(found["stamp"]) != stamp:
                return None
            passed_over = dict(zip(found["suffixes"].tolist(), found["passed_over"].tolist(), strict=True))
            folders = tuple(found["folders"].tolist())
            return ShardIndex(found["first"], found["size"], found["labels"], folders, passed_over)
    # Not there, or left by a computer that lost its power.
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _remember(kept: Path, stamp: str, index: ShardIndex) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(kept, "wb") as file:
            folders = np.array(index.folders, dtype=np.str_)
            suffixes = np.array(list(index.passed_over), dtype=np.str_)
            passed_over = np.array(list(index.passed_over.values()), dtype=np.int64)
            members = {"first": index.first, "size": index.size, "labels": index.labels, "passed_over": passed_over}
            np.savez(file, stamp=stamp, folders=folders, suffixes=suffixes, **members)  # type: ignore[arg-type]
    except OSError as error:
        _LOG.info("What %s holds is looked up again next time: %s", kept, error)
