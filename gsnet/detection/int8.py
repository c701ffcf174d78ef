"""A detector in int8, beside itself in float32: size, time, outputs and AP50; kept only where it still finds the same."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsnet.detection.checkpoint import LoadedDetector
from gsnet.detection.classes import aligned
from gsnet.detection.coco_evaluation import evaluate_coco
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.export import BINS, BOXES, GRAPHS, Form, exported, texts_of
from gsnet.detection.exported import READERS
from gsnet.detection.image_files import images_in
from gsnet.detection.inference import Finder
from gsnet.detection.postprocess import VISDRONE
from gsnet.detection.preprocessing import MULTIPLE, read_image
from gsnet.detection.scene import SceneSet
from gsnet.detection.suppression_graph import add_suppression
from gsnet.interface.files import check_writable
from gsnet.interface.options import InputError
from gsnet.models.exporting import FORMATS, ExportError, converted, files_of, keep, told_in_a_sentence
from gsnet.runtimes import Session, Settings, runtime
from gsnet.runtimes.int8 import INT8, behind_convolutions, to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.validation.int8_options import Bounds

_LOG = logging.getLogger(__name__)
# How many images decide the scales at most, and how many are compared.
MOST_CALIBRATED, MOST_COMPARED = 100, 200
_AT_ONCE = 8
_REPEATS, _PRECISION = 100, 0.02


@dataclass(frozen=True)
class Figures:
    """One form of the detector: bytes of its files, seconds an image with one thread, and how it finds what the other finds.

    output_error: root of the mean squared difference of outputs to float32's, relative to the root of their mean square, of
    scores or of boxes, whichever is larger. ap50: per cent, up to 500 detections; None without labels.
    """

    name: str
    size: int
    seconds: float
    output_error: float
    ap50: float | None

    def to_dict(self) -> dict[str, Any]:
        """As --json has them."""
        return asdict(self)


@dataclass(frozen=True)
class Samples:
    """Files of images, and what they show where that is known: a scene for each."""

    files: tuple[Path, ...]
    truth: SceneSet | None = None

    def at(self, places: Sequence[int]) -> Samples:
        """Some of them."""
        truth = self.truth and replace(self.truth, scenes=tuple(self.truth.scenes[place] for place in places))
        return Samples(tuple(self.files[place] for place in places), truth)


def read_samples(path: Path, classes: tuple[str, ...]) -> Samples:
    """The images of a data set (the validation split of several) or of a folder; at most as many as are used, evenly spread.

    Raises InputError where there are none, and for a data set of other classes.
    """
    path = path.expanduser()
    try:
        truth = read_data_set(path, usual="val", skip_broken=None)
    except InputError as error:
        if not path.is_dir():
            raise
        _LOG.info("%s is taken for pictures without labels: %s", path, error)
        found = Samples(tuple(images_in(path)))
    else:
        like = SceneSet(classes, tuple(range(1, len(classes) + 1)), ())
        truth = aligned(truth, like, path)
        truth = replace(truth, scenes=tuple(scene for scene in truth.scenes if scene.image is not None))
        found = Samples(tuple(scene.image for scene in truth.scenes if scene.image is not None), truth)
    most, count = MOST_CALIBRATED + MOST_COMPARED, len(found.files)
    if not count:
        raise InputError(f"{path} has no images")
    return found.at([place * count // most for place in range(most)]) if count > most else found


def write_int8(loaded: LoadedDetector, file: Path, form: Form, samples: Samples, bounds: Bounds) -> list[Figures]:
    """Write a detector in int8; returns the figures of the float32 file and of the int8 one.

    What is behind the last convolutions, which makes boxes and scores, is computed in float32. Every second image decides the
    scales, the others compare. What is there stays as it was where AP50 (outputs, without labels) changes beyond the bounds.
    Raises ExportError, with both rows in its sentence, and InputError.
    """
    if form.kind not in GRAPHS:
        raise InputError(f"--int8 is of {' and '.join(GRAPHS)}, not of {form.kind}")
    for name in ("onnxruntime", FORMATS[form.kind]):
        runtime(name).require(writing=True)
    files, size = files_of(file, form.kind), (loaded.preprocessing.height, loaded.preprocessing.width)
    check_writable(file)
    count = len(samples.files)
    step = max(2, -(-count // MOST_CALIBRATED))
    calibrated = samples.at(range(0, count, step))
    compared = samples.at([place for place in range(count) if place % step or count == 1][:MOST_COMPARED])
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        floats, integers = (Path(folder) / f"{name}.onnx" for name in ("fp32", INT8))
        with told_in_a_sentence(form.kind):
            write_onnx(exported(loaded, form), floats, size, "predictions", MULTIPLE if form.dynamic else None)
            shutil.copy(floats, integers)
            to_int8(integers, _prepared(calibrated, loaded), behind_convolutions(floats))
            texts, rows = texts_of(loaded, form), []
            told: list[np.ndarray] = []
            for graph in (floats, integers):
                parts = converted(graph, form.kind, texts)
                session = runtime(FORMATS[form.kind]).load(parts[0], Settings())
                rows.append(_figures(graph.stem, session, parts, compared, loaded, form, told))
            if form.suppression is not None:
                add_suppression(integers, len(loaded.settings.classes), form.suppression)
        _check(rows, bounds, form.kind)
        keep(parts, files)
    return rows


def _prepared(samples: Samples, loaded: LoadedDetector) -> np.ndarray:
    """Images as inputs of one size (N, 3, H, W)."""
    preprocessing = replace(loaded.preprocessing, whole=True)
    return np.stack([preprocessing.apply(read_image(file))[0] for file in samples.files])


def _figures(
    name: str,
    session: Session,
    parts: Sequence[Path],
    samples: Samples,
    loaded: LoadedDetector,
    form: Form,
    told: list[np.ndarray],
) -> Figures:
    """told: the outputs of the first session of several, which this fills."""
    finder = Finder(
        lambda images: torch.from_numpy(session.run(images.numpy())),
        loaded.settings,
        replace(loaded.preprocessing, whole=True),
        VISDRONE,
        batch_size=_AT_ONCE,
        read=READERS[BOXES if form.with_boxes else BINS],
    )
    some = _prepared(samples.at(range(min(len(samples.files), _AT_ONCE))), loaded)
    outputs = session.run(some)
    told[:] = told or [outputs]
    first = 4 if form.with_boxes else len(loaded.settings.classes)
    error = max(_error(outputs[..., part], told[0][..., part]) for part in (slice(0, first), slice(first, None)))
    ap50 = None
    if samples.truth is not None:
        sizes = [(scene.width, scene.height) for scene in samples.truth.scenes]
        images = (read_image(file, size) for file, size in zip(samples.files, sizes, strict=True))
        ap50 = evaluate_coco(samples.truth, [finder.find_in(image) for image in images]).figures["AP50_500"]
    seconds = session.time(some[:1], _REPEATS, _PRECISION).median
    return Figures(name, sum(part.stat().st_size for part in parts), seconds, error, ap50)


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - expected).mean() / max(float(np.square(expected).mean()), 1e-24)))


def _check(rows: Sequence[Figures], bounds: Bounds, kind: str) -> None:
    before, after = rows
    if before.ap50 is not None and after.ap50 is not None:
        lost, allowed, what = before.ap50 - after.ap50, bounds.ap_points, "points of AP50"
    else:
        lost, allowed, what = after.output_error, bounds.output_error, "output error"
    if not lost <= allowed:
        raise ExportError(
            f"{table(rows)}\nint8 costs {lost:.3g} {what}, {allowed:g} are allowed: nothing is kept as {kind}"
        )


def table(rows: Sequence[Figures]) -> str:
    """Both forms, a row each, and whether int8 is slower here."""
    line = "{:<6}{:>12}{:>12}{:>14}{:>9}"
    lines = [line.format("", "bytes", "ms, 1 image", "output error", "AP50")]
    for row in rows:
        ap50 = "-" if row.ap50 is None else f"{row.ap50:.2f}%"
        lines.append(
            line.format(row.name, f"{row.size:,}", f"{row.seconds * 1e3:.3f}", f"{row.output_error:.2g}", ap50)
        )
    before, after = rows
    if after.seconds > before.seconds:
        lines.append(f"int8 is slower than float32 here: {after.seconds / before.seconds:.2f} times as long")
    return "\n".join(lines)
