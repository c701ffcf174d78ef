"""A classifier in int8, beside itself in float32: size, time, outputs and top-1; kept only where it still tells the same."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

from gsnet.data.class_folder import ClassFolder, folder_of_network
from gsnet.data.data_sets import CIFAR_FOLDERS, TRAINING, VALIDATION
from gsnet.data.passed_over import is_hidden
from gsnet.data.pictures import read_picture
from gsnet.interface.options import InputError
from gsnet.models.expected import ExpectedInput
from gsnet.models.exporting import files_of, in_the_best_form, keep, told_in_a_sentence, written_beside
from gsnet.runtimes import Session, runtime
from gsnet.runtimes.formats import FORMATS
from gsnet.runtimes.fusing import fused
from gsnet.runtimes.int8 import INT8, to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.validation.images import transform
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
from gsnet.validation.int8_options import INT8_FORMATS, Bounds
from gsnet.validation.measure import prepared

# How many images decide the scales at most, and how many are compared.
MOST_CALIBRATED, MOST_COMPARED = 200, 1000
_AT_ONCE = 16


@dataclass(frozen=True)
class Figures(Measured):
    """One form of a classifier, and what it says of the images; its output_error is to torch's outputs.

    top1: per cent, None without classes. same_class: per cent of images of which it says the same class as torch.
    """

    same_class: float
    top1: float | None

    def cells(self) -> dict[str, str]:
        return super().cells() | {"same class": per_cent(self.same_class, 1), "top-1": per_cent(self.top1, 2)}


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
        (file, -1)
        for file in sorted(folder.iterdir())
        if has_file_allowed_extension(file.name, IMG_EXTENSIONS) and not is_hidden(file)
    ]
    labelled = not files
    if labelled:
        _refuse_archive(folder)
        _refuse_splits(folder, names)
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


def _refuse_archive(folder: Path) -> None:
    """Raise InputError for CIFAR as torchvision keeps it, whose images are no files."""
    if folder.name in CIFAR_FOLDERS or any((folder / name).is_dir() for name in CIFAR_FOLDERS):
        raise InputError(
            f"{folder} holds CIFAR in torchvision's own files: --calibration takes pictures, such as some hundred of its "
            "test images, each written as a PNG file"
        )


def _refuse_splits(folder: Path, names: tuple[str, ...]) -> None:
    """Raise InputError for a whole data set, whose splits would count as classes."""
    splits = [name for name in (*VALIDATION, *TRAINING) if (folder / name).is_dir() and name not in names]
    if len(splits) > 1:
        raise InputError(
            f"{folder} holds a data set with {' and '.join(sorted(splits))}: name one of these folders, such as "
            f"--calibration {folder / splits[0]}"
        )


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

    The float32 file is the one that an export writes, which int8 would stand in for.
    What is there stays as it was where top-1 (outputs, without classes) changes beyond the bounds. Raises ExportError, with
    both rows in its sentence, and InputError as `gsnet.models.exporting.export` does. fuse: as there.
    """
    if kind not in INT8_FORMATS:
        raise InputError(f"int8 is written as {' or '.join(INT8_FORMATS)}, not as {kind}: choose one of them")
    for name in ("onnxruntime", FORMATS[kind]):
        runtime(name).require(writing=True)
    network = network.eval().cpu().float()
    files = files_of(file, kind)
    calibrated, compared = map(pictures.at, halves(len(pictures.images), MOST_CALIBRATED, MOST_COMPARED))
    side = (expected.resolution, expected.resolution)
    with written_beside(file) as folder:
        told = _outputs(network, compared.images)
        floats, integers = (folder / f"{name}.onnx" for name in ("fp32", INT8))
        rows = []

        def written(form: nn.Module) -> nn.Module:
            with told_in_a_sentence(kind):
                write_onnx(form, floats, side)
            return form

        best = in_the_best_form(network, kind, side, written, fuse=fuse)
        with told_in_a_sentence(kind):
            # Integer operators take any width; of normalisation there is none in integers, but for a convolution.
            narrow = fused(network, side, 1, norms_as_convolutions=True) if fuse else network
            if narrow is best:
                shutil.copy(floats, integers)
            else:
                write_onnx(narrow, integers, side)
            to_int8(integers, calibrated.images)
            for name, parts, session in both_forms(floats, integers, kind, texts or {}):
                rows.append(_figures(name, session, parts, compared, told))
        lost = points_lost(rows[0].top1, rows[1].top1)
        check_loss(rows, lost, bounds.top1_points, "points of top-1", kind, bounds.output_error)
        keep(parts, files)
    return rows


@torch.inference_mode()
def _outputs(network: nn.Module, images: np.ndarray) -> np.ndarray:
    starts = range(0, len(images), _AT_ONCE)
    return np.concatenate([network(torch.from_numpy(images[start : start + _AT_ONCE])).numpy() for start in starts])


def _figures(name: str, session: Session, parts: list[Path], compared: Pictures, told: np.ndarray) -> Figures:
    found = outputs_of(session, compared.images)
    classes = found.argmax(1)
    same = 100 * float((classes == told.argmax(1)).mean())
    top1 = None if compared.labels is None else 100 * float((classes == compared.labels).mean())
    seconds = seconds_of(session, compared.images)
    size = sum(part.stat().st_size for part in parts)
    return Figures(name, size, seconds, relative_error(found, told), same, top1)
