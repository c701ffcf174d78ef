"""A detector in int8, beside itself in float32: size, time, outputs and AP50; kept only where it still finds the same."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

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
from gsnet.interface.options import InputError
from gsnet.models.exporting import files_of, in_the_best_form, keep, told_in_a_sentence, written_beside
from gsnet.runtimes import Session, runtime
from gsnet.runtimes.formats import FORMATS
from gsnet.runtimes.int8 import INT8, behind_convolutions, to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.validation.int8_comparison import (
    Measured,
    both_forms,
    check_loss,
    halves,
    outputs_of,
    per_cent,
    points_lost,
    relative_error,
    seconds_of,
)
from gsnet.validation.int8_options import Bounds

_LOG = logging.getLogger(__name__)
# How many images decide the scales at most, how many are compared, and of how many of these all outputs.
MOST_CALIBRATED, MOST_COMPARED = 100, 200
_FOR_ERRORS = 8
_REPEATS = 100


@dataclass(frozen=True)
class Figures(Measured):
    """One form of a detector, and how it finds what the other finds.

    Its output_error is that of scores or of boxes, whichever is larger. ap50: per cent, up to 500 detections; None without
    labels.
    """

    ap50: float | None

    def cells(self) -> dict[str, str]:
        return super().cells() | {"AP50": per_cent(self.ap50, 2)}


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
    """Write a detector in int8; returns the figures of the float32 file, as an export writes it, and of the int8 one.

    What is behind the last convolutions, which makes boxes and scores, is computed in float32. Every second image decides the
    scales, the others compare. What is there stays as it was where AP50 (outputs, without labels) changes beyond the bounds.
    Raises ExportError, with both rows in its sentence, and InputError.
    """
    if form.kind not in GRAPHS:
        raise InputError(f"--int8 is of {' and '.join(GRAPHS)}, not of {form.kind}")
    for name in ("onnxruntime", FORMATS[form.kind]):
        runtime(name).require(writing=True)
    files, classes = files_of(file, form.kind), len(loaded.settings.classes)
    sides = (loaded.preprocessing.height, loaded.preprocessing.width)
    calibrated, compared = map(samples.at, halves(len(samples.files), MOST_CALIBRATED, MOST_COMPARED))
    with written_beside(file) as folder:
        images = _prepared(compared.at(range(min(len(compared.files), _FOR_ERRORS))), loaded)
        floats, integers = (folder / f"{name}.onnx" for name in ("fp32", INT8))

        def written(detector: nn.Module, graph: Path = floats) -> nn.Module:
            multiple = MULTIPLE if form.dynamic else None
            with told_in_a_sentence(form.kind):
                write_onnx(exported(loaded, form, detector), graph, sides, "predictions", multiple)
            return detector

        as_it_is = loaded.detector.eval()
        if in_the_best_form(as_it_is, form.kind, sides, written, fuse=form.fuse) is as_it_is:
            shutil.copy(floats, integers)
        else:
            written(as_it_is, integers)
        with told_in_a_sentence(form.kind):
            to_int8(integers, _prepared(calibrated, loaded), behind_convolutions(integers))
            texts, rows = texts_of(loaded, form), []
            told = None
            for name, parts, session in both_forms(floats, integers, form.kind, texts):
                outputs = outputs_of(session, images)
                told = outputs if told is None else told
                error = max(relative_error(outputs[..., part], told[..., part]) for part in form.groups(classes))
                seconds = seconds_of(session, images, _REPEATS)
                size = sum(part.stat().st_size for part in parts)
                rows.append(Figures(name, size, seconds, error, _ap50(session, compared, loaded, form)))
            if form.suppression is not None:
                add_suppression(integers, classes, form.suppression)
        lost = points_lost(rows[0].ap50, rows[1].ap50)
        check_loss(rows, lost, bounds.ap_points, "points of AP50", form.kind, bounds.output_error)
        keep(parts, files)
    return rows


def _prepared(samples: Samples, loaded: LoadedDetector) -> np.ndarray:
    """Images as inputs of one size (N, 3, H, W)."""
    preprocessing = replace(loaded.preprocessing, whole=True)
    return np.stack([preprocessing.apply(read_image(file))[0] for file in samples.files])


def _ap50(session: Session, samples: Samples, loaded: LoadedDetector, form: Form) -> float | None:
    """What a session finds, in per cent; None without labels."""
    if samples.truth is None:
        return None
    finder = Finder(
        lambda images: torch.from_numpy(session.run(images.numpy())),
        loaded.settings,
        replace(loaded.preprocessing, whole=True),
        VISDRONE,
        read=READERS[BOXES if form.with_boxes else BINS],
    )
    sizes = [(scene.width, scene.height) for scene in samples.truth.scenes]
    images = (read_image(file, size) for file, size in zip(samples.files, sizes, strict=True))
    return evaluate_coco(samples.truth, [finder.find_in(image) for image in images]).figures["AP50_500"]
