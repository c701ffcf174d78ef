"""A network's float32 graph beside its int8 graph: images for each, both as a format has them, and what int8 may cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gsnet.models.exporting import ExportError, converted
from gsnet.runtimes import Session, Settings, runtime
from gsnet.runtimes.formats import FORMATS

_REPEATS, _PRECISION = 200, 0.02


@dataclass(frozen=True)
class Measured:
    """One form of a network: bytes of its files, processor seconds an image with one thread, distance from float32's outputs.

    output_error: as `relative_error` has it.
    """

    name: str
    size: int
    seconds: float
    output_error: float

    def to_dict(self) -> dict[str, Any]:
        """As --json has them."""
        return asdict(self)

    def cells(self) -> dict[str, str]:
        """A row of the table, by the columns' titles."""
        return {
            "": self.name,
            "bytes": f"{self.size:,}",
            "ms, 1 image": f"{self.seconds * 1e3:.3f}",
            "output error": f"{self.output_error:.2g}",
        }


def per_cent(value: float | None, digits: int) -> str:
    """A cell of per cent; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}%"


def halves(count: int, most_calibrated: int, most_compared: int) -> tuple[list[int], list[int]]:
    """Places of the images that decide scales, and of others to compare outputs on; the same one where there is only one."""
    step = max(2, -(-count // most_calibrated))
    others = [place for place in range(count) if place % step or count == 1]
    return list(range(0, count, step)), others[:most_compared]


def both_forms(
    floats: Path, integers: Path, kind: str, texts: Mapping[str, str]
) -> Iterator[tuple[str, list[Path], Session]]:
    """Name, files and session of the float32 graph, then of the int8 one, in a format; the files lie beside the graphs.

    Raises RuntimesError, also where a runtime cannot bear the int8 graph.
    """
    program = runtime(FORMATS[kind])
    for graph in (floats, integers):
        parts = converted(graph, kind, texts)
        if graph is integers and kind == "openvino":
            from gsnet.runtimes.openvino_runtime import check_compiles

            check_compiles(parts[0])
        yield graph.stem, parts, program.load(parts[0], Settings())


def outputs_of(session: Session, images: np.ndarray) -> np.ndarray:
    """Outputs of images (N, 3, H, W), one after the other: OpenVINO compiles anew for each other number of images."""
    return np.concatenate([session.run(image[None]) for image in images])


def seconds_of(session: Session, images: np.ndarray, repeats: int = _REPEATS) -> float:
    """Seconds for the first of images, by the clock of the process.

    Both forms are timed one after the other: by the wall's, other programs would decide which of them is slower.
    """
    return session.time(images[:1], repeats, _PRECISION, time.process_time).median


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root of the mean squared difference of outputs, relative to the root of the expected ones' mean square."""
    return float(np.sqrt(np.square(found - expected).mean() / max(float(np.square(expected).mean()), 1e-24)))


def points_lost(before: float | None, after: float | None) -> float | None:
    """Of a figure in per cent; None where there is none."""
    return None if before is None or after is None else before - after


def check_loss(
    rows: Sequence[Measured], lost: float | None, allowed: float, what: str, kind: str, output_error: float
) -> None:
    """Raise ExportError, with the table below its sentence, where int8 costs more than allowed. what: is lost, and unit.

    Where nobody knows what is lost, None, the outputs decide: output_error of them is allowed.
    """
    if lost is None:
        lost, allowed, what = rows[-1].output_error, output_error, "output error"
    if not lost <= allowed:
        raise ExportError(
            f"int8 costs {lost:.3g} {what}, {allowed:g} are allowed: nothing is kept as {kind}\n{table(rows)}"
        )


def table(rows: Sequence[Measured]) -> str:
    """Both forms, a row each, and whether int8 is slower here, or larger."""
    cells = [row.cells() for row in rows]
    grid = [list(cells[0]), *(list(row.values()) for row in cells)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]
    before, after = rows
    if after.seconds > before.seconds:
        lines.append(f"int8 is slower than float32 here: {after.seconds / before.seconds:.2f} times as long")
    if after.size > before.size:
        lines.append(f"int8 is larger than float32: {after.size / before.size:.2f} times as many bytes")
    return "\n".join(lines)
