"""Networks as files of other programs, kept only where they compute the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from gsnet.interface.files import check_replaceable, target_of
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError
from gsnet.interface.partial import part_folder, remove_leftovers
from gsnet.interface.words import first_line
from gsnet.models.described import checkpoint_in
from gsnet.runtimes import Settings, runtime
from gsnet.runtimes.comparison import TOLERANCES, compare
from gsnet.runtimes.formats import FORMATS
from gsnet.runtimes.onnx_file import add_texts

log = logging.getLogger(__name__)
_Told = TypeVar("_Told")

# Weights alone.
SAFETENSORS = "safetensors"


class ExportError(InputError):
    """A network that could not be written so that it computes the same."""


def files_of(file: Path, kind: str) -> tuple[Path, ...]:
    """The files that a format consists of.

    Raises InputError where the name is not one that the format can have, or where another file of that name has the same second
    one.
    """
    known = {SAFETENSORS: (".safetensors",)} | {name: runtime(of).suffixes for name, of in FORMATS.items()}
    suffixes = known[kind]
    meant = [name for name, others in known.items() if file.suffix in others]
    if file.suffix != suffixes[0] and (file.suffix or len(suffixes) > 1):
        with_others = f" with its {' and '.join(suffixes[1:])}" if len(suffixes) > 1 else ""
        or_else = f", or choose --format {' or '.join(meant)}" if meant and kind not in meant else ""
        # What no format ends with may be part of a name, such as that of net0.5.
        name = file.stem if any(file.suffix in others for others in known.values()) else file.name
        raise InputError(f"{kind} is a file {suffixes[0]}{with_others}: name it {name}{suffixes[0]}{or_else}")
    files = (file, *(file.with_suffix(suffix) for suffix in suffixes[1:]))
    for other in (runtime(name).suffixes for name in FORMATS.values()):
        taken = file.with_suffix(other[0])
        if other[0] != suffixes[0] and set(other[1:]) & set(suffixes[1:]) and taken.is_file():
            raise InputError(f"{files[1]} belongs to {taken}: give the file of {kind} another name than {file.stem}")
    return files


def check_is_no_source(file: Path, *sources: str | Path | None) -> None:
    """Raise InputError where a file is one that the network comes from, by its name or by that of its folder."""
    paths = [existing_path(source) for source in sources if source is not None]
    for path in (checkpoint_in(one) if one.is_dir() else one for one in paths if one is not None):
        if path is not None and path.is_file() and file.is_file() and file.samefile(path):
            raise InputError(f"{file} is what is exported: give the new file another name, by --output")


def export(
    network: nn.Module,
    file: Path,
    kind: str,
    size: tuple[int, int],
    output: str = "logits",
    groups: Sequence[slice] = (slice(None),),
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
    fuse: bool = True,
) -> float:
    """Write a network (put into evaluation mode); returns the largest difference of an output, relative to the largest.

    kind: one of `FORMATS`, or "safetensors". Images are (N, 3, *size), with N free in "onnx", and 1 in "openvino" until the
    model is reshaped. output: the name of the one output in ONNX; groups: parts of its last axis that are compared each by its
    own largest value. metadata: texts by name that the file holds too (ONNX's metadata_props, TorchScript's extra files,
    OpenVINO's rt_info, a line at the end of ncnn's .param, the header of safetensors; other formats have no place for them).
    half: weights in float16. fuse: rewrite the network so that the runtime runs it faster (`gsnet.runtimes.fusing`); where that
    fails or computes something else, it is written as it is. What is there stays as it was unless outputs agree to 1e-4 (2e-2
    in float16) for batches of 1 and 3. Raises ExportError, InputError with the package's name where a library is missing, and
    OSError.
    """
    network = network.eval().cpu().float()
    files = files_of(file, kind)
    with written_beside(file) as folder:
        parts = [folder / f"network{one.suffix}" for one in files]

        def written(form: nn.Module) -> float:
            with told_in_a_sentence(kind):
                run = _written(form, parts[0], kind, size, output, half, dict(metadata or {}))
                difference = compare(network, run, size, groups)
            check_agrees(difference, kind, half=half)
            return difference

        difference = in_the_best_form(network, kind, size, written, fuse=fuse)
        keep(parts, files)
    return difference


def in_the_best_form(
    network: nn.Module, kind: str, size: tuple[int, int], written: Callable[[nn.Module], _Told], *, fuse: bool
) -> _Told:
    """What `written` returns of the network rewritten for the format's runtime, or, should that fail, of itself.

    written: writes a form, and raises ExportError where it computes something else than the network. fuse: whether to rewrite.
    """
    rewritten = runtime(FORMATS[kind]).rewritten(network, size) if fuse and kind != SAFETENSORS else network
    if rewritten is not network:
        try:
            return written(rewritten)
        except ExportError as error:
            log.info("%s; it is now written without being rewritten", error)
    return written(network)


def check_agrees(difference: float, kind: str, *, half: bool = False) -> None:
    """Raise ExportError where outputs differ by more than a precision explains."""
    if not difference <= TOLERANCES["fp16" if half else "fp32"]:
        raise ExportError(f"{kind} computes other outputs, off by {difference:.2g} of the largest: nothing is kept")


def converted(graph: Path, kind: str, texts: Mapping[str, str]) -> list[Path]:
    """The files of a format, "onnx" or "openvino", of an ONNX graph with texts; they lie beside it."""
    if kind == "onnx":
        add_texts(graph, texts)
        return [graph]
    from gsnet.runtimes.openvino_runtime import save_onnx

    return save_onnx(graph, graph.with_suffix(".xml"), texts)


@contextmanager
def told_in_a_sentence(kind: str) -> Iterator[None]:
    """What libraries raise while they write a network, as errors of ours. Raises ExportError, InputError, OSError."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"--format {kind} needs a library that is not installed ({error.name}): pip install it"
        ) from error
    except RuntimeError as error:
        if (failed := _disk_error(error)) is not None:
            raise failed from error
        raise ExportError(f"The network cannot be written as {kind} ({first_line(error)}): nothing is kept") from error


@contextmanager
def written_beside(file: Path) -> Iterator[Path]:
    """A folder for what is written before it is kept, on the disk of the file; it is gone afterwards.

    What a killed export of this file left is removed. Raises OSError where the file cannot be written.
    """
    check_replaceable(file)
    target = target_of(file)
    remove_leftovers(target)
    with part_folder(target) as folder:
        yield folder


def keep(parts: Sequence[Path], files: Sequence[Path]) -> None:
    """Put what was written where it was asked for, or where links there lead to."""
    # The one that is named comes last: where it is new, so are the others.
    for part, one in reversed(list(zip(parts, files, strict=True))):
        part.replace(target_of(one))


def _disk_error(error: BaseException) -> OSError | None:
    """What the system refused, where a library hides that behind an error of its own."""
    within: BaseException | None = error
    while within is not None and not isinstance(within, OSError):
        within = within.__cause__ or within.__context__
    return within


def _written(
    network: nn.Module, file: Path, kind: str, size: tuple[int, int], output: str, half: bool, texts: dict[str, str]
) -> Callable[[np.ndarray], np.ndarray]:
    """Write a network, and read it back as a function of images."""
    if kind == SAFETENSORS:
        _write_safetensors(network, file, half, texts)
        return _read_safetensors(network, file)
    program = runtime(FORMATS[kind])
    program.require(writing=True)
    program.write(network, file, size, output, half=half, texts=texts)
    return program.load(file, Settings(precision="fp16" if half and kind == "torchscript" else "fp32")).run


def _write_safetensors(network: nn.Module, file: Path, half: bool, texts: dict[str, str]) -> None:
    from safetensors.torch import save

    state = {key: value.contiguous().clone() for key, value in network.state_dict().items()}
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    # What writes and reads safetensors elsewhere looks for the format of the tensors. Its own way to write files makes some
    # that nobody else may read.
    file.write_bytes(save(state, {"format": "pt"} | texts))


def _read_safetensors(network: nn.Module, file: Path) -> Callable[[np.ndarray], np.ndarray]:
    from safetensors.torch import load_file

    other = copy.deepcopy(network)
    for value in other.state_dict().values():
        value.zero_()
    other.load_state_dict(load_file(file), strict=True)
    return lambda images: other(torch.from_numpy(images)).numpy()
