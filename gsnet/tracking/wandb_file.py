"""What the local files of a W&B run hold of its history.

Without a server nobody else can say: the library writes to them every quarter of a minute, so that what was logged shortly
before a kill is in no file, and a resumed run has to log it once more, but nothing else.

Such a file is a head of 7 bytes and then LevelDB's log format (github.com/google/leveldb, doc/log_format.md): blocks of 32 KiB
of records that are whole (type 1) or in parts (first 2, middle 3, last 4); each record is a protocol buffer of W&B's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_FILE_HEAD, _BLOCK = 7, 32768
# Checksum, length, type.
_RECORD_HEAD = struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def last_step_in(folder: Path, run: str) -> int:
    """The last step of history in the files of that run in W&B's local folder; 0 where there is none."""
    return max((step for file in folder.glob(f"*run-*-{run}/run-{run}.wandb") for step in _steps(file)), default=0)


def _steps(file: Path) -> Iterator[int]:
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for content in records(file.read_bytes()):
        try:
            record = Record.FromString(content)
        except DecodeError:
            return
        if record.HasField("history"):
            yield record.history.step.num


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file in their order, as far as they are whole."""
    place, parts = _FILE_HEAD, b""
    while place + _RECORD_HEAD.size <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _RECORD_HEAD.size:
            place += left
            continue
        _, length, kind = _RECORD_HEAD.unpack_from(content, place)
        place += _RECORD_HEAD.size
        if not kind or place + length > len(content):
            return
        parts += content[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""
