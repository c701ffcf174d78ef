"""The text format of TinyNAS's latency libraries: `{type,batch,inC,H,W,outC,k,stride,fused} milliseconds`.

Such a library holds convolutions, with normalisation and activation folded in; fused says whether a residual link is added
by the same kernel. A time of -1 is a layer that could not be measured.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

from gsnet.latency.errors import LatencyError
from gsnet.latency.layer import ADDS_LINK, DEPTHWISE, REGULAR, Layer

_FIELDS = 9


def read_tinynas(path: Path) -> list[tuple[Layer, float | None]]:
    """Layers and their seconds for one batch, None where measuring failed; the file may be compressed (.gz).

    Raises LatencyError with the number of the line that is not in the format, and where there is none; OSError.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            found = [_parse(line, path, number) for number, line in enumerate(file, 1) if line.strip()]
    except (gzip.BadGzipFile, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise LatencyError(f"{path} is no TinyNAS latency library: {error}") from error
    if not found:
        raise LatencyError(f"{path} is no TinyNAS latency library: it holds no layer")
    return found


def _parse(line: str, path: Path, number: int) -> tuple[Layer, float | None]:
    key, closing, time = line.strip().removeprefix("{").partition("}")
    parts = key.split(",")
    try:
        milliseconds = float(time)
        numbers = [int(part) for part in parts[1:]]
    except ValueError:
        numbers, milliseconds = [], math.nan
    of_the_form = closing and len(parts) == _FIELDS and parts[0] in (REGULAR, DEPTHWISE) and math.isfinite(milliseconds)
    if not of_the_form or min(numbers[:-1]) < 1 or numbers[-1] not in (0, ADDS_LINK):
        raise LatencyError(
            f"{path}, line {number}: not of the form {{type,batch,inC,H,W,outC,k,stride,fused}} milliseconds"
        )
    return Layer(parts[0], *numbers), milliseconds / 1000 if milliseconds > 0 else None
