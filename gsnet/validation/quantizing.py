"""A classifier in int8, beside itself in float32: size, time, outputs and top-1; kept only where it still tells the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

from gsnet.data.class_folder import ClassFolder, folder_of_network, read_picture
from gsnet.interface.files import check_writable
from gsnet.interface.options import InputError
from gsnet.models.expected import ExpectedInput
from gsnet.models.exporting import FORMATS, ExportError, converted, files_of, keep, told_in_a_sentence
from gsnet.runtimes import Session, Settings, runtime
from gsnet.runtimes.fusing import fused
from gsnet.runtimes.int8 import INT8, to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.validation.images import transform
from gsnet.validation.int8_options import INT8_FORMATS, Bounds
from gsnet.validation.measure import prepared

# How many images decide the scales at most, and how many are compared.
MOST_CALIBRATED, MOST_COMPARED = 200, 1000
_AT_ONCE = 16
_REPEATS, _PRECISION = 200, 0.02


@dataclass(frozen=True)
class Figures:
    """One form of the network: bytes of its files, seconds an image with one thread, and what it says of the images.

    output_error: root of the mean squared difference of outputs to torch's, relative to the root of these outputs' mean square.
    top1: per cent, None without classes. same_class: per cent of images of which it says the same class as torch.
    """

    name: str
    size: int
    seconds: float
    output_error: float
    same_class: float
    top1: float | None

    def to_dict(self) -> dict[str, Any]:
        """As --json has them."""
        return asdict(self)


@dataclass(frozen=True)
class Pictures:
    """Prepared images (N, 3, side, side), and their labels where they lie in class folders."""

    images: np.ndarray
    labels: np.ndarray | None

    def at(self, places: Sequence[int]) -> Pictures:
        """Some of them."""
        chosen = list(places)
        return Pictures(self.images[chosen], None if self.labels is None else self.labels[chosen])


def read_pictures(folder: Path, expected: ExpectedInput, names: tuple[str, ...] = ()) -> Pictures:
    """The pictures of a folder, or of its folders of classes, as a network expects them; evenly spread where there are many.

    names: of the network's classes, by whose order folders count where they are known. Raises InputError, BrokenImageError.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder: --calibration takes one with pictures, or with a folder of pictures a class"
        )
    files: list[tuple[Path, int]] = [
        (file, -1) for file in sorted(folder.iterdir()) if has_file_allowed_extension(file.name, IMG_EXTENSIONS)
    ]
    labelled = not files
    if labelled:
        classes = folder_of_network(folder, None, names) if names else ClassFolder(folder, None)
        if len(classes.class_to_idx) != expected.classes:
            raise InputError(
                f"{folder} has {len(classes.class_to_idx)} classes, the network {expected.classes}: give pictures of its own "
                "classes, or a folder of pictures without classes"
            )
        files = [(Path(file), label) for file, label in classes.samples]
    most = MOST_CALIBRATED + MOST_COMPARED
    if len(files) > most:
        files = [files[place * len(files) // most] for place in range(most)]
    prepare, side = transform(expected), expected.resolution
    images = [
        prepared(prepare(read_picture(file))[None], side, torch.float32, torch.preserve_format) for file, _ in files
    ]
    labels = np.array([label for _, label in files]) if labelled else None
    return Pictures(torch.cat(images).numpy(), labels)


def halves(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """Those that decide the scales, and others to compare outputs on; the same where there is only one."""
    count = len(pictures.images)
    if count == 1:
        return pictures, pictures
    step = max(2, -(-count // MOST_CALIBRATED))
    calibrated = range(0, count, step)
    others = [place for place in range(count) if place % step][:MOST_COMPARED]
    return pictures.at(calibrated), pictures.at(others)


def export_int8(
    network: nn.Module,
    file: Path,
    kind: str,
    expected: ExpectedInput,
    pictures: Pictures,
    bounds: Bounds,
    texts: Mapping[str, str] | None = None,
    *,
    fuse: bool = True,
) -> list[Figures]:
    """Write a network in int8 as one of `INT8_FORMATS`; returns the figures of the float32 file and of the int8 one.

    What is there stays as it was where top-1 (outputs, without classes) changes beyond the bounds. Raises ExportError, with
    both rows in its sentence, and InputError as `gsnet.models.exporting.export` does. fuse: as there.
    """
    if kind not in INT8_FORMATS:
        raise InputError(f"int8 is written as {' or '.join(INT8_FORMATS)}, not as {kind}: choose one of them")
    for name in ("onnxruntime", FORMATS[kind]):
        runtime(name).require(writing=True)
    network, program = network.eval().cpu().float(), runtime(FORMATS[kind])
    files = files_of(file, kind)
    check_writable(file)
    calibrated, compared = halves(pictures)
    side = (expected.resolution, expected.resolution)
    told = _outputs(compared.images, lambda batch: network(torch.from_numpy(batch)).numpy())
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        floats, integers = (Path(folder) / f"{name}.onnx" for name in ("fp32", INT8))
        rows = []
        with told_in_a_sentence(kind):
            # Integer operators take any width; of normalisation there is none in integers, but for a convolution.
            rewritten = fused(network, side, 1, norms_as_convolutions=True) if fuse else network
            write_onnx(rewritten, floats, side)
            shutil.copy(floats, integers)
            to_int8(integers, calibrated.images)
            for graph in (floats, integers):
                parts = converted(graph, kind, dict(texts or {}))
                rows.append(_figures(graph.stem, program.load(parts[0], Settings()), parts, compared, told))
        _check(rows, bounds, kind)
        keep(parts, files)
    return rows


@torch.inference_mode()
def _outputs(images: np.ndarray, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([run(images[start : start + _AT_ONCE]) for start in range(0, len(images), _AT_ONCE)])


def _figures(name: str, session: Session, parts: list[Path], compared: Pictures, told: np.ndarray) -> Figures:
    found = _outputs(compared.images, session.run)
    error = float(np.sqrt(np.square(found - told).mean() / max(float(np.square(told).mean()), 1e-24)))
    classes = found.argmax(1)
    same = 100 * float((classes == told.argmax(1)).mean())
    top1 = None if compared.labels is None else 100 * float((classes == compared.labels).mean())
    seconds = session.time(compared.images[:1], _REPEATS, _PRECISION).median
    return Figures(name, sum(part.stat().st_size for part in parts), seconds, error, same, top1)


def _check(rows: list[Figures], bounds: Bounds, kind: str) -> None:
    before, after = rows
    if before.top1 is not None and after.top1 is not None:
        lost, allowed, what = before.top1 - after.top1, bounds.top1_points, "points of top-1"
    else:
        lost, allowed, what = after.output_error, bounds.output_error, "output error"
    if not lost <= allowed:
        raise ExportError(
            f"{table(rows)}\nint8 costs {lost:.3g} {what}, {allowed:g} are allowed: nothing is kept as {kind}"
        )


def table(rows: list[Figures]) -> str:
    """Both forms, a row each, and whether int8 is slower here."""
    line = "{:<6}{:>12}{:>12}{:>14}{:>12}{:>9}"
    lines = [line.format("", "bytes", "ms, 1 image", "output error", "same class", "top-1")]
    for row in rows:
        top1 = "-" if row.top1 is None else f"{row.top1:.2f}%"
        lines.append(
            line.format(
                row.name,
                f"{row.size:,}",
                f"{row.seconds * 1e3:.3f}",
                f"{row.output_error:.2g}",
                f"{row.same_class:.1f}%",
                top1,
            )
        )
    before, after = rows
    if after.seconds > before.seconds:
        lines.append(f"int8 is slower than float32 here: {after.seconds / before.seconds:.2f} times as long")
    return "\n".join(lines)
