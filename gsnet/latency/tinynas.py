"""The text format of TinyNAS's latency libraries: `{type,batch,inC,H,W,outC,k,stride,fused} milliseconds`.

Such a library holds convolutions, with normalisation and activation folded in; fused says whether a residual link is added
by the same kernel. A time of -1 is a layer that could not be measured.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from pathlib import Path

from gsnet.latency.errors import LatencyError
from gsnet.latency.layers import DEPTHWISE, REGULAR, Layer

_FIELDS = 9


def read_tinynas(path: Path) -> Iterator[tuple[Layer, float | None]]:
    """Layers and their seconds for one batch, None where measuring failed; the file may be compressed (.gz).

    Raises LatencyError with the number of the line that is not in the format, OSError.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse(line, path, number)
    except (gzip.BadGzipFile, UnicodeDecodeError, EOFError) as error:
        raise LatencyError(f"{path} is no TinyNAS latency library: {error}") from error


def _parse(line: str, path: Path, number: int) -> tuple[Layer, float | None]:
    key, closing, time = line.strip().removeprefix("{").partition("}")
    parts = key.split(",")
    try:
        milliseconds = float(time)
        numbers = [int(part) for part in parts[1:]]
    except ValueError:
        numbers, milliseconds = [], math.nan
    if not closing or len(parts) != _FIELDS or not numbers or parts[0] not in (REGULAR, DEPTHWISE):
        raise LatencyError(
            f"{path}, line {number}: not of the form {{type,batch,inC,H,W,outC,k,stride,fused}} milliseconds"
        )
    return Layer(parts[0], *numbers), milliseconds / 1000 if milliseconds > 0 else None
